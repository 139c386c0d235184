"""Intake by blocks compared with the same rules applied to one row after the other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from irmcore.counts import Counts
from irmcore.intake.accept import accept
from irmcore.intake.dry_run import dry_run
from irmcore.intake.ledger.day import DAY_MICROSECONDS
from irmcore.outbox import Destination, Outbox
from irmcore.profile import Limits, Profile
from irmcore.shaping import times
from irmcore.shaping.batches import Batcher
from irmcore.shaping.blocks import SourceRow
from irmcore.shaping.collisions import GreatestRows, NumberedRow
from irmcore.shaping.keys import UserTimeKeys
from irmcore.shaping.readers import Table
from irmcore.shaping.rows import RowRefused, ShapedRow, Shaper
from irmcore.shaping.times import MICROSECONDS, MILLISECONDS

from tests.common.irmcore.profiles import profile
from tests.fakes.clock import FakeClock
from tests.fakes.connector import ORIGIN, ROOT
from tests.fakes.powerloss import PowerLossDisk

HEADER = ("user", "time", "score", "note")
WHERE = Destination("purview-indicators", {"cloud": "commercial", "job_id": "1111"}, "hold")

Rows = Sequence[tuple[str, ...]]
#: The rows that go out, their counts, the number of changed rows, refusals by reason.
End = tuple[list[tuple[str, ...]], Counts, int, Counter[tuple[str, str]]]


class OneByOne:
    """The rules applied to one row at a time, with Python sets of what was accepted, by day."""

    def __init__(self, of: Profile) -> None:
        self._of = of
        self._policy, self._step = of.collisions.policy, of.collisions.step
        self._keeps = of.collisions.keeps_precision
        self._user_time = UserTimeKeys().key
        self._keys: defaultdict[int, set[bytes]] = defaultdict(set)
        self._subjects: defaultdict[int, set[bytes]] = defaultdict(set)
        self._user_times: defaultdict[int, set[int]] = defaultdict(set)

    def run(self, rows: Rows) -> End:
        """The result of a run, after which its rows count as accepted."""
        reasons: Counter[tuple[str, str]] = Counter()
        shaped = list(self._shaped(rows, reasons))
        merged = skipped = changed = 0
        if self._policy == "keep-greatest":
            greatest = GreatestRows(HEADER.index("score"))
            for numbered in shaped:
                greatest.add(numbered)
            shaped, merged = greatest.rows(), greatest.merged
        new: dict[bytes, tuple[int, ShapedRow]] = {}
        user_times: set[int] = set()
        sent: list[tuple[str, ...]] = []
        for _, _, row in shaped:
            day = row.time // DAY_MICROSECONDS
            another = row.subject in self._subjects[day]
            if row.key in self._keys[day]:
                skipped += 1
            elif row.key in new:
                merged += 1
            elif another and self._of.on_change == "skip":
                skipped += 1
                changed += 1
            else:
                time = self._place(
                    row, user_times, set() if self._policy == "keep-greatest" else self._user_times[day]
                )
                fields = (row.fields[0], times.canonical(time or row.time), *row.fields[2:])
                if time is None:
                    reasons["", "no-free-slot" if self._policy == "spread" else "collision"] += 1
                elif Batcher(self._of).encode(fields) is None:
                    reasons["", "row-too-large"] += 1
                else:
                    changed += another
                    user_times.add(self._user_time(row.user, time))
                    new[row.key] = self._user_time(row.user, time), row
                    sent.append(fields)
        for user_time, row in new.values():
            day = row.time // DAY_MICROSECONDS
            self._keys[day].add(row.key)
            self._subjects[day].add(row.subject)
            self._user_times[day].add(user_time)
        rejected = sum(reasons.values())
        return sent, Counts(len(rows), len(sent), merged, skipped, rejected), changed, reasons

    def _shaped(self, rows: Rows, reasons: Counter[tuple[str, str]]) -> Iterator[NumberedRow]:
        shaper = Shaper(self._of, HEADER)
        for line, row in enumerate(rows):
            try:
                yield line, row, shaper.shape(row)
            except RowRefused as why:
                reasons[why.column, why.code] += 1

    def _place(self, row: ShapedRow, *taken: set[int]) -> int | None:
        for time in self._candidates(row) if self._policy == "spread" else (row.time,):
            if not any(self._user_time(row.user, time) in pairs for pairs in taken):
                return time
        return None

    def _candidates(self, row: ShapedRow) -> Iterator[int]:
        """All times that a row may take, beginning with the one that its key chooses."""
        windows = [{1: 1_000_000, 1_000: 60_000_000, 1_000_000: 3_600_000_000}[self._step]]
        if self._keeps and self._step == 1 and row.precision >= MILLISECONDS:
            windows.insert(0, 1_000)
            if row.precision == MICROSECONDS:
                windows.insert(0, 1)
        chosen = int.from_bytes(row.key[:8], "big") + int.from_bytes(row.key[16:], "big")
        for window in windows:
            for probe in range(window // self._step):
                yield row.time // window * window + (chosen + probe) * self._step % window


def by_blocks(outbox: Outbox, of: Profile, rows: Rows) -> End:
    """The result of the real intake."""

    def table() -> Table:
        return Table(HEADER, iter([SourceRow(line, row) for line, row in enumerate(rows)]))

    sent: list[tuple[str, ...]] = []
    dry_run(table(), of, outbox, on_row=sent.append)
    done = accept(table(), of, outbox, ORIGIN, destination=WHERE)
    return sent, done.counts, done.changed, Counter(done.reasons)


# Few users in few hours, so that rows collide in windows of 3,600 times. Some differ only in their score, and
# some are equal, with times that are written with other digits.
DAYS = ("2023-04-24T05:00:00Z", "2023-04-24T05:59:59.5Z", "2023-04-25T00:00:00Z", "never")
DIGITS = {
    "2023-04-24T05:00:00Z": ("2023-04-24T05:00:00.000Z", "2023-04-24T05:00:00.000000Z"),
    "2023-04-24T05:59:59.5Z": ("2023-04-24T05:59:59.500Z", "2023-04-24T05:59:59.5000Z"),
}
NUMBERS = st.integers(0, 400)


def made(number: int, digits: int = 0) -> tuple[str, ...]:
    """A row made from its number. Neighbouring numbers are one detection with different scores."""
    detection, score = divmod(number, 3)
    time = DAYS[min(detection % 25, 3)]
    time = (time, *DIGITS.get(time, (time, time)))[digits]
    return f"u{detection % 2}@b.com", time, str(score), f"n{detection // 8}"


RUNS = st.lists(
    st.tuples(NUMBERS, st.integers(0, 200)).map(lambda span: [(n, 0) for n in range(span[0], sum(span))])
    | st.lists(st.tuples(NUMBERS | st.integers(0, 5), st.integers(0, 2)), max_size=30),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("change", ["", "on_change: skip\n"])
@pytest.mark.parametrize(
    ("policy", "schema"),
    [
        ("{policy: spread, step: 1s}", 1),
        ("{policy: spread}", 1),
        ("{policy: spread}", 2),
        ("{policy: reject}", 1),
        ("{policy: keep-greatest}", 1),
    ],
)
def test_blocks_end_as_rows_one_by_one(policy: str, schema: int, change: str, *, narrow: bool) -> None:
    """Each row of each run is sent at the same time, merged, skipped or refused as if placed alone."""
    of = profile(f"collisions: {policy}\n{change}", schema=schema)
    of = replace(of, limits=Limits(rows=40, bytes=70 if narrow else 1_000_000))

    @settings(max_examples=12)
    @given(RUNS)
    def compared(runs: list[Sequence[tuple[int, int]]]) -> None:
        disk = PowerLossDisk()
        disk.make_dir(ROOT)
        outbox, alone = Outbox(disk, FakeClock(), f"{ROOT}/demo"), OneByOne(of)
        for numbers in runs:
            rows = [made(*number) for number in numbers]
            assert by_blocks(outbox, of, rows) == alone.run(rows)

    compared()
