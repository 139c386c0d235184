"""Workbooks and their queries: one JSON file per workbook, in Azure's format.

A query has placeholders for what a reader chooses. Example values replace them when a query is checked or run
here. A time is ``todatetime('{TimeRange:startISO}')``, which Azure Monitor's "Workbook time parameters" gives
in ISO 8601; ``{TimeRange:start}`` is documented there in a local form, and used as a literal. A workbook
inserts a text as it is, so a text must have the format ``{NAME:base64}``, in which nothing can end a literal
(Azure Monitor, "Workbook parameters", formatting options; unverified: that characters beyond ASCII are
encoded as UTF-8).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from irmsentinel.content import artefacts
from irmsentinel.content.artefacts import Artefact, Content

FOLDER = "workbooks"
#: Placeholder → the value with which a query is checked.
EXAMPLES = {
    "TimeRange:startISO": "2026-11-06T12:00:00.000Z",
    "TimeRange:endISO": "2026-11-20T12:00:00.000Z",
    "User": "sarad@contoso.com",
    "OtherUser": "",
    "Operation": "FileDownloaded",
    "People": "10",
    "Now": "",
}
_QUERY, _GROUP = 3, 12


@dataclass(frozen=True)
class Workbook:
    """A workbook. ``text`` is the whole file as compact JSON."""

    path: Path
    title: str
    about: str
    text: str
    queries: Mapping[str, str]

    @property
    def name(self) -> str:
        """The file's name without its extension."""
        return self.path.stem

    def artefacts(self) -> Iterator[Artefact]:
        """Its queries as artefacts for the checker. A finding's line is the line in the query."""
        for name, query in self.queries.items():
            yield Artefact(
                path=self.path.with_name(f"{self.path.name}#{name}"),
                summary=self.title,
                returns=(),
                body=filled(query),
                first_line=1,
                text=query,
            )


def filled(query: str, values: Mapping[str, str] | None = None) -> str:
    """A query with values for its placeholders ``{NAME}``; ``EXAMPLES`` for those that are not given."""
    for key, value in {**EXAMPLES, **(values or {})}.items():
        encoded = base64.b64encode(value.encode()).decode()
        query = query.replace(f"{{{key}}}", value).replace(f"{{{key}:base64}}", encoded)
    return query


def load(*folders: Path) -> tuple[Workbook, ...]:
    """All workbooks of the folders, by default ours."""
    tops = folders or (artefacts.root(),)
    return tuple(_read(path) for top in tops for path in sorted((top / FOLDER).glob("*.json")))


def with_queries(loaded: Content) -> Content:
    """The content with the workbooks' queries added, for the checker."""
    found = [artefact for book in load(*loaded.folders) for artefact in book.artefacts()]
    return replace(loaded, artefacts=(*loaded.artefacts, *found))


def _read(path: Path) -> Workbook:
    document = json.loads(path.read_text(encoding="utf-8"))
    title, _, about = next(i["content"]["json"] for i in document["items"] if i["name"] == "about").partition(
        "\n"
    )
    return Workbook(
        path=path,
        title=title.removeprefix("# "),
        about=about,
        text=json.dumps(document, separators=(",", ":"), sort_keys=True),
        queries=dict(_queries(document["items"])),
    )


def _queries(items: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for item in items:
        if item["type"] == _GROUP:
            yield from _queries(item["content"]["items"])
        elif item["type"] == _QUERY:
            yield item["name"], item["content"]["query"]
