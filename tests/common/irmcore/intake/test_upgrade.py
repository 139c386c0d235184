"""An outbox that an earlier version has written: nothing of it is sent twice.

``outbox_before_precision.json`` has the files of an outbox (compressed), and the rows that were accepted into
it by the last version that moved every time within its second and kept no original times.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from irmcore.intake.accept import accept
from irmcore.intake.ledger.recovery import open_ledger
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Destination, Outbox
from irmcore.outbox.batch_files import read_manifest, read_payload, read_rowkeys
from irmcore.outbox.rowkeys import unpack
from irmcore.shaping.blocks import SourceRow
from irmcore.shaping.readers import Table

from tests.common.irmcore.profiles import profile
from tests.fakes.clock import FakeClock
from tests.fakes.connector import ORIGIN, ROOT
from tests.fakes.powerloss import PowerLossDisk

FIXTURE = json.loads(Path(__file__).with_name("outbox_before_precision.json").read_text())
ROWS: list[list[str]] = FIXTURE["rows"]
WHERE = Destination("purview-indicators", {"cloud": "commercial", "job_id": "1111"}, "hold")


def old_outbox() -> Outbox:
    """The outbox of the fixture."""
    disk = PowerLossDisk()
    disk.make_dir(ROOT)
    path = f"{ROOT}/demo"
    disk.make_dir(path)
    for name, data in FIXTURE["files"].items():
        if data is None:
            disk.make_dir(name)
        else:
            disk.create(name, zlib.decompress(base64.b64decode(data)))
    return Outbox(disk, FakeClock(), path)


def empty_outbox() -> Outbox:
    """An outbox without any row."""
    disk = PowerLossDisk()
    disk.make_dir(ROOT)
    return Outbox(disk, FakeClock(), f"{ROOT}/demo")


def accepted(outbox: Outbox, rows: list[list[str]], schema: int) -> RunResult:
    """The result of a run of these rows."""
    source = iter([SourceRow(line, tuple(row)) for line, row in enumerate(rows, 2)])
    table = Table(("user", "time", "score", "note"), source)
    return accept(table, profile(schema=schema), outbox, ORIGIN, destination=WHERE)


def payloads(outbox: Outbox) -> list[bytes]:
    """What is queued, in order."""
    return [read_payload(outbox, batch, read_manifest(outbox, batch)) for batch in outbox.ready()]


def as_it_is(outbox: Outbox) -> None:
    """The ledger as the earlier version has left it."""


def without_ledger(outbox: Outbox) -> None:
    """A ledger that has to be rebuilt from the batches."""
    outbox.disk.remove_tree(f"{outbox.path}/ledger/days")


@pytest.mark.parametrize("ledger", [as_it_is, without_ledger])
@pytest.mark.parametrize("schema", [1, 2])
def test_rows_of_an_earlier_version_are_not_sent_again(schema: int, ledger: Callable[[Outbox], None]) -> None:
    """Rows are known by their keys, whichever place they would have now."""
    outbox = old_outbox()
    before = payloads(outbox)
    ledger(outbox)
    done = accepted(outbox, ROWS, schema)
    assert (done.counts.skipped, done.counts.shaped, done.batches) == (len(ROWS), 0, ())
    new = [ROWS[0][0], ROWS[0][1], "1", "a new row"]
    again = accepted(outbox, [*ROWS, new], schema)
    assert (again.counts.skipped, again.counts.shaped) == (len(ROWS), 1)
    assert payloads(outbox)[: len(before)] == before


def test_a_profile_of_version_1_sends_the_times_that_it_has_always_sent() -> None:
    """So the service recognizes rows that another machine, or an outbox that was lost, has sent."""
    outbox = empty_outbox()
    accepted(outbox, ROWS, 1)
    assert payloads(outbox) == payloads(old_outbox())


def test_a_time_that_an_earlier_version_has_sent_stays_taken() -> None:
    """A row at full precision moves within its millisecond if an earlier version has sent that time."""
    outbox = old_outbox()
    line = payloads(outbox)[0].decode().splitlines()[1].split(",")
    done = accepted(outbox, [[line[0], line[1], "7", "another"]], 2)
    assert done.counts.shaped == 1
    user_times = [row.user_time for batch in outbox.ready() for row in unpack(read_rowkeys(outbox, batch))]
    assert len(set(user_times)) == len(ROWS) + 1
    time = payloads(outbox)[-1].decode().splitlines()[1].split(",")[1]
    assert time != line[1]
    assert time[:23] == line[1][:23]


def test_a_batch_keeps_the_original_times_of_its_rows() -> None:
    """In the order of the rows, with their precision; an earlier version kept neither."""
    outbox = empty_outbox()
    accepted(outbox, ROWS[:4], 2)
    kept = [
        (row.time, row.precision) for batch in outbox.ready() for row in unpack(read_rowkeys(outbox, batch))
    ]
    second = 1_795_166_100_000_000
    assert kept == [(second, 1), (second + 250_000, 2), (second + 250_001, 3), (second + 500_000, 2)]
    assert {row.precision for row in unpack(next(open_ledger(old_outbox()).records()))} == {0}
