"""A batch as it lies on disk: its id, where it is, and its newest state."""

from __future__ import annotations

from typing import NamedTuple

from irmcore.disk import BAD_FILE_ERRNOS, Disk
from irmcore.errors import UnknownFormat
from irmcore.outbox import state_file
from irmcore.outbox.states import State


class Batch(NamedTuple):
    """A batch at the moment it was read.

    ``folder`` is ready, done or quarantine. ``state`` is None if no state record can be read, and
    ``number`` is the number of the newest one. ``damaged``: a state record fails its check.
    ``unknown``: a later version of irmexport wrote the state. ``denied``: this user may not read it.
    The sender touches neither of the last two.
    """

    id: str
    path: str
    folder: str
    state: State | None
    number: int
    damaged: bool
    unknown: bool = False
    denied: bool = False


def load(disk: Disk, path: str, folder: str) -> Batch:
    """Read the state of the batch in the directory ``path``.

    A state that is missing, damaged or of another version is a value, not an error.
    Raises OSError if the whole disk fails.
    """
    name = path.rsplit("/", 1)[1]
    try:
        found = state_file.decode(disk.read(f"{path}/state"), f"{path}/state")
        state = State.of(found.record, name) if found.record is not None else None
        number, damaged = found.number, found.damaged or state is None
    except UnknownFormat:
        return Batch(name, path, folder, None, -1, damaged=False, unknown=True)
    except PermissionError:
        return Batch(name, path, folder, None, -1, damaged=False, denied=True)
    except (FileNotFoundError, NotADirectoryError, KeyError, TypeError):
        state, number, damaged = None, -1, True
    except OSError as error:
        if error.errno not in BAD_FILE_ERRNOS:
            raise
        state, number, damaged = None, -1, True
    return Batch(name, path, folder, state, number, damaged)
