"""Splunk's own messages (the bell in Splunk Web): a connector's problem, shown until it is solved.

Without them, a new installation behind a closed firewall would fail silently.
"""

from __future__ import annotations

from irmsplunk.splunk.splunkd import Splunkd, SplunkdRefused, path_segment

_PATH = "/services/messages"


class Bulletin:
    """One message per connector. If splunkd refuses a message, sending goes on."""

    def __init__(self, splunkd: Splunkd) -> None:
        self._splunkd = splunkd

    def post(self, connector: str, text: str) -> None:
        """Show ``text`` in place of the connector's earlier message."""
        form = {"name": _name(connector), "value": f"irmexport: {connector}: {text}", "severity": "warn"}
        try:
            self._splunkd.post(_PATH, form)
        except SplunkdRefused:
            return

    def clear(self, connector: str) -> None:
        """Remove the connector's message."""
        try:
            self._splunkd.delete(f"{_PATH}/{path_segment(_name(connector))}")
        except SplunkdRefused:
            return


def _name(connector: str) -> str:
    return f"irmexport_{connector}"
