"""The rows that an outbox on a store has accepted, for a run of a machine that shares it."""

from __future__ import annotations

from collections import Counter

from irmcore.errors import DamageError, StoreAway
from irmcore.intake.ledger.day_files import split_records
from irmcore.outbox import rowkeys
from irmcore.outbox.on_store import layout
from irmcore.outbox.on_store.commit_log import RowKeys, View
from irmcore.outbox.on_store.shared import SharedOutbox
from irmcore.outbox.rowkeys import Damaged
from irmcore.profile import Profile

#: What a promotion needs of the profile of a run, in the manifests of its batches.
_RULES = ("collisions", "step", "on_change", "time_column", "keeps_precision")


def rules_of(profile: Profile) -> dict[str, str]:
    """What a promotion needs of a profile."""
    time = profile.column("time")
    rules = profile.collisions
    values = (rules.policy, str(rules.step), profile.on_change, time.header if time else "")
    return dict(zip(_RULES, (*values, "yes" if rules.keeps_precision else "no")))


class AcceptedThere:
    """The records that an outbox on a store has accepted, by event date, as the row ledger reads them.

    While the store is away, there are none: their rows fall out when they are promoted. ``away`` says so.
    """

    def __init__(self, shared: SharedOutbox) -> None:
        self._shared = shared
        self._view: View | None = None
        self.away: StoreAway | None = None
        #: The last number of the log that a date was read with.
        self.read_at: dict[str, int] = {}

    def __call__(self, day: int) -> bytes:
        if self.away is not None:
            return b""
        date = layout.date_text(day)
        try:
            if self._view is None:
                self._view = self._shared.log.view()
            found = records_of(self._shared, self._view.rowkeys(date))
        except StoreAway as error:
            self.away = error
            return b""
        self.read_at[date] = self._view.last
        return found


def records_of(shared: SharedOutbox, found: RowKeys) -> bytes:
    """The records of accepted batches, without those of withdrawn ones. Raises DamageError."""
    try:
        return _records_of(shared, found)
    except Damaged:
        raise DamageError(
            "row keys of this outbox are damaged, or of a later version of irmexport, so nothing is accepted",
            where=shared.where,
            next_step="Install the version of the other machines, or restore the prefixes `days` and `batch` "
            "from the store's backup or its soft-deleted blobs.",
        ) from None


def _records_of(shared: SharedOutbox, found: RowKeys) -> bytes:
    # While somebody merges values of the index, a batch can be in two of them; its file is the same in both.
    files = set(rowkeys.files_in(b"".join(found.accepted)))
    withdrawn: Counter[bytes] = Counter()
    for file in rowkeys.files_in(b"".join(found.withdrawn)):
        if file in files:
            files.remove(file)
        else:  # a half, whose rows are in the file of the whole batch
            withdrawn.update(split_records(rowkeys.unseal(shared.keyring, file)))
    kept = b"".join(rowkeys.unseal(shared.keyring, file) for file in files)
    if not withdrawn:
        return kept
    left = Counter(split_records(kept))
    left.subtract(withdrawn)
    return b"".join((+left).elements())
