"""The table of operations on a store in docs/scale.md is what a simulation counts."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from pathlib import Path

from irmcore.intake.promotion import create_there

from tests.common.irmcore.intake.test_promotion import Member
from tests.fakes.clock import FakeClock
from tests.fakes.shared_outbox import machine
from tests.fakes.store import MemoryService, MemoryStore
from tests.fakes.transport import FakeTransport

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
WHERE = "az://account/container/demo"
#: Rows of a batch, and drains a day: one every five minutes, as the Function app has it.
BATCH, DRAINS = 5_000, 288
#: Runs after which row keys are indexed: how many came since decides what a run reads.
CYCLE = 8
#: Dollars for 10,000 operations: the assumptions of the page.
WRITE, READ = 0.055, 0.0044


class Account:
    """A storage account with one connector's outbox, used by instances that keep nothing."""

    def __init__(self) -> None:
        self.service, self.clock, self.billed = MemoryService(), FakeClock(), Counter[str]()
        self.transport, self._instances = FakeTransport(), 0

    def _plan(self, verb: str, key: str) -> None:
        kind = {"create": "write", "keys": "write", "get": "read"}.get(verb)
        if kind is not None:
            self.billed[kind] += 1

    def run(self, rows: int, day: int) -> Counter[str]:
        """The operations of a run of that many rows on a new instance, and of the drain that sends them."""
        self.billed.clear()
        self._instances += 1
        member = Member(self.service, f"instance{self._instances}", self._plan)
        member.outbox.create()
        create_there(member.outbox, member.shared)
        date = datetime.date(2026, 1, 1) + datetime.timedelta(days=day)
        member.send("".join(f"u{n}@contoso.com,{date}T10:00:00Z,1,a{n}\r\n" for n in range(rows)))
        member.clock.advance(3_600)
        self.clock = member.clock
        self._drain()
        return Counter(self.billed)

    def idle(self) -> Counter[str]:
        """The operations of a drain with nothing to send, on a new instance."""
        self.clock.advance(3_600)
        self.billed.clear()
        self._drain()
        return Counter(self.billed)

    def _drain(self) -> None:
        store = MemoryStore(self.service, self._plan)
        machine(store, self.clock, where=WHERE).drain(self.transport)


def average(batches: int) -> tuple[float, float]:
    """Writes and reads of a daily run of so many batches, over a cycle that begins with full indexes."""
    account, total = Account(), Counter[str]()
    for day in range(2 * CYCLE):
        found = account.run(batches * BATCH if day >= CYCLE else 5, day)
        total += found if day >= CYCLE else Counter()
    return total["write"] / CYCLE, total["read"] / CYCLE


def dollars(writes: float, reads: float) -> float:
    """What so many operations cost."""
    return (writes * WRITE + reads * READ) / 10_000


def test_a_cold_start_does_not_grow_with_the_days_kept() -> None:
    """A drain with nothing to send has the same operations after a day and after forty."""
    account = Account()
    account.run(5, 0)
    first = account.idle()
    for day in range(1, 40):
        account.run(5, day)
    assert account.idle() == first
    text = f"takes {first['write']} writes and lists and {first['read']} reads"
    assert text in re.sub(r"\s+", " ", PAGE.read_text(encoding="utf-8"))


def test_the_table_is_what_a_simulation_counts() -> None:
    """A day is one run, its drain, and drains with nothing to send; a further batch costs the same again."""
    account = Account()
    account.run(5, 0)
    idle = account.idle()
    one, three = average(1), average(3)
    table = re.findall(r"^\| ([\d,]+) \| (\d+) \| ([\d,]+) \| ([\d,]+) \| ([\d.]+) \| (\d+) % \|$",
                       PAGE.read_text(encoding="utf-8"), re.MULTILINE)  # fmt: skip
    assert len(table) == 3
    for row in table:
        rows, batches, writes, reads = (int(cell.replace(",", "")) for cell in row[:4])
        assert batches * BATCH == rows
        run = [a + (b - a) / 2 * (batches - 1) for a, b in zip(one, three, strict=True)]
        rest = (idle["write"] * (DRAINS - 1), idle["read"] * (DRAINS - 1))
        day = (run[0] + rest[0], run[1] + rest[1])
        assert (writes, reads) == (round(day[0]), round(day[1]))
        assert float(row[4]) == round(dollars(*day), 2)
        assert int(row[5]) == round(100 * dollars(*rest) / dollars(*day))
