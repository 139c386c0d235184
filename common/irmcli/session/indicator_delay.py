"""The 24 hours after custom indicators or policies were changed, remembered beside the connector's outbox.

Microsoft's page: "wait 24 hours before uploading the data after the custom indicators and the associated
policies have been updated", else "some data might not be scored for risk". Uploads warn; they do not wait.
"""

from __future__ import annotations

import json

from irmcore.clock import iso
from irmcore.outbox import Outbox

FILE = "indicators.json"
SECONDS = 86_400.0


def remember(outbox: Outbox, changed: float, who: str) -> None:
    """Keep, durably, that ``who`` says that indicators were changed at ``changed`` (seconds since 1970)."""
    record = {"changed": changed, "by": who, "told": outbox.clock.now()}
    outbox.replace_file(FILE, json.dumps(record, sort_keys=True).encode("ascii") + b"\n")


def warning(outbox: Outbox) -> str | None:
    """What to say before an upload, or None when nothing is remembered or the time is over."""
    data = outbox.read_file(FILE)
    if data is None:
        return None
    try:
        changed = float(json.loads(data)["changed"])
    except (ValueError, KeyError, TypeError):
        return f"{FILE} beside the outbox cannot be read: run `irmexport wizard PROFILE --changed …` again"
    until = changed + SECONDS
    if not changed <= outbox.clock.now() < until:
        return None
    return (
        f"custom indicators or policies were changed at {iso(changed)}: Microsoft's page says to wait "
        f"24 hours (until {iso(until)}), or rows sent now may not be scored"
    )
