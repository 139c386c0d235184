"""Splunk's own messages (the bell in Splunk Web): a connector's trouble, until it is over.

A fresh installation behind a closed firewall must not stay silent.
"""

from __future__ import annotations

from irmsplunk.splunk.splunkd import Splunkd, SplunkdRefused, segment

_PATH = "/services/messages"


class Bulletin:
    """One message a connector. That splunkd takes none is no reason to stop sending."""

    def __init__(self, splunkd: Splunkd) -> None:
        self._splunkd = splunkd

    def post(self, connector: str, text: str) -> None:
        """Show ``text`` in place of what was said of the connector before."""
        form = {"name": _name(connector), "value": f"irmexport: {connector}: {text}", "severity": "warn"}
        try:
            self._splunkd.post(_PATH, form)
        except SplunkdRefused:
            return

    def clear(self, connector: str) -> None:
        """Take back what was said."""
        try:
            self._splunkd.delete(f"{_PATH}/{segment(_name(connector))}")
        except SplunkdRefused:
            return


def _name(connector: str) -> str:
    return f"irmexport_{connector}"
