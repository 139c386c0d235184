"""What the row ledger costs: merge, look up, merge again, remove and rebuild N keys on this disk.

python benchmarks/ledger.py [KEYS [DAYS]]
"""

from __future__ import annotations

import resource
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from irmcore.disk import PosixDisk
from irmcore.intake.ledger.index import Ledger
from irmcore.outbox.keyring import Keyring
from irmcore.outbox.rowkeys import RowKey, pack

FIRST_DAY = 20_000
BATCH_ROWS = 5_000


def batches(keys: int, days: int) -> Iterator[list[RowKey]]:
    """Batches of 5,000 rows, each with rows of two adjacent event dates."""
    per_day = -(-keys // days)
    for start in range(0, keys, BATCH_ROWS):
        name = secrets.token_bytes(8)
        yield [
            RowKey(secrets.randbits(64), secrets.token_bytes(24), FIRST_DAY + number // per_day, name)
            for number in range(start, min(start + BATCH_ROWS, keys))
        ]


def timed(what: str, act: Callable[[], Any]) -> Any:
    """Run ``act`` and print how long it took, and the peak memory so far."""
    begin = time.perf_counter()
    found = act()
    seconds = time.perf_counter() - begin
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{what:<44} {seconds:8.3f} s   {memory:5d} MB")
    return found


def main(keys: int, days: int) -> None:
    """Measure in a new directory in the current one."""
    disk = PosixDisk()
    with tempfile.TemporaryDirectory(dir=".") as directory:
        path = f"{directory}/ledger"
        ledger = Ledger(disk, path, Keyring.new("benchmark"))
        ledger.create()
        ledger.rebuild(list)
        rows = timed(f"make {keys} keys (not the ledger)", lambda: list(batches(keys, days)))
        records = [pack(group) for group in rows]
        timed(
            f"merge, {len(rows)} batches of {BATCH_ROWS}", lambda: [ledger.merge([each]) for each in records]
        )
        reader = Ledger(disk, path, Keyring.new("benchmark"))
        timed(f"read {days} dates", lambda: [reader.day(FIRST_DAY + day) for day in range(days)])
        flat = [row for group in rows for row in group]
        timed(f"look {keys} keys up", lambda: sum(reader.day(row.day).has(row.key) for row in flat[::-1]))
        timed("merge one more batch", lambda: ledger.merge([pack(next(batches(BATCH_ROWS, 1)))]))
        timed("merge one batch again", lambda: ledger.merge_missing(records[-1]))
        timed("remove one batch", lambda: ledger.remove(records[-1]))
        timed("rebuild all", lambda: ledger.rebuild(lambda: records))


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["1000000"])[0]), int((sys.argv[2:] or ["30"])[0]))
