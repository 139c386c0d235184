"""Histories and moves: a line that was recorded survives a power loss, and a moving batch is found."""

from __future__ import annotations

import errno
import json
from typing import Callable

import pytest
from irmcore.outbox import staging_directory
from irmcore.outbox.transitions import (
    discard,
    move_to_done,
    move_to_ready,
    quarantine,
    record_event,
    write_state,
)

from tests.common.irmcore.outbox.outboxes import accept, make
from tests.fakes.powerloss import PowerLossDisk


def test_a_recorded_event_survives_a_power_loss() -> None:
    """Whatever a power loss takes, it does not take a line of the history that was recorded before."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    disk.sync_dir("/")
    outbox = make(disk=disk)
    (batch,) = accept(outbox, b"a")
    for number in range(2):
        record_event(outbox, batch, {"event": f"x{number}"})
        for after in disk.after_power_loss():
            lines = after.read(f"{outbox.path}/audit.log").decode().splitlines()
            assert [json.loads(line)["event"] for line in lines][-1] == f"x{number}"


def test_a_line_after_a_cut_one_stands_alone() -> None:
    """A line that a crash cut off does not spoil the next one."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    outbox.disk.append(f"{outbox.path}/audit.log", b'{"event": "cu', sync=True)
    record_event(outbox, batch, {"event": "next"})
    last = outbox.disk.read(f"{outbox.path}/audit.log").decode().splitlines()[-1]
    assert json.loads(last)["event"] == "next"


def test_a_batch_that_cannot_be_deleted_stays_whole() -> None:
    """It is back after a power loss that undoes the move, or where it was moved; others get the directory."""
    for operation in (1, 2):
        outbox = make()
        (batch,) = accept(outbox, b"a")
        disk = outbox.disk
        assert isinstance(disk, PowerLossDisk)
        whole = disk.names(batch.path)
        disk.fail_at[disk.operations + operation] = errno.EIO
        with pytest.raises(OSError, match="Input/output"):
            discard(outbox, batch.path)
        found = batch.path if operation == 1 else f"{outbox.tmp}/0/{batch.id}"
        assert disk.names(found) == whole
        staging_directory.acquire(disk, outbox.tmp).close()
        assert disk.names(f"{outbox.tmp}/0") == []


class Moving(PowerLossDisk):
    """A disk on which something happens once, after the n-th answer about a path or a directory."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0
        self.event: Callable[[], object] | None = None

    def _answered(self) -> None:
        self.at -= 1
        if self.at == 0 and self.event is not None:
            event, self.event = self.event, None
            event()

    def exists(self, path: str) -> bool:
        answer = super().exists(path)
        self._answered()
        return answer

    def names(self, path: str) -> list[str]:
        answer = super().names(path)
        self._answered()
        return answer

    def read(self, path: str) -> bytes:
        answer = super().read(path)
        self._answered()
        return answer


@pytest.mark.parametrize("move", ["done", "quarantine", "back"])
@pytest.mark.parametrize("by", ["find", "ids", "folder_of"])
def test_a_batch_that_moves_meanwhile_is_found(move: str, by: str) -> None:
    """At whatever moment a batch moves, whoever looks for it finds it, once."""
    number = 0
    while True:
        number += 1
        disk = Moving()
        disk.make_dir("/outbox")
        outbox = make(disk=disk)
        (batch,) = accept(outbox, b"a")
        sent = write_state(outbox, batch, name="SENT")
        if move == "back":
            quarantine(outbox, sent)
            sent = outbox.get(batch.id)
        disk.event = {
            "done": lambda: move_to_done(outbox, sent),  # noqa: B023 - called in this round
            "quarantine": lambda: quarantine(outbox, sent),  # noqa: B023 - as above
            "back": lambda: move_to_ready(outbox, sent),  # noqa: B023 - as above
        }[move]
        disk.at = number
        if by == "find":
            found = outbox.find(batch.id)
            assert found is not None, number
            assert found.state is not None, number
            assert found.state.name == "SENT"
        elif by == "ids":
            assert list(outbox.ids()) == [batch.id], number
        else:
            assert outbox.folder_of(batch.id) is not None, number
        if disk.event is not None:
            break
    assert number > 1
