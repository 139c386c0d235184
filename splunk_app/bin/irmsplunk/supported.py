"""Whether this Python and this system can run the app. It parses on older Pythons."""

import os
import sys


def refusal() -> str:
    """Why the app does not run here, as one sentence; empty if it does."""
    if sys.version_info < (3, 9):  # noqa: UP036 - splunkd decides which Python starts this
        return "irmexport needs Python 3.9: use Splunk 9.3 or newer, or set python.version = python3.9."
    if not hasattr(os, "fchmod"):
        return (
            "irmexport does not run on a Windows search head, because its queue was never tested there: "
            "install it on a search head with Linux. Nothing was queued."
        )
    return ""
