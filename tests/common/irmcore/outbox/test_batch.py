"""A batch as it is read: what cannot be read of it is a value, and an error of the disk is an error."""

from __future__ import annotations

import errno
import os
import re

import pytest
from irmcore.outbox import state_file
from irmcore.outbox.batch import Batch, load
from irmcore.outbox.states import State

from tests.fakes.powerloss import PowerLossDisk

NAME = "ab" * 32
PATH = f"/ready/{NAME}"
STATE = State("RETRY", 5.0, 7, attempts=2)


class Failing(PowerLossDisk):
    """A disk on which every file has this content, or fails to be read."""

    def __init__(self, found: bytes | int) -> None:
        super().__init__()
        self._found = found

    def read(self, path: str) -> bytes:
        if isinstance(self._found, int):
            raise OSError(self._found, os.strerror(self._found), path)
        return self._found


def loaded(found: bytes | int) -> Batch:
    """A batch whose state file has this content, or fails with this error."""
    return load(Failing(found), PATH, "ready")


def record(**changes: object) -> bytes:
    """A state file with one record."""
    return state_file.new_file({**STATE.as_record(NAME), **changes})


def test_a_batch_whose_state_can_be_read() -> None:
    """It has the newest state, and its number."""
    assert loaded(record()) == Batch(NAME, PATH, "ready", STATE, 0, damaged=False)
    damaged = bytearray(record())
    damaged[-1] = 1
    assert loaded(bytes(damaged)) == Batch(NAME, PATH, "ready", STATE, 0, damaged=True)


@pytest.mark.parametrize(
    "found",
    [*(errno.ENOENT, errno.ENOTDIR, errno.EIO, errno.EBADMSG, errno.EISDIR, errno.ELOOP), b""],
)
def test_a_batch_without_a_state(found: bytes | int) -> None:
    """It is damaged, and has no record whose number could be counted on."""
    assert loaded(found) == Batch(NAME, PATH, "ready", None, -1, damaged=True)


@pytest.mark.parametrize("changes", [{"batch": "another"}, {"batch": 7}])
def test_the_state_of_another_batch(changes: dict[str, object]) -> None:
    """It says nothing about this one."""
    assert loaded(record(**changes))[3:6] == (None, -1, True)


def test_a_state_that_is_not_for_this_process() -> None:
    """That of a later version, and one that this user may not read, are no damage."""
    assert loaded(record(v=2)) == Batch(NAME, PATH, "ready", None, -1, damaged=False, unknown=True)
    for code in (errno.EACCES, errno.EPERM):
        assert loaded(code) == Batch(NAME, PATH, "ready", None, -1, damaged=False, denied=True)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.ENXIO, errno.ESTALE])
def test_an_error_of_the_whole_disk(code: int) -> None:
    """It is not taken for damage of the batch."""
    with pytest.raises(OSError, match=re.escape(os.strerror(code))) as raised:
        loaded(code)
    assert raised.value.errno == code
