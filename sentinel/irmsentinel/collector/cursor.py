"""How far the collector has read: one file beside its outbox, always replaced as a whole.

Everything that became available before ``collected`` is durable in the outbox; a failed blob holds
``collected`` back. ``contents`` are the blobs after ``collected - overlap`` that are in the outbox as well,
and ``failed`` those that were listed and could not be fetched.
Losing the file costs time but no record: the next run reads everything again, and the row ledger skips known
records.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from irmcore.errors import DamageError, UnknownFormat
from irmcore.outbox import Outbox, sealed, states
from irmcore.outbox.batch_files import read_manifest

FILE = "cursor"
FORMAT = 1
_KEPT_GAPS = 50
#: Blobs that a cursor on a store names: a value there has 1 MiB, and each of these 50 bytes.
_KEPT_CONTENTS = 15_000


@dataclass(frozen=True)
class Gap:
    """Content from ``start`` to ``end`` (seconds since 1970) that can no longer be fetched.

    ``blobs``: how many of that time; 0 if it is all of them.
    """

    start: int
    end: int
    why: str
    blobs: int = 0


@dataclass
class Cursor:
    """``collected`` in whole seconds since 1970, 0 before the first run.

    ``contents`` and ``failed``: digest → created.
    """

    collected: int = 0
    contents: dict[str, int] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    gone: int = 0
    failed: dict[str, int] = field(default_factory=dict)

    def knows(self, content_id: str) -> bool:
        return digest(content_id) in self.contents

    def add(self, content_id: str, created: float) -> None:
        self.contents[digest(content_id)] = int(created)
        self.failed.pop(digest(content_id), None)

    def add_failed(self, content_id: str, created: float) -> None:
        self.failed[digest(content_id)] = int(created)

    def move(self, to: int, overlap: int) -> None:
        """Set ``collected``, and forget the blobs that no later run lists."""
        self.collected = to
        self.contents = {name: at for name, at in self.contents.items() if at >= to - overlap}
        self.failed = {name: at for name, at in self.failed.items() if at >= to - overlap}


def digest(content_id: str) -> str:
    """A short key for a content ID of any length."""
    return hashlib.blake2b(content_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def load(outbox: Outbox) -> Cursor:
    """The cursor; a new one if there is none or it is damaged. Raises UnknownFormat."""
    try:
        # `exists` reads what is new in an outbox on a store.
        raw = sealed.decode((outbox.read_file(FILE) if outbox.exists() else None) or b"")
        version = raw["format"]
    except (ValueError, KeyError, TypeError):
        return Cursor()
    if version != FORMAT:
        raise UnknownFormat(
            f"this cursor has format {version}; this version of irmexport reads format {FORMAT}",
            where=f"{outbox.path}/{FILE}",
            next_step="Use the version of irmexport that wrote it, or a later one.",
        )
    try:
        gaps = [Gap(**gap) for gap in raw["gaps"]]
        contents, failed = (
            {str(name): int(at) for name, at in raw.get(key, {}).items()} for key in ("contents", "failed")
        )
        return Cursor(int(raw["collected"]), contents, gaps, int(raw["gone"]), failed)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Cursor()


def store(outbox: Outbox, cursor: Cursor) -> None:
    """Replace the stored cursor, durably. Raises OSError, StoreAway, StoreRefused."""
    contents = cursor.contents
    if not outbox.has_ledger and len(contents) > _KEPT_CONTENTS:  # on a store; others are fetched again
        newest = sorted(contents.items(), key=lambda item: item[1])[-_KEPT_CONTENTS:]
        contents = dict(newest)
    document = {
        "format": FORMAT,
        "collected": cursor.collected,
        "contents": contents,
        "gaps": [vars(gap) for gap in cursor.gaps[-_KEPT_GAPS:]],
        "gone": cursor.gone,
        "failed": cursor.failed,
    }
    outbox.replace_file(FILE, sealed.encode(document))


def acknowledged(outbox: Outbox, cursor: Cursor) -> int:
    """The time until which the workspace has acknowledged everything: before the oldest unfinished batch.

    0 if an unfinished batch is damaged, because its time is then unknown.
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
