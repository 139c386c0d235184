"""Retention: delete what is past its time, by hand or once a day by whatever sends.

The periods are those of the profile that last sent rows to the outbox (``retention`` in the profile), or the
defaults. docs/privacy.md says what is kept for how long, and why.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from irmcore.delivery.connection import settings_of
from irmcore.errors import IrmError, OutboxBusy
from irmcore.operations.operations import no_sender
from irmcore.outbox import Outbox, audit_log, sealed
from irmcore.outbox.retention import DAY, Deleted, Periods, delete_expired, sweep

#: When retention last ran, and why it did not believe the clock.
FILE = "retention.json"
CHECK_CLOCK = (
    "Check this machine's clock (`date`, NTP); if it is right, run `irmexport clean-up --clock-is-right`"
)


def periods_of(outbox: Outbox) -> Periods:
    """The periods that apply to an outbox."""
    settings = settings_of(outbox) or {}
    found = settings.get("retention") or settings.get("connector", {}).get("retention") or {}
    found = {"rowkeys_days": outbox.rowkeys_days, **found}
    days = {name: found[f"{name}_days"] * DAY for name in Periods._fields if f"{name}_days" in found}
    return Periods(**days)


def last_run(outbox: Outbox) -> tuple[float, str]:
    """When retention last ran (seconds since 1970; 0 for never), and what it said about the clock."""
    try:
        found = sealed.decode(outbox.read_file(FILE) or b"")
        return float(found["at"]), str(found["doubt"])
    except (ValueError, KeyError, TypeError):
        return 0.0, ""


def clean_up(
    outboxes: Iterable[Outbox], periods: Periods | None = None, *, clock_checked_by: str = ""
) -> tuple[Deleted, dict[str, str]]:
    """Delete what is past its retention time.

    Returns how much was deleted, and for each connector whose clock is in doubt the reason. ``periods``
    replace those of ``periods_of``. ``clock_checked_by`` names the person who says that the clock is right;
    that is recorded first. Raises OutboxBusy, OutboxFull.
    """
    total = Deleted(0, 0)
    doubts: dict[str, str] = {}
    for outbox in outboxes:
        with no_sender(outbox):
            if clock_checked_by:
                audit_log.append(outbox, {"event": "clock-checked", "by": clock_checked_by})
            sweep(outbox)
            outbox.discard_runs(outbox.clock.now() - DAY)
            kept = periods or periods_of(outbox)
            deleted = delete_expired(outbox, kept, clock_is_right=bool(clock_checked_by))
            if any(deleted[:3]):
                audit_log.append(outbox, {"event": "cleaned-up", **dict(zip(Deleted._fields[:3], deleted))})
            _save(outbox, deleted.doubt)
        total = Deleted(
            total.payloads + deleted.payloads,
            total.batches + deleted.batches,
            total.undecided + deleted.undecided,
        )
        if deleted.doubt:
            doubts[outbox.name] = deleted.doubt
    return total, doubts


def clean_up_daily(outbox: Outbox, warn: Callable[[str], None]) -> Deleted | None:
    """``clean_up`` of one outbox; None unless it ran, as it did within a day or a sender is at work.

    Raises nothing: the run that calls it goes on. ``warn`` is told what went wrong.
    """
    try:
        if abs(outbox.clock.now() - last_run(outbox)[0]) < DAY or not outbox.exists():
            return None
        deleted, doubts = clean_up([outbox])
    except OutboxBusy:
        return None
    except (IrmError, OSError) as error:
        what = error.what if isinstance(error, IrmError) else str(error.strerror)
        warn(f"{outbox.name}: nothing was deleted that is past its retention time ({what})")
        return None
    for doubt in doubts.values():
        warn(f"{outbox.name}: {doubt}. {CHECK_CLOCK}")
    return deleted


def _save(outbox: Outbox, doubt: str) -> None:
    outbox.replace_file(FILE, sealed.encode({"at": outbox.clock.now(), "doubt": doubt}))
