"""How far an aggregation of a workspace was read: a file beside the connector's outbox.

It is replaced as a whole and durably, and only after the rows before it are in the outbox. If it is lost, the
export starts like a first run, and the row ledger skips the rows that were accepted.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from irmcore.errors import DamageError
from irmcore.outbox import Outbox, sealed

from irmsentinel.export.source_rows import NoRows

FORMAT = 1
_PLAIN = re.compile(r"[0-9a-z][0-9a-z-]{0,63}")


@dataclass(frozen=True)
class Cursor:
    """Everything before ``read_to`` is in the outbox.

    ``at`` is when this was written; ``no_rows`` is why the last run read nothing, None if it read rows.
    """

    read_to: datetime
    at: datetime
    no_rows: NoRows | None = None


class CursorFile:
    """The cursor of one aggregation and workspace in a connector's outbox."""

    def __init__(self, outbox: Outbox, aggregation: str, workspace: str) -> None:
        # Each workspace has a cursor of its own. A label from outside becomes part of a path only if it is
        # plain.
        label = (
            workspace if _PLAIN.fullmatch(workspace) else hashlib.sha256(workspace.encode()).hexdigest()[:16]
        )
        self._outbox = outbox
        self._file = f"cursor-{aggregation}-{label}"

    @property
    def path(self) -> str:
        """Its path, for messages."""
        return f"{self._outbox.path}/{self._file}"

    def load(self) -> Cursor | None:
        """The cursor; None before the first run. Raises DamageError."""
        data = self._outbox.read_file(self._file) if self._outbox.exists() else None
        if data is None:
            return None
        try:
            document = sealed.decode(data)
            read_to, at = (datetime.fromisoformat(document[key]).astimezone(UTC) for key in ("read_to", "at"))
            known = document["format"] == FORMAT
            no_rows = NoRows(**document["no_rows"]) if document.get("no_rows") else None
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise DamageError(
                "the cursor is damaged, or was written by a newer version of irmexport",
                where=self.path,
                next_step="Remove it: the export starts like a first run, and skips rows that were sent.",
            )
        return Cursor(read_to, at, no_rows)

    def move(self, read_to: datetime, at: datetime, no_rows: NoRows | None = None) -> None:
        """Store the cursor durably; never move it back. Raises OSError, DamageError."""
        now = self.load()
        if now is not None and (now.read_to > read_to or (now.read_to, now.no_rows) == (read_to, no_rows)):
            return
        document: dict[str, object] = {"format": FORMAT, "read_to": read_to.isoformat(), "at": at.isoformat()}
        document |= {"no_rows": asdict(no_rows)} if no_rows else {}
        self._outbox.replace_file(self._file, sealed.encode(document))
