"""The pipeline with and without workers: the same batches, counts and refusals for any input."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from irmcore.disk import PosixDisk
from irmcore.errors import InputError
from irmcore.intake.ledger.index import Ledger
from irmcore.intake.pipeline import Pipeline
from irmcore.outbox.keyring import Keyring
from irmcore.profile import Limits, Profile
from irmcore.shaping.readers import csv_table

from tests.common.irmcore.profiles import profile

USER = st.sampled_from(("sarad@contoso.com", "SaraD@contoso.com", "b@contoso.com", "nobody", ""))
TIME = st.sampled_from(("2026-11-20T08:00:00Z", "2026-11-20T08:00:00.5Z", "2026-11-21T08:00:00Z", "never"))
NOTE = st.sampled_from(
    ("x", "", '"a, b"', '"say ""no"""', '"two\nlines"', '"two\r\nlines"', "zo\u00eb", "=1", "x,y")
)
ROW = st.builds("{},{},{},{}".format, USER, TIME, st.sampled_from(("1", "2", "many")), NOTE)
RING = Keyring("an outbox", (b"s" * 32,))
ROWS = st.lists(ROW | st.sampled_from(("", "short", 'a"b,2026-11-20T08:00:00Z,1,"x')), max_size=60)
POLICIES = ("{policy: spread, step: 1s}", "{policy: spread}", "{policy: reject}", "{policy: keep-greatest}")


def run(of: Profile, data: bytes, known: Ledger | None, workers: int) -> tuple[Any, ...]:
    """Everything that a pipeline gives, or its error."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with Path(file.name).open("rb") as stream:
            pipeline, rejects, rows = Pipeline(of, known, workers=workers), [], []
            try:
                table = csv_table(stream, name="in.csv")
                batches = [
                    (filled.payload, filled.rowkeys(b"batch id"))
                    for filled in pipeline.batches(
                        table, "in.csv", None, lambda reject, _: rejects.append(reject), rows.append
                    )
                ]
            except InputError as error:
                return (str(error),)
            return batches, pipeline.counts(), pipeline.reasons, pipeline.changed, rejects, rows


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=12)
@given(ROWS, ROWS, st.sampled_from(("\n", "\r\n")))
def test_workers_change_nothing(policy: str, before: list[str], rows: list[str], end: str) -> None:
    """Plain, unusual, refused, repeated and already accepted rows end as they do without workers."""
    of = profile(f"collisions: {policy}\n")
    head = f"user,time,score,note{end}"
    first = (head + "".join(f"{row}{end}" for row in before)).encode()
    data = (head + "".join(f"{row}{end}" for row in rows + before[::2] + rows[::3])).encode()
    with tempfile.TemporaryDirectory() as place:
        ledger = Ledger(PosixDisk(), place, RING)
        ledger.create()
        ledger.rebuild(list)
        sent = run(of, first, None, 0)
        if len(sent) > 1:
            ledger.merge(rowkeys for _, rowkeys in sent[0])
        alone = run(of, data, Ledger(PosixDisk(), place, RING), 0)
        assert run(of, data, Ledger(PosixDisk(), place, RING), 2) == alone


def many(rows: int, note: str = "note") -> bytes:
    """An input of many plain rows."""
    lines = (
        f"u{at % 97}@contoso.com,2026-11-{20 + at % 5}T08:00:00Z,{at % 7},{note} {at}\n" for at in range(rows)
    )
    return b"user,time,score,note\n" + "".join(lines).encode()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_at_a_large_input(workers: int) -> None:
    """Full batches are the same to the byte, whatever the number of workers."""
    data = many(30_000)
    assert run(profile(), data, None, workers) == run(profile(), data, None, 0)


def test_workers_find_rows_that_are_too_large() -> None:
    """A chunk with a row that may not fit is examined row by row, and the chunks after it are not lost."""
    of = profile()
    of = type(of)(**{**vars(of), "limits": Limits(rows=1_000, bytes=100_000)})
    head, _, rows = many(30_000).partition(b"\n")
    data = head + b"\nu@contoso.com,2026-11-20T08:00:00Z,1," + b"x" * 100_000 + b"\n" + rows
    alone = run(of, data, None, 0)
    assert alone[2] == {("", "row-too-large"): 1}
    assert run(of, data, None, 2) == alone


def children() -> list[int]:
    """The child processes of this process."""
    found = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    return [int(process) for processes in found for process in processes]


@pytest.mark.parametrize("which", [slice(0, 1), slice(1, 2), slice(0, 2)])
def test_killed_workers_cost_no_row(which: slice, tmp_path: Path) -> None:
    """The parent shapes what they have not given: the batches are the same."""
    data = many(20_000, note="x" * 500)
    alone = run(profile(), data, None, 0)[0]
    file = tmp_path / "in.csv"
    file.write_bytes(data)
    with file.open("rb") as stream:
        pipeline = Pipeline(profile(), None, workers=2)
        before = set(children())
        batches = pipeline.batches(csv_table(stream, name="in.csv"), "in.csv")
        payloads = [next(batches).payload]
        started = sorted(set(children()) - before)
        assert len(started) == 2
        for process in started[which]:
            os.kill(process, signal.SIGKILL)
        payloads += [filled.payload for filled in batches]
    assert payloads == [payload for payload, _ in alone]
    assert set(children()) == before


@pytest.mark.parametrize("note", ["longer", "same", "note"])
def test_a_file_that_changes_meanwhile_is_refused(note: str, tmp_path: Path) -> None:
    """Workers read at different moments, so a file that was written is not one input, whatever its size."""
    file = tmp_path / "in.csv"
    file.write_bytes(many(20_000))
    os.utime(file, (0, 0))  # so that the next write changes its time on any file system
    with file.open("rb") as stream:
        batches = Pipeline(profile(), None, workers=2).batches(csv_table(stream, name="in.csv"), "in.csv")
        next(batches)
        file.write_bytes(many(20_000, note=note))
        with pytest.raises(InputError, match="the file was changed while it was read"):
            list(batches)


def test_rows_that_are_placed_one_by_one_are_not_read_from_a_changed_file(tmp_path: Path) -> None:
    """Rows that repeat others are read a second time, and by then a chunk may have fewer of them."""
    file = tmp_path / "in.csv"
    rows = many(20_000)
    file.write_bytes(rows + rows.partition(b"\n")[2])
    os.utime(file, (0, 0))  # so that the next write changes its time on any file system
    with file.open("rb") as stream:
        batches = Pipeline(profile(), None, workers=2).batches(csv_table(stream, name="in.csv"), "in.csv")
        next(batches)
        longer = many(20_000, note="x" * 500)
        file.write_bytes(longer + longer.partition(b"\n")[2])
        with pytest.raises(InputError, match="the file was changed while it was read"):
            list(batches)
