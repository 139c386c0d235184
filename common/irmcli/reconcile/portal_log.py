"""Find every RecordsSaved in the connector's log from the portal. Pure functions.

Microsoft's page names the field but does not document the format of the file ("Download log"). So this reads
JSON (one document, or one per line), delimited text with a header, and `RecordsSaved: 4` in any text. Lines
that name the field without a readable number are reported. Never tested with a real log.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from irmcore.reasons import Refused
from irmcore.shaping import times
from irmcore.shaping.csv_cells import MAX_FIELD_CHARACTERS
from irmcore.shaping.times import zone_named

#: What is wrong with a file that has no RecordsSaved, and the next step.
NOT_A_LOG = (
    "The file does not contain RecordsSaved",
    "Get the connector's log: Data connectors > Download log.",
)
_NAME = "recordssaved"
#: Maximum digits of a RecordsSaved; Python refuses to convert thousands of digits.
_MAX_DIGITS = 15
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
    """One RecordsSaved: its line, and the time (seconds since 1970) and GUIDs found beside it."""

    line: int
    saved: int
    at: float | None = None
    ids: frozenset[str] = frozenset()


@dataclass
class Log:
    """The entries, and the numbers of lines that name RecordsSaved without a readable number."""

    entries: list[Entry] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)


def parse_log(data: bytes) -> Log:
    """Every RecordsSaved of a log."""
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    text = data.decode(encoding, errors="replace")
    try:
        return _json(json.loads(text))
    except (ValueError, RecursionError):
        pass  # not one JSON document: try the other formats
    try:
        table = _table(text)
    except csv.Error:
        table = None  # not delimited text: read it line by line
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
        last = _time(line) or last  # the time is on the same line or on an earlier one
        numbers = _NUMBERED.findall(line)
        log.entries += [Entry(number, int(found), last, _ids(line)) for found in numbers]
        if not numbers and _ANYWHERE.search(line):
            log.unread.append(number)
    return log


def _table(text: str) -> Log | None:
    """The entries of delimited text with RecordsSaved in its header; None for other text."""
    lines = text.splitlines()
    at = next((i for i, line in enumerate(lines) if _ANYWHERE.search(line)), None)
    if at is None:
        return None
    csv.field_size_limit(MAX_FIELD_CHARACTERS)  # process-wide, and other readers change it
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
    """Every object that has RecordsSaved as a key, at any depth."""
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
    if isinstance(saved, bool) or not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        log.unread.append(line)
        return
    words = [str(value) for value in record.values() if isinstance(value, (str, int, float))]
    found = [at for at in map(_time, words) if at is not None]
    log.entries.append(Entry(line, int(text), min(found, default=None), _ids(" ".join(words))))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _time(text: str) -> float | None:
    """The first time in a text. Without an offset it is UTC, as the portal's other times are."""
    found = _TIME.search(text)
    try:
        return times.parse(found.group(), zone=zone_named("UTC")) / 1e6 if found else None
    except Refused:
        return None


def _ids(text: str) -> frozenset[str]:
    return frozenset(found.lower() for found in _GUID.findall(text))
