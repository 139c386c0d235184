"""The connector's log of the portal, wherever it holds RecordsSaved. Pure.

Microsoft's page documents the field's name and nothing of the file's form ("Download log"), so this reads
JSON (whole, or a line each), delimited text with a header, and `RecordsSaved: 4` in any text; and says, by
line, what it saw and could not read. Not promised: that it was ever shown a real log. It was not.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from irmcore.reasons import Refused
from irmcore.shaping import times
from irmcore.shaping.readers import MAX_FIELD_CHARACTERS
from irmcore.shaping.times import zone_named

_NAME = "recordssaved"
#: Digits that a RecordsSaved may have; Python reads no number of thousands of them.
_DIGITS = 15
_ANYWHERE = re.compile(r"records[ _-]?saved", re.IGNORECASE)
# `RecordsSaved: 4`, `"RecordsSaved" = "4"`, `Records saved 4`
_NUMBERED = re.compile(
    r"records[ _-]?saved[\"']?\s*[:=,|\t ]\s*[\"']?([0-9]{1,15})(?![0-9]|[.,][0-9])", re.IGNORECASE
)
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9:]{4,6})?"
)
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


@dataclass(frozen=True)
class Entry:
    """One RecordsSaved: its line, the moment beside it (seconds since 1970), and the GUIDs beside it."""

    line: int
    saved: int
    at: float | None = None
    ids: frozenset[str] = frozenset()


@dataclass
class Log:
    """What was read, and the lines that name RecordsSaved and gave no number."""

    entries: list[Entry] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)


def read(data: bytes) -> Log:
    """All RecordsSaved of a log."""
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    text = data.decode(encoding, errors="replace")
    try:
        return _json(json.loads(text))
    except (ValueError, RecursionError):
        pass  # no JSON as a whole: the other forms are tried, and they say what stays unread
    try:
        table = _table(text)
    except csv.Error:
        table = None  # no table after all: its lines say what stays unread
    return table if table is not None else _lines(text)


def _json(value: Any) -> Log:
    log = Log()
    for record in _records(value):
        _add(log, record, 1)
    return log


def _lines(text: str) -> Log:
    log = Log()
    last: float | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            records = list(_records(json.loads(line)))
        except (ValueError, RecursionError):
            records = []
        if records:
            for record in records:
                _add(log, record, number)
            continue
        last = _moment(line) or last  # a block's time stands above or beside its number
        numbers = _NUMBERED.findall(line)
        log.entries += [Entry(number, int(found), last, _ids(line)) for found in numbers]
        if not numbers and _ANYWHERE.search(line):
            log.unread.append(number)
    return log


def _table(text: str) -> Log | None:
    """A delimited table with RecordsSaved in its header; None if it is none."""
    lines = text.splitlines()
    at = next((i for i, line in enumerate(lines) if _ANYWHERE.search(line)), None)
    if at is None:
        return None
    csv.field_size_limit(MAX_FIELD_CHARACTERS)  # it is the process's: whoever read something else set it
    for delimiter in (",", "\t", ";", "|"):
        header = next(csv.reader([lines[at]], delimiter=delimiter), [])
        if len(header) > 1 and any(_ANYWHERE.fullmatch(name.strip()) for name in header):
            log = Log()
            for number, row in enumerate(csv.reader(lines[at + 1 :], delimiter=delimiter), start=at + 2):
                if row:
                    _add(log, dict(zip(header, row, strict=False)), number)
            return log
    return None


def _records(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object with a RecordsSaved of its own, however deep."""
    if isinstance(value, Mapping):
        if any(_plain(str(key)) == _NAME for key in value):
            yield value
        for inner in value.values():
            yield from _records(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _records(inner)


def _add(log: Log, record: Mapping[str, Any], line: int) -> None:
    saved = next((value for key, value in record.items() if _plain(str(key)) == _NAME), None)
    text = str(saved).strip().replace(",", "")
    if isinstance(saved, bool) or not text.isascii() or not text.isdigit() or len(text) > _DIGITS:
        log.unread.append(line)
        return
    words = [str(value) for value in record.values() if isinstance(value, (str, int, float))]
    moments = [found for found in map(_moment, words) if found is not None]
    log.entries.append(Entry(line, int(text), min(moments, default=None), _ids(" ".join(words))))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _moment(text: str) -> float | None:
    """The first moment in a text; without an offset, taken for UTC as the portal's other times are."""
    found = _TIME.search(text)
    try:
        return times.parse(found.group(), zone=zone_named("UTC")) / 1e6 if found else None
    except Refused:
        return None


def _ids(text: str) -> frozenset[str]:
    return frozenset(found.lower() for found in _GUID.findall(text))
