"""The cost of a batch does not depend on how many there are. It is counted in disk calls, not in time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from irmcore.disk import PosixDisk
from irmcore.operations import retention
from irmcore.operations.connectors import Connectors
from irmcore.operations.status import connector_status

from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, row
from tests.fakes.transport import FakeTransport

DAY = 86_400.0


class Counting(PosixDisk):
    """The real disk without syncs. Counts its calls and the names that it lists."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def read(self, path: str) -> bytes:
        self.calls["read"] += 1
        return super().read(path)

    def _write(self, path: str, flags: int, data: bytes, offset: int, *, sync: bool) -> None:
        self.calls["write"] += 1
        self.calls["sync"] += sync
        super()._write(path, flags, data, offset, sync=False)

    def _fsync(self, path: str, flags: int) -> None:
        self.calls["sync"] += 1

    def make_dir(self, path: str) -> None:
        self.calls["make_dir"] += 1
        super().make_dir(path)

    def rename(self, old: str, new: str) -> None:
        self.calls["rename"] += 1
        super().rename(old, new)

    def remove(self, path: str) -> None:
        self.calls["remove"] += 1
        super().remove(path)

    def names(self, path: str) -> list[str]:
        found = super().names(path)
        self.calls["names"] += len(found)
        return found

    def exists(self, path: str) -> bool:
        self.calls["exists"] += 1
        return super().exists(path)


def costs(root: Path, batches: int) -> dict[str, Counter[str]]:
    """The disk calls of each step of the lives of this many batches of one row."""
    disk, clock = Counting(), FakeClock()
    root.mkdir()
    connector = Connector(disk, clock, rows=1, root=str(root))
    connectors = Connectors(disk, clock, str(root))
    found: dict[str, Counter[str]] = {}

    def counted(step: str) -> None:
        found[step] = Counter(disk.calls)
        disk.calls.clear()

    lines = [row(number) for number in range(batches)]
    connector.accept(lines)
    counted("accept")
    connector_status(connector.outbox)
    counted("status")
    service = FakeTransport()
    connector.drain(service)
    counted("drain")
    assert len(service.kept) == batches
    connector.accept(lines)
    counted("accept again")
    disk.remove_tree(f"{connector.outbox.path}/ledger")
    assert connector.accept(lines).counts.skipped == batches
    counted("rebuild")
    clock.advance(8 * DAY)
    assert retention.clean_up(connectors.outboxes()) == ((batches, 0, 0, ""), {})
    counted("clean up")
    return found


def per_batch(root: Path, few: int, many: int) -> dict[str, dict[str, float]]:
    """The cost of one more batch, between a few and many of them."""
    root.mkdir()
    low, high = costs(root / "few", few), costs(root / "many", many)
    return {
        step: {kind: (high[step][kind] - low[step][kind]) / (many - few) for kind in high[step]}
        for step in high
    }


@pytest.mark.parametrize("many", [400, pytest.param(100_000, marks=pytest.mark.faults)])
@pytest.mark.timeout(900)
def test_a_batch_costs_the_same_among_many(tmp_path: Path, many: int) -> None:
    """One more batch among 100,000 costs the calls that one more among 200 costs, at every step."""
    few = per_batch(tmp_path / "a", 100, 200)
    found = per_batch(tmp_path / "b", 200, many)
    for step, kinds in found.items():
        for kind, calls in kinds.items():
            # The first batches create the shards of done/ (at most 256), so a later one costs less.
            assert calls <= few[step].get(kind, 0.0) + 0.05, (step, kind)
    assert sum(found["drain"].values()) < 60
    assert sum(found["accept"].values()) < 40
