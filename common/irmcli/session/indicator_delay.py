"""The 24 hours after custom indicators or policies change, recorded beside the connector's outbox.

Microsoft's page: "wait 24 hours before uploading the data after the custom indicators and the associated
policies have been updated", otherwise "some data might not be scored for risk". Uploads in that time print
a warning; they are not delayed.
"""

from irmcore.clock import iso
from irmcore.outbox import Outbox, sealed

FILE = "indicators.json"
SECONDS = 86_400.0


def save(outbox: Outbox, changed: float, who: str) -> None:
    """Record durably that, according to ``who``, indicators changed at ``changed`` (seconds since 1970)."""
    record = {"changed": changed, "by": who, "told": outbox.clock.now()}
    outbox.replace_file(FILE, sealed.encode(record))


def warning(outbox: Outbox) -> str | None:
    """The warning to print before an upload; None if no change is recorded or the 24 hours are over."""
    data = outbox.read_file(FILE)
    if data is None:
        return None
    try:
        changed = float(sealed.decode(data)["changed"])
    except (ValueError, KeyError, TypeError):
        return f"{FILE} beside the outbox cannot be read. Run `irmexport wizard PROFILE --changed TIME` again"
    until = changed + SECONDS
    if not changed <= outbox.clock.now() < until:
        return None
    return (
        f"custom indicators or policies changed at {iso(changed)}: Microsoft recommends waiting 24 hours "
        f"(until {iso(until)}); rows sent before then may not be scored"
    )
