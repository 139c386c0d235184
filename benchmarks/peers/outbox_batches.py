"""Ours: one batch per run, accepted, sent and finished, without a network. argv: [--count] DIR [N [_]]."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from irmcore.clock import SystemClock
from irmcore.counts import Counts
from irmcore.disk import PosixDisk
from irmcore.outbox import Destination, Draft, Origin, Outbox, Run, accept_run
from irmcore.outbox.batch_files import read_manifest, read_payload
from irmcore.outbox.states import COMMIT, INTENT, SENT
from irmcore.outbox.transitions import move_to_done, record_event, write_state

BYTES = 10_000
KEY_BYTES = 48  # of the row keys of one row


class Counting(PosixDisk):
    """Notes the syncs, also those of several threads at once."""

    def __init__(self) -> None:
        self.synced: list[str] = []

    def _fsync(self, path: str, flags: int) -> None:
        self.synced.append(path)
        super()._fsync(path, flags)

    def _write(self, path: str, flags: int, data: bytes, offset: int, *, sync: bool) -> None:
        self.synced += [path] * sync
        super()._write(path, flags, data, offset, sync=sync)


def batch(outbox: Outbox, number: int) -> None:
    """One batch from staging to its receipt, with every step that makes it durable."""
    where = Destination("bench", {"to": "nowhere"}, "hold")
    payload = (b"%d of %d\n" % (number, os.getpid())).ljust(BYTES, b".")
    run = Run("run", 0.0, Origin("bench", "here", "bench"), {}, Counts(), "bench")
    (name,) = accept_run(outbox, run, [Draft(payload, "text/plain", where, 1, lambda _: bytes(KEY_BYTES))])
    found = outbox.get(name)
    manifest = read_manifest(outbox, found)
    read_payload(outbox, found, manifest)
    for state in (INTENT, COMMIT, SENT):
        found = write_state(outbox, found, name=state)
    record_event(outbox, found, {"event": "sent"})
    move_to_done(outbox, found)


def main(arguments: list[str]) -> None:
    """Create an outbox, print a line, wait for a line, then do N batches."""
    count = arguments[0] == "--count"
    path = arguments[count]
    disk = Counting() if count else PosixDisk()
    Path(path).mkdir(parents=True, exist_ok=True)
    outbox = Outbox(disk, SystemClock(), f"{path}/box")
    outbox.create()
    if isinstance(disk, Counting):
        batch(outbox, 0)  # the first also makes directories
        before = len(disk.synced)
        batch(outbox, 1)
        print(len(disk.synced) - before)
        return
    print("started", flush=True)
    sys.stdin.readline()
    for number in range(int(arguments[1])):
        batch(outbox, number)


main(sys.argv[1:])
