"""The limit: write, fsync, rename and fsync the directory, with further fsyncs. argv: DIR N SYNCS."""

from __future__ import annotations

import os
import sys
from pathlib import Path

BYTES = 10_000


def main(path: str, count: int, syncs: int) -> None:
    """``syncs`` for each file, including those of the directory."""
    Path(path).mkdir(parents=True)
    directory = os.open(path, os.O_RDONLY)
    print("started", flush=True)
    sys.stdin.readline()
    for number in range(count):
        file = os.open(f"{path}/new", os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(file, b"x" * BYTES)
        os.fsync(file)
        for _ in range(syncs - 2):
            os.pwrite(file, b"y" * 512, 0)  # a sync of nothing new would cost nothing
            os.fsync(file)
        os.close(file)
        Path(f"{path}/new").rename(f"{path}/{number}")
        os.fsync(directory)


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
