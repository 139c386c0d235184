"""The canary's record: the uploads for the test account, and when what came back of each was first seen.

One sealed file beside the connector's batches, always replaced as a whole. It names the test account, nobody
else, and has at most ``KEPT`` uploads. An upload counts from its receipt. What is seen belongs to the last
upload before it, as no source says which row it comes from: if uploads follow each other faster than the
service answers, delays are too short.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from irmcore.errors import ConfigurationError, DamageError, OutboxBusy
from irmcore.outbox import Outbox, sealed, states

FILE, LOCK = "canary.json", "canary.lock"
#: Uploads that are kept: more than a year of one a day.
KEPT = 400
#: Seconds that a process waits for another one's change, which takes milliseconds.
_TIMEOUT = 60.0


@dataclass
class Upload:
    """One row that was accepted. Times in seconds since 1970; ``seen``: source → first sighting."""

    marker: str
    batch: str
    receipt: float | None = None
    seen: dict[str, float] = field(default_factory=dict)


@dataclass
class Record:
    """``since``: when the first row was accepted; ``last``: source → last sighting."""

    account: str
    since: float
    uploads: list[Upload] = field(default_factory=list)
    last: dict[str, float] = field(default_factory=dict)

    def confirmed(self) -> list[tuple[float, Upload]]:
        """The uploads that have a receipt, each with its time."""
        return [(one.receipt, one) for one in self.uploads if one.receipt is not None]

    def delays(self, source: str) -> list[float]:
        """Seconds from a receipt to the first sighting after it."""
        return [one.seen[source] - receipt for receipt, one in self.confirmed() if source in one.seen]

    def add(self, found: dict[str, list[float]]) -> None:
        """Add the times of what each source has; those before every upload do not count."""
        for source, moments in found.items():
            for at in moments:
                before = [one for one in self.confirmed() if one[0] < at]
                if before:
                    _, latest = max(before, key=lambda one: one[0])
                    latest.seen[source] = min(at, latest.seen.get(source, at))
                    self.last[source] = max(at, self.last.get(source, at))

    def add_receipts(self, outbox: Outbox) -> None:
        """Add the receipts of batches. One that a person resolved has none with a time."""
        for upload in self.uploads:
            batch = outbox.find(upload.batch) if upload.receipt is None else None
            state = batch.state if batch is not None else None
            if state is not None and state.name == states.SENT and state.reason != "resolved":
                upload.receipt = state.at


def load(outbox: Outbox) -> Record | None:
    """The record; None if there is none. Raises DamageError."""
    data = outbox.read_file(FILE) if outbox.exists() else None
    if data is None:
        return None
    try:
        # A key of a later version is none of a Record's.
        raw = sealed.decode(data)
        return Record(**{**raw, "uploads": [Upload(**upload) for upload in raw["uploads"]]})
    except (ValueError, KeyError, TypeError):
        raise DamageError(
            "the canary's record is damaged, or a later version of irmexport wrote it",
            where=f"{outbox.path}/{FILE}",
            next_step="Restore it from a backup, or delete it: then the delays measured so far are lost.",
        ) from None


def check_account(outbox: Outbox, account: str) -> None:
    """Raises ConfigurationError if the record is about another account; and as `load`."""
    found = load(outbox)
    if found is not None and found.account != account:
        raise ConfigurationError(
            "the canary of this connector has another test account",
            where=f"{outbox.path}/{FILE}",
            next_step="Give that account with --user, or delete the file: delays are then measured anew.",
        )


def update(outbox: Outbox, change: Callable[[Record], None], new: Record | None = None) -> Record:
    """Change the record durably and return it; ``new`` is what to begin with.

    Of two changes at once, one waits; on a store, it is refused. Raises ConfigurationError, OutboxBusy,
    Overtaken, StoreAway, OSError, and as `load`.
    """
    none = ConfigurationError(
        "no canary was sent to this connector from here",
        where=outbox.path,
        next_step="Send one: irmexport canary send PROFILE --user TESTACCOUNT",
    )
    if not outbox.exists():
        raise none
    end, path = outbox.clock.monotonic() + _TIMEOUT, f"{outbox.path}/{LOCK}"
    while (lock := outbox.disk.try_lock(path)) is None:
        if outbox.clock.monotonic() > end:
            raise OutboxBusy(
                "another process is changing the canary's record", where=path, next_step="Run it again."
            )
        outbox.clock.sleep(0.05)
    try:
        found = load(outbox) or new
        if found is None:
            raise none
        change(found)
        found.uploads = found.uploads[-KEPT:]
        outbox.replace_file(FILE, sealed.encode(vars(found), default=vars))
        return found
    finally:
        lock.release()
