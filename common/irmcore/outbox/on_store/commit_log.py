"""Accept runs into an outbox on a store: one record of the log accepts a run as a whole.

Promised: whoever commits has seen every earlier record, so no row is accepted twice. A run of which this says
"nothing was accepted" is never accepted later. Not promised: to know the outcome while the store is away.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, takewhile
from types import MappingProxyType
from typing import Any, Callable, NamedTuple

from irmcore.clock import Clock
from irmcore.errors import OperatorError, StoreAway
from irmcore.outbox import states
from irmcore.outbox.on_store import layout, records
from irmcore.outbox.on_store.row_index import RowIndex
from irmcore.store import Store, claim, numbered
from irmcore.store.at_once import AtOnce
from irmcore.store.claim import read_existing

COMMIT, DISCARD, VOID, CLOSED = "commit", "discard", "void", "closed"
_THOUSAND = 1_000
#: The most batches that one marker names.
_MARKED = 1_000
_ALL = layout.ALL_ROWKEYS.rpartition("/")[2]


class Entry(NamedTuple):
    """A record of the log. ``batches`` are those of a commit, ``dates`` says which have rows of a date."""

    number: int
    kind: str
    run: str = ""
    batches: tuple[str, ...] = ()
    dates: Mapping[str, Sequence[str]] = MappingProxyType({})


class Draft(NamedTuple):
    """A batch to accept: its id, its manifest and payload, at most 1 MiB a part, and its row keys by date.

    ``first`` is its first state, None for READY.
    """

    id: str
    parts: Mapping[str, bytes]
    rowkeys: Mapping[str, bytes]
    first: Mapping[str, Any] | None = None


class RowKeys(NamedTuple):
    """Row keys as they were written: of accepted batches, and of those among them that were withdrawn."""

    accepted: list[bytes]
    withdrawn: list[bytes]


class View:
    """What was accepted up to record ``last`` of the log."""

    def __init__(self, log: CommitLog, mark: int, tail: Sequence[Entry], last: int) -> None:
        self._log, self._mark, self.tail, self.last = log, mark, tail, last

    def rowkeys(self, date: str, after: int = -1) -> RowKeys:
        """The row keys of a date (``yyyy-mm-dd``) in the records behind number ``after``.

        Withdrawn ones are only looked for if ``after`` is -1. Raises StoreAway, StoreRefused.
        """
        return self._log.rowkeys(date, self._mark, self.tail, after)


#: Makes batches of the rows that are not accepted yet.
Shape = Callable[[View], Sequence[Draft]]


def attempt_of(run: str) -> str:
    """A new name under which a run is accepted: each try has its own."""
    return f"{run}.{secrets.token_hex(4)}"


def _is_try_of(run: str, entry: Entry) -> bool:
    return entry.kind == COMMIT and entry.run.partition(".")[0] == run.partition(".")[0]


def taken_back(where: str) -> StoreAway:
    """The error of a run that rests on what the store does not have any more."""
    return StoreAway(
        "the store has taken back what it had acknowledged, so this run was not promoted",
        where=where,
        next_step="Nothing is lost: its rows stay on this machine, and the next try promotes them anew.",
    )


def _folder(number: int) -> str:
    return f"log/{number // _THOUSAND:09}/"


def log_key(number: int) -> str:
    """Where the log has this record."""
    return f"{_folder(number)}{number:0{numbered.DIGITS}}"


class CommitLog:
    """The log of one outbox. Every method raises StoreAway and StoreRefused.

    ``check_key`` is for a store that may take back what it acknowledged: it puts the key of the batches back,
    or raises StoreAway. What a run has written is then looked for before and after it is committed.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        at_once: AtOnce | None = None,
        *,
        check_key: Callable[[], None] | None = None,
    ) -> None:
        self._store, self._clock, self._check_key = store, clock, check_key
        self._at_once = at_once or AtOnce()
        self._index = RowIndex(store, clock)

    def entries(self, after: int = -1) -> Iterator[Entry]:
        """The records behind number ``after``, in order. Only the last folder is not full."""
        number = after + 1
        while True:
            keys = list(
                self._store.keys(_folder(number), after=log_key(number - 1) if number % _THOUSAND else "")
            )
            yield from (self._entry(int(key.rpartition("/")[2])) for key in keys)
            if not keys or not keys[-1].endswith(f"{_THOUSAND - 1}"):
                return
            number = int(keys[-1].rpartition("/")[2]) + 1

    def _entry(self, number: int) -> Entry:
        key = log_key(number)
        found = records.decode(read_existing(self._store, key, self._clock), key)
        batches = tuple(found.get("batches", ()))
        return Entry(number, found["kind"], found.get("run", ""), batches, found.get("dates", {}))

    def view(self, since: int | None = None) -> View:
        """What is accepted now. ``since``: read the log from there on, also what the index has."""
        mark = self._index.mark()
        tail = list(self.entries(mark if since is None else min(mark, since)))
        return View(self, mark, tail, tail[-1].number if tail else mark)

    def rowkeys_since(self, date: str, moment: float, last: int, run: Callable[[str], bool]) -> list[bytes]:
        """The row keys of a date in the records up to ``last``, as far as ``run`` is true of their runs.

        Records before ``moment`` (seconds since 1970) are not read. Raises StoreAway, StoreRefused.
        """
        found: list[bytes] = []
        for number in range(last, -1, -1):
            entry = self._entry(number)
            if entry.batches and layout.written_at(entry.batches[0]) < moment:
                break
            if run(entry.run):
                found += self._read(_rowkeys(entry, date))
        return found

    def accept(self, run: str, shape: Shape, since: int | None = None) -> tuple[str, ...]:
        """Accept what ``shape`` makes of the rows that are not known yet; returns the names of its batches.

        ``shape`` is called again if another run with rows of the same dates came first. ``run`` is from
        ``attempt_of``. ``since``: the last number of the log before the first try of this run; if an earlier
        try has succeeded, its batches are those of the run.
        """
        checked = since
        while True:
            # Also what the index has overtaken since this run began: its own discard may be there.
            view = self.view(checked)
            for entry in view.tail:
                if since is not None and entry.number > since and _is_try_of(run, entry):
                    return entry.batches
            self._refuse(run, view.tail)
            checked = view.last if checked is None else checked
            drafts = shape(view)
            if not drafts:
                return ()
            names, written = self._write(drafts, run, view.last)
            self._put_back(written, view.last, committed=False)
            dates: dict[str, list[str]] = {}
            for name, draft in zip(names, drafts):
                for date in draft.rowkeys:
                    dates.setdefault(date, []).append(name)
            accepted = self._commit(view.last, run, names, dates)
            if accepted is names:
                self._put_back(written, view.last, committed=True)
            else:
                self.remove(names)
            if accepted is not None:
                return accepted

    def _commit(
        self, last: int, run: str, names: tuple[str, ...], dates: Mapping[str, Sequence[str]]
    ) -> tuple[str, ...] | None:
        """The batches of the run, once it is committed; None if its rows must be shaped anew."""
        while not self._decide(last + 1, records.encode(kind=COMMIT, run=run, batches=names, dates=dates)):
            last += 1
            other = self._entry(last)
            self._refuse(run, [other])
            if _is_try_of(run, other):
                return other.batches  # a try that was taken for dead
            if other.dates.keys() & dates.keys():
                return None
        return names

    def _decide(self, number: int, value: bytes) -> bool:
        """Claim a number of the log. If the outcome is unknown, close the number, which makes it known."""
        try:
            return claim(self._store, log_key(number), value, self._clock)
        except StoreAway as error:
            if claim(self._store, log_key(number), records.encode(kind=VOID), self._clock):
                raise StoreAway(
                    f"nothing was accepted: {error.what}", where=error.where, next_step=error.next_step
                ) from None
            return read_existing(self._store, log_key(number), self._clock) == value

    def discard(self, run: str) -> bool:
        """Make sure that a run is never accepted, and remove what it wrote. False if nothing was removed.

        A run may be suspended for any time, so age alone proves nothing; this record does. Only batches whose
        markers were there before it are removed: their run reads it before it commits.
        """
        found = {name: int(str(marker["after"])) for name, marker in self.open() if marker["run"] == run}
        names = list(found)
        last, value = min(found.values(), default=-1), records.encode(kind=DISCARD, run=run)
        while names:
            for entry in self.entries(last):
                last = entry.number
                if entry.run == run and entry.kind == COMMIT:
                    return False
            if self._decide(last + 1, value):
                break
        self.remove(names)
        return bool(names)

    def close(self) -> None:
        """Let no run ever be accepted again. The index never has this record, so every run reads it."""
        last, value = self._index.mark(), records.encode(kind=CLOSED)
        while True:
            for entry in self.entries(last):
                last = entry.number
                if entry.kind == CLOSED:
                    return
            if claim(self._store, log_key(last + 1), value, self._clock):
                return

    @staticmethod
    def _refuse(run: str, entries: Sequence[Entry]) -> None:
        if any(entry.kind == CLOSED for entry in entries):
            raise OperatorError(
                "nothing was accepted: this outbox was moved to a directory",
                where=run,
                next_step="Use the outbox that replaced it.",
            )
        if any(entry.kind == DISCARD and entry.run == run for entry in entries):
            raise StoreAway(
                "nothing was accepted: this run was discarded while it was suspended",
                where=run,
                next_step="Run the same command again.",
            )

    def _write(
        self, drafts: Sequence[Draft], run: str, last: int
    ) -> tuple[tuple[str, ...], Mapping[str, bytes]]:
        """Write batches that are not accepted yet: their markers first, so that orphans can be found.

        Returns their names, and what was written.
        """
        now = self._clock.now()
        # Names that sort as the batches do: 10 µs apart.
        names = tuple(layout.new_name(now + number / 1e5, draft.id) for number, draft in enumerate(drafts))
        # One that has ended elsewhere has none: nothing is to be done with it, and an orphan does no harm.
        to_do = [
            name for name, draft in zip(names, drafts) if (draft.first or {}).get("name") not in states.ENDED
        ]
        chunks = [to_do[start : start + _MARKED] for start in range(0, len(to_do), _MARKED)]
        # Whoever sends a batch does not look for a first state then.
        all_ready = all(draft.first is None for draft in drafts)
        mark = partial(records.encode, run=run, after=last, ready=all_ready)
        markers = {layout.open_key(one[0]): mark(batches=one) for one in chunks}
        self._create(markers)
        parts: dict[str, bytes] = {}
        for name, draft in zip(names, drafts):
            parts.update({layout.part_key(name, part): value for part, value in draft.parts.items()})
            for date, value in draft.rowkeys.items():
                parts[layout.part_key(name, f"rowkeys/{date}")] = value
            if draft.first is not None:
                parts[f"{layout.states_prefix(name)}{0:0{numbered.DIGITS}}"] = records.encode(**draft.first)
        self._create(parts)
        return names, {**markers, **parts}

    def _put_back(self, values: Mapping[str, bytes], last: int, *, committed: bool) -> None:
        """Create once more what the store has taken back of these values, and fill a gap in the log.

        Raises StoreAway if the batches' key was replaced, or if they are not committed and record ``last``,
        with which they were shaped, was taken back.
        """
        if self._check_key is None:
            return
        self._check_key()
        while last >= 0 and self._store.get(log_key(last)) is None:
            if not committed:
                raise taken_back(log_key(last))
            claim(self._store, log_key(last), records.encode(kind=VOID), self._clock)
            last -= 1
        for folder, found in groupby(sorted(values), key=lambda key: key.partition("/")[0]):
            wanted = list(found)
            there = set(self._store.keys(f"{folder}/", after=wanted[0][:-1]))
            self._create({key: values[key] for key in wanted if key not in there})

    def check_kept(self, names: tuple[str, ...], since: int) -> None:
        """Raise StoreAway if the store took back the record with these batches, behind ``since``, or the key.

        After this, it may still do so.
        """
        if self._check_key is not None:
            self._check_key()  # before what was written after it
            if names and all(entry.batches != names for entry in self.entries(since)):
                raise taken_back(f"log/, behind {since}")

    def _create(self, values: Mapping[str, bytes]) -> None:
        self._at_once.each(lambda key: claim(self._store, key, values[key], self._clock), values)

    def _read(self, keys: Sequence[str]) -> list[bytes]:
        return self._at_once.each(lambda key: read_existing(self._store, key, self._clock), keys)

    def remove(self, names: Sequence[str]) -> None:
        """Remove batches that can never be accepted; the markers last, so that a crash leaves no orphan."""
        for name in names:
            for prefix in (f"batch/{name}/", layout.states_prefix(name)):
                for key in list(self._store.keys(prefix)):
                    self._store.delete(key)
        for name in names:
            self._store.delete(layout.open_key(name))

    def open(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """The batches that have no receipt yet, whether accepted or not, with their markers."""
        for key in list(self._store.keys("open/")):
            value = self._store.get(key)
            if value is not None:  # else all were sent meanwhile
                marker = records.decode(value, key)
                for name in layout.marked(key, marker):
                    yield name, marker

    def rowkeys(self, date: str, mark: int, tail: Sequence[Entry], after: int) -> RowKeys:
        """The row keys of a date: those in the index, and those of the records behind its mark."""
        found = self._index.rowkeys(date, mark) if after < mark else []
        keys = [key for entry in tail if entry.number > max(mark, after) for key in _rowkeys(entry, date)]
        found += self._read(keys)
        return RowKeys(found, self._withdrawn(date) if after < 0 else [])

    def _withdrawn(self, date: str) -> list[bytes]:
        """The row keys of a date in batches that were withdrawn."""
        names = [key.rpartition("/")[2] for key in list(self._store.keys(f"withdrawn/{date}/"))]
        found = []
        for name in names:
            newest = numbered.Sequence(self._store, layout.states_prefix(name), self._clock).newest()
            if newest is not None and records.decode(newest.value).get("name") == states.WITHDRAWN:
                value = self._store.get(layout.part_key(name, f"rowkeys/{date}"))
                if value is None:  # a half has them together
                    key = layout.part_key(name, layout.ALL_ROWKEYS)
                    value = read_existing(self._store, key, self._clock)
                found.append(value)
        return found

    def index(self, at_least: int = 1) -> None:
        """Enter the row keys of new records into the index, if there are so many. Anyone may do it."""
        view = self.view()
        if len(view.tail) < at_least or any(entry.kind == CLOSED for entry in view.tail):
            return
        for entry in view.tail:
            for date in entry.dates:
                self._index.add(date, entry.number, self._read(_rowkeys(entry, date)))
        self._index.move_mark(view.last)
        for date in {date for entry in view.tail for date in entry.dates}:
            self._index.compact(date, view.last)

    def forget_rowkeys(self, moment: float) -> None:
        """Remove the row keys of dates before ``moment``, unless a run had rows of them since.

        Also those in batches. Such rows count as new then. While a batch is open, those of all that was
        accepted after it are kept.
        """
        self.index()  # so that nobody reads those of such a date in the batches
        moment = min([moment, *(layout.written_at(name) for name, _ in self.open())])
        before = layout.date_text(int(moment // 86_400))
        left = self._index.forget(before, lambda number: self._is_before(number, moment))
        withdrawn = {key.rpartition("/")[2] for key in self._store.keys("withdrawn/")}
        found = self._store.keys("batch/")
        old = list(takewhile(lambda key: layout.written_at(key.split("/")[1]) < moment, found))
        for name, keys in groupby(old, key=lambda key: key.split("/")[1]):
            dates = {key: key.rpartition("/")[2] for key in keys if "/rowkeys/" in key}
            kept = (date != _ALL and (date >= before or date in left) for date in dates.values())
            if name not in withdrawn and not any(kept):
                for key in dates:
                    self._store.delete(key)

    def _is_before(self, number: int, moment: float) -> bool:
        batches = self._entry(number).batches
        return max(map(layout.written_at, batches), default=0.0) < moment


def _rowkeys(entry: Entry, date: str) -> list[str]:
    """Where the batches of a record have their row keys of a date."""
    return [layout.part_key(name, f"rowkeys/{date}") for name in entry.dates.get(date, ())]
