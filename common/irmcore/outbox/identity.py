"""``outbox.json``: which outbox this is, and where it was made.

A copy of an outbox would send what the original has sent. So a sender and a run compare the host and the
directory with those on record, and stop where they differ. What cannot be noticed is a restored image of the
whole disk: there, both are the same.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, replace

from irmcore.disk import Place
from irmcore.outbox import sealed

FORMAT = 4


@dataclass(frozen=True)
class Identity:
    """An outbox. ``created`` in seconds since 1970.

    ``epoch`` grows when a person adopts it elsewhere. ``host``, ``file_system``, ``inode`` and
    ``inode_generation`` are those of its directory, None or "" if unknown. ``retired``: it never sends again.
    """

    id: str
    epoch: int
    host: str | None
    file_system: str
    inode: int | None
    created: float
    retired: bool = False
    inode_generation: int | None = None

    @staticmethod
    def new(place: Place, now: float) -> Identity:
        """The identity of an outbox that is made at ``place``."""
        return Identity(secrets.token_hex(16), 1, created=now, **place._asdict())

    def moved(self, place: Place) -> Identity:
        """The same outbox, adopted at ``place``."""
        return replace(self, epoch=self.epoch + 1, **place._asdict())

    def difference(self, place: Place) -> str:
        """Why ``place`` is not where the outbox was made; "" if nothing speaks against it."""
        if self.host is not None and place.host is not None and self.host != place.host:
            return "this outbox was made on another machine"
        here = ((self.inode, place.inode), (self.inode_generation, place.inode_generation))
        if any(None not in pair and pair[0] != pair[1] for pair in here):
            return "this outbox was copied, restored or moved"
        return ""


def encode(identity: Identity) -> bytes:
    """The contents of ``outbox.json``."""
    return sealed.encode({"format": FORMAT, **asdict(identity)})


def decode(data: bytes) -> Identity:
    """What ``encode`` wrote. Raises ValueError for anything else."""
    values = sealed.decode(data)
    try:
        if values.pop("format") != FORMAT:
            raise ValueError("an unknown format")
        return Identity(**values)
    except (KeyError, TypeError):
        raise ValueError("not an identity") from None
