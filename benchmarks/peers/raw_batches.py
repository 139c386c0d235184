"""The limit: the outbox's files, names, bytes and fsyncs, without anything else. argv: DIR N SYNCS."""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: A batch's files in the order in which they are made, and what is in them.
FILES = {"payload": 10_000, "rowkeys": 48, "state": 4_096, "manifest.json": 810}
RECORD = b"s" * 512
EVENT = b"e" * 210
SYNCS = 11
NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY


def main(path: str, count: int, syncs: int) -> None:
    """For each batch: write, sync, rename and sync its directory; three states, an event, the move."""
    if syncs != SYNCS:
        sys.exit(f"the outbox syncs {syncs} times a batch, this {SYNCS} times: it is no longer like it")
    Path(path).mkdir(parents=True, exist_ok=True)
    Path(path, "audit.log").touch()
    for name in ("tmp", "ready", "done"):
        Path(path, name).mkdir(parents=True)
    contents = {name: b"x" * size for name, size in FILES.items()}
    os.chdir(path)
    print("started", flush=True)
    sys.stdin.readline()
    for number in range(count):
        _accept(number, contents)
        _send(number)


def _accept(number: int, contents: dict[str, bytes]) -> None:
    batch = f"tmp/{number}"
    Path(batch).mkdir(mode=0o700)
    for name, data in contents.items():
        file = os.open(f"{batch}/{name}", NEW, 0o600)
        os.write(file, data)
        os.close(file)
    for name, data in contents.items():
        if data:
            _sync(f"{batch}/{name}")
    _sync(batch)
    Path(batch).rename(f"ready/{number}")
    _sync("ready")


def _send(number: int) -> None:
    batch = f"ready/{number}"
    for at in (1, 2, 3):
        _write(f"{batch}/state", 0, RECORD, at * len(RECORD))
    _write("audit.log", os.O_APPEND, EVENT, 0)
    Path(batch).rename(f"done/{number}")


def _write(path: str, flags: int, data: bytes, offset: int) -> None:
    file = os.open(path, os.O_WRONLY | flags)
    os.pwrite(file, data, offset)
    os.fsync(file)
    os.close(file)


def _sync(path: str) -> None:
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.close(file)


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
