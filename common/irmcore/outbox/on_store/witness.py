"""What a machine has last seen of an outbox on a store, so that it notices one that was restored in place.

Promised: a store that lacks a line of the audit log which this machine has seen is noticed, also if others
were appended since. Not promised: to notice what no machine with a directory of its own has seen. It is for
stores that show at once what was created.
"""

from __future__ import annotations

from typing import NamedTuple

from irmcore.disk import Disk, make_dirs, replace_file
from irmcore.errors import PlaceRefused
from irmcore.outbox import audit_chain, sealed
from irmcore.outbox.audit_chain import START, Head
from irmcore.outbox.on_store import layout
from irmcore.store import Store
from irmcore.store.numbered import Sequence


class Seen(NamedTuple):
    """The newest line of the audit log of the outbox ``outbox`` in its epoch: its number and its MAC."""

    outbox: str
    epoch: int
    number: int
    mac: str


class Witness:
    """The file ``path`` on this machine's disk."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk, self._path = disk, path

    def seen(self) -> Seen | None:
        """What was seen last; None if nothing was, or if the file is damaged. Raises OSError."""
        try:
            return Seen(**sealed.decode(self._disk.read(self._path)))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def save(self, seen: Seen) -> None:
        """Replace what was seen last, unless it is the same. Raises OSError."""
        if seen == self.seen():
            return
        make_dirs(self._disk, self._path.rpartition("/")[0])
        replace_file(self._disk, self._path, sealed.encode(seen._asdict()))


def head_of(line: bytes) -> Head:
    """The number and MAC of a line of the audit log."""
    found = audit_chain.decode(line)
    return found.head if found is not None else START


def has_line(store: Store, newest: bytes, seen: Seen, checkpoints: Sequence) -> bool:
    """Whether the audit log has the line that was seen. ``newest`` is its newest one.

    Raises StoreAway, StoreRefused.
    """
    if head_of(newest).number == seen.number:
        return head_of(newest).mac == seen.mac
    value = store.get(layout.event_key(seen.number))
    if value is not None:
        return head_of(value).mac == seen.mac
    start = checkpoints.newest()  # which replaces lines that are past their time
    return start is not None and head_of(start.value).number >= seen.number


def restored(where: str, lacking: str) -> PlaceRefused:
    """The error of an outbox that lacks what this machine has seen there."""
    name = where.rpartition("/")[2]
    return PlaceRefused(
        f"this outbox was restored to an earlier state (it lacks {lacking}), so it accepts and sends "
        "nothing: what is queued may have been sent since",
        where=where,
        next_step=f"Run `irmexport outbox adopt {name} --why REASON`: what is queued becomes HELD, for a "
        "person to decide.",
    )
