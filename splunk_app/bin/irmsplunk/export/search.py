"""The search whose results are exported: who runs it, what it is called, whether it was finalized."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from typing import Any

from irmcore.outbox import Origin
from irmcore.shaping.csv_cells import allow_long_fields

_FINALIZED = "FINALIZING"


@dataclass(frozen=True)
class Search:
    """A search as getinfo or an alert's payload describes it. ``preview`` holds for the whole process."""

    sid: str
    app: str
    user: str
    session_key: str = field(repr=False)
    splunkd_uri: str
    dispatch_dir: str
    preview: bool
    label: str = ""

    @staticmethod
    def from_getinfo(metadata: Any) -> Search:
        """From getinfo's metadata as the SDK gives it: objects with attributes."""
        info = getattr(metadata, "searchinfo", None)

        def text(name: str) -> str:
            return str(getattr(info, name, "") or "")

        return Search(
            sid=text("sid"),
            app=text("app"),
            user=text("username") or text("owner"),
            session_key=text("session_key"),
            splunkd_uri=text("splunkd_uri"),
            dispatch_dir=text("dispatch_dir"),
            preview=bool(getattr(metadata, "preview", False)),
        )

    def finalized(self) -> bool:
        """Whether the search was stopped early, so that results are missing.

        Splunk records that for a command only in the dispatch directory.
        """
        if not self.dispatch_dir:
            return False
        if os.path.exists(os.path.join(self.dispatch_dir, "finalize")):
            return True
        return any(_FINALIZED in row.values() for row in _csv_file(self.dispatch_dir, "status.csv"))

    def name(self) -> str:
        """The saved search's name, from the payload or info.csv; empty for an ad hoc search."""
        return self.label or next(
            (row.get("label") or "" for row in _csv_file(self.dispatch_dir, "info.csv")), ""
        )

    def log_fields(self) -> dict[str, str]:
        """The fields that every log line of this search has."""
        return {"user": self.user, "app": self.app, "search": self.name(), "sid": self.sid}

    def origin(self, user: str, host: str, details: dict[str, str]) -> Origin:
        """The origin for the audit record; ``user`` is the name that splunkd reports for the session."""
        known = {"sid": self.sid, "search_name": self.name(), "splunk_app": self.app, **details}
        return Origin(
            user=user or self.user,
            host=host,
            app="splunk",
            details={key: value for key, value in known.items() if value},
        )


def _csv_file(directory: str, name: str) -> list[dict[str, str]]:
    """The rows of a small CSV file in the dispatch directory; empty if it cannot be read."""
    if not directory:
        return []
    try:
        allow_long_fields()
        with open(os.path.join(directory, name), encoding="utf-8", errors="replace", newline="") as file:
            return [{k: v for k, v in row.items() if isinstance(v, str)} for row in csv.DictReader(file)]
    except (OSError, csv.Error):
        return []
