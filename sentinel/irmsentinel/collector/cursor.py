"""How far the collector has read, kept beside its outbox as one file that is replaced as a whole.

``collected``: all content that was made available before it is in the outbox, durably (a late blob that
failed aside, which keeps it where it is). ``contents`` are the blobs after ``collected - overlap`` that are
in it as well. Losing the file costs time and no record: all is read again, and the row ledger knows records.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from irmcore.errors import DamageError, UnknownFormat
from irmcore.outbox import Outbox, states
from irmcore.outbox.batch_files import read_manifest

FILE = "cursor"
FORMAT = 1
_KEPT_GAPS = 50


@dataclass(frozen=True)
class Gap:
    """Content made available from ``start`` to ``end`` (seconds since 1970), out of reach for ever."""

    start: int
    end: int
    why: str


@dataclass
class Cursor:
    """``collected`` in whole seconds since 1970, 0 before the first run; ``contents``: digest → created."""

    collected: int = 0
    contents: dict[str, int] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    gone: int = 0

    def knows(self, content_id: str) -> bool:
        return digest(content_id) in self.contents

    def add(self, content_id: str, created: float) -> None:
        self.contents[digest(content_id)] = int(created)

    def move(self, to: int, overlap: int) -> None:
        """``to`` is the new ``collected``; what no run will list again is forgotten."""
        self.collected = to
        self.contents = {name: at for name, at in self.contents.items() if at >= to - overlap}


def digest(content_id: str) -> str:
    """A content id of any length, short."""
    return hashlib.blake2b(content_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def load(outbox: Outbox) -> Cursor:
    """The cursor; a new one if there is none or it cannot be read. Raises UnknownFormat."""
    try:
        raw = json.loads(outbox.read_file(FILE) or b"")
        version = raw["format"]
    except (ValueError, KeyError, TypeError):
        return Cursor()
    if version != FORMAT:
        raise UnknownFormat(
            f"this cursor has format {version}; this version knows {FORMAT}",
            where=f"{outbox.path}/{FILE}",
            next_step="Use the irmexport version that wrote it, or a later one.",
        )
    try:
        gaps = [Gap(**gap) for gap in raw["gaps"]]
        contents = {str(name): int(at) for name, at in raw["contents"].items()}
        return Cursor(int(raw["collected"]), contents, gaps, int(raw["gone"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Cursor()


def store(outbox: Outbox, cursor: Cursor) -> None:
    """Put the cursor in place of the last one, durably. Raises OSError."""
    document = {
        "format": FORMAT,
        "collected": cursor.collected,
        "contents": cursor.contents,
        "gaps": [vars(gap) for gap in cursor.gaps[-_KEPT_GAPS:]],
        "gone": cursor.gone,
    }
    outbox.replace_file(FILE, json.dumps(document).encode("ascii"))


def acknowledged(outbox: Outbox, cursor: Cursor) -> int:
    """Up to when everything has a receipt of the workspace: ``collected``, less what waits in the outbox.

    0 if a batch waits of which nobody can say what it holds.
    """
    at = cursor.collected
    for batch in [*outbox.ready(), *outbox.quarantined()]:
        if batch.state is not None and batch.state.name in states.ENDED:
            continue
        try:
            at = min(at, int(read_manifest(outbox, batch).origin.details.get("since", 0)))
        except DamageError:
            return 0
    return at
