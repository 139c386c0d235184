"""The log is rotated once, however many processes find it full."""

from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

from irmsplunk.splunk.app_log import LIMIT, append_line

WRITERS, ROUNDS = 8, 12


def write(folder: str, number: int, together: Barrier) -> None:
    """Write one line in each round, at the same time as all others."""
    for turn in range(ROUNDS):
        together.wait(60)
        append_line(f"{folder}/{turn}.log", b"%d\n" % number)


def test_processes_that_rotate_at_the_same_time_lose_no_line(tmp_path: Path) -> None:
    """The full file becomes the older one; every line is in one of the two."""
    for turn in range(ROUNDS):
        with (tmp_path / f"{turn}.log").open("wb") as file:
            file.truncate(LIMIT + 1)
    context = multiprocessing.get_context("fork")
    together = context.Barrier(WRITERS)
    writers = [
        context.Process(target=write, args=(str(tmp_path), number, together)) for number in range(WRITERS)
    ]
    for process in writers:
        process.start()
    for process in writers:
        process.join(60)
    for turn in range(ROUNDS):
        older = tmp_path / f"{turn}.log.1"
        assert older.stat().st_size > LIMIT
        with older.open("rb") as file:
            file.seek(LIMIT + 1)
            tail = file.read()
        newer = tmp_path / f"{turn}.log"
        lines = tail.split() + (newer.read_bytes().split() if newer.exists() else [])
        assert sorted(lines) == sorted(b"%d" % number for number in range(WRITERS))
