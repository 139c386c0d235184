"""Accept runs into an outbox on a store: one record of the log accepts a run as a whole.

Promised: whoever commits has seen every earlier record, so no row is accepted twice. A run of which this says
"nothing was accepted" is never accepted later. Not promised: to know the outcome while the store is away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Callable, NamedTuple

from irmcore.clock import Clock
from irmcore.errors import StoreAway
from irmcore.outbox.on_store import layout, records
from irmcore.store import Store, claim, numbered
from irmcore.store.claim import read_existing

COMMIT, DISCARD, VOID = "commit", "discard", "void"
_THOUSAND = 1_000


class Entry(NamedTuple):
    """A record of the log. ``batches`` are those of a commit, ``dates`` says which have rows of a date."""

    number: int
    kind: str
    run: str = ""
    batches: tuple[str, ...] = ()
    dates: Mapping[str, Sequence[str]] = MappingProxyType({})


class Draft(NamedTuple):
    """A batch to accept: its id, its manifest and payload, at most 1 MiB a part, and its row keys by date."""

    id: str
    parts: Mapping[str, bytes]
    rowkeys: Mapping[str, bytes]


#: The row keys of the batches that were accepted so far, of one date.
Known = Callable[[str], list[bytes]]


def _key(number: int) -> str:
    return f"log/{number // _THOUSAND:09}/{number:0{numbered.DIGITS}}"


class CommitLog:
    """The log of one outbox. Every method raises StoreAway and StoreRefused."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._marks = numbered.Sequence(store, "indexed/", clock)

    def entries(self, after: int = -1) -> Iterator[Entry]:
        """The records behind number ``after``, in order."""
        for key in self._store.keys("log/", after=_key(after) if after >= 0 else ""):
            yield self._entry(int(key.rpartition("/")[2]))

    def _entry(self, number: int) -> Entry:
        found = records.decode(read_existing(self._store, _key(number), self._clock))
        batches = tuple(found.get("batches", ()))
        return Entry(number, found["kind"], found.get("run", ""), batches, found.get("dates", {}))

    def accept(self, run: str, shape: Callable[[Known], Sequence[Draft]]) -> tuple[str, ...]:
        """Accept what ``shape`` makes of the rows that are not known yet; returns the names of its batches.

        ``shape`` is called again if another run with rows of the same dates came first. ``run`` is new.
        """
        checked: int | None = None
        while True:
            mark = self._mark()
            # Also what the index has overtaken since this run began: its own discard may be there.
            tail = list(self.entries(mark if checked is None else min(mark, checked)))
            self._refuse_discarded(run, tail)
            last = tail[-1].number if tail else mark
            checked = last if checked is None else checked
            drafts = shape(partial(self._known, mark, tail))
            if not drafts:
                return ()
            names = tuple(self._write(draft, run, last) for draft in drafts)
            dates: dict[str, list[str]] = {}
            for name, draft in zip(names, drafts):
                for date in draft.rowkeys:
                    dates.setdefault(date, []).append(name)
            if self._commit(last, run, names, dates):
                return names
            self.remove(names)

    def _commit(
        self, last: int, run: str, names: tuple[str, ...], dates: Mapping[str, Sequence[str]]
    ) -> bool:
        """Whether the run is committed; False if its rows must be shaped anew."""
        while not self._decide(last + 1, records.encode(kind=COMMIT, run=run, batches=names, dates=dates)):
            last += 1
            other = self._entry(last)
            self._refuse_discarded(run, [other])
            if other.dates.keys() & dates.keys():
                return False
        return True

    def _decide(self, number: int, value: bytes) -> bool:
        """Claim a number of the log. If the outcome is unknown, close the number, which makes it known."""
        try:
            return claim(self._store, _key(number), value, self._clock)
        except StoreAway as error:
            if claim(self._store, _key(number), records.encode(kind=VOID), self._clock):
                raise StoreAway(
                    f"nothing was accepted: {error.what}", where=error.where, next_step=error.next_step
                ) from None
            return read_existing(self._store, _key(number), self._clock) == value

    def discard(self, run: str) -> bool:
        """Make sure that a run is never accepted, and remove what it wrote. False if nothing was removed.

        A run may be suspended for any time, so age alone proves nothing; this record does. Only batches whose
        markers were there before it are removed: their run reads it before it commits.
        """
        names = [name for name, marker in self.open() if marker["run"] == run]
        last, value = -1, records.encode(kind=DISCARD, run=run)
        while names:
            for entry in self.entries(last):
                last = entry.number
                if entry.run == run and entry.kind == COMMIT:
                    return False
            if self._decide(last + 1, value):
                break
        self.remove(names)
        return bool(names)

    @staticmethod
    def _refuse_discarded(run: str, entries: Sequence[Entry]) -> None:
        if any(entry.kind == DISCARD and entry.run == run for entry in entries):
            raise StoreAway(
                "nothing was accepted: this run was discarded while it was suspended",
                where=run,
                next_step="Run the same command again.",
            )

    def _write(self, draft: Draft, run: str, last: int) -> str:
        """Write a batch that is not accepted yet: its marker first, so that an orphan can be found."""
        name = layout.new_name(self._clock.now(), draft.id)
        values = {layout.open_key(name): records.encode(run=run, after=last)}
        values.update({layout.part_key(name, part): value for part, value in draft.parts.items()})
        for date, value in draft.rowkeys.items():
            values[layout.part_key(name, f"rowkeys/{date}")] = value
        for key, value in values.items():
            claim(self._store, key, value, self._clock)
        return name

    def remove(self, names: Sequence[str]) -> None:
        """Remove batches that can never be accepted; the marker last, so that a crash leaves no orphan."""
        for name in names:
            for key in list(self._store.keys(f"batch/{name}/")):
                self._store.delete(key)
            self._store.delete(layout.open_key(name))

    def open(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """The batches that have no receipt yet, whether accepted or not, with their markers."""
        for key in list(self._store.keys("open/")):
            value = self._store.get(key)
            if value is not None:  # else it was sent meanwhile
                yield key.rpartition("/")[2], records.decode(value)

    def _mark(self) -> int:
        """The number up to which the index has the row keys of all records; -1 if there is none."""
        newest = self._marks.newest()
        return newest.number if newest else -1

    def _known(self, mark: int, tail: Sequence[Entry], date: str) -> list[bytes]:
        """The row keys of a date: those in the index, and those of the records behind its mark."""
        keys = list(self._store.keys(f"days/{date}/"))
        keys += [key for entry in tail if entry.number > mark for key in _rowkeys(entry, date)]
        return [read_existing(self._store, key, self._clock) for key in keys]

    def index(self) -> None:
        """Enter the row keys of new records into the index. Anyone may do it, at any time."""
        last = mark = self._mark()
        for entry in self.entries(mark):
            for date in entry.dates:
                for part, key in enumerate(_rowkeys(entry, date)):
                    value = read_existing(self._store, key, self._clock)
                    claim(
                        self._store,
                        f"days/{date}/{entry.number:0{numbered.DIGITS}}.{part}",
                        value,
                        self._clock,
                    )
            last = entry.number
        if last > mark:
            self._marks.append(last - 1, records.encode())
            self._marks.prune()


def _rowkeys(entry: Entry, date: str) -> list[str]:
    """Where the batches of a record have their row keys of a date."""
    return [f"batch/{name}/rowkeys/{date}" for name in entry.dates.get(date, ())]
