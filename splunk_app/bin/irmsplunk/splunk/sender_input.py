"""The sender's data input on this search head: whether it is enabled, and its repair after an upgrade.

A search head cluster does not replicate inputs.conf, so each member has a setting of its own. The app ships
the input enabled. A `local/inputs.conf` that disables it, left by an earlier version, would stop the sender
for good; it is overridden once for each version. After that, an administrator's choice is respected.
"""

from __future__ import annotations

import os

from irmcore import __version__

from irmsplunk.splunk.splunkd import NOBODY, Splunkd, SplunkdRefused

NAME = "irmexport://main"
_PATH = f"{NOBODY}/data/inputs/irmexport/main"
#: The file in the outbox directory with the version that last checked the input.
_CHECKED = "input-checked"


def is_enabled(system: Splunkd) -> bool | None:
    """Whether splunkd runs the input; None if it does not say."""
    try:
        disabled = system.content(_PATH).get("disabled")
    except SplunkdRefused:
        return None
    return None if disabled is None else str(disabled).lower() not in ("1", "true")


def repair(system: Splunkd, root: str) -> bool:
    """Enable the input if it is disabled and this version has not checked it; returns whether it did."""
    checked = os.path.join(root, _CHECKED)
    try:
        with open(checked, encoding="ascii") as file:
            if file.read() == __version__:
                return False
    except (OSError, ValueError):
        pass  # not checked yet
    repaired = is_enabled(system) is False
    try:
        if repaired:
            system.post(f"{_PATH}/enable", {})
        with open(checked, "w", encoding="ascii") as file:
            file.write(__version__)
    except (SplunkdRefused, OSError):
        return False  # the next request tries again
    return repaired
