"""Audit record → row of Compliance_IRM_AuditGeneral_CL: which records to keep, and what a row contains. Pure.

A row has the table's columns with their types. A field without a column goes to AdditionalFields, so that no
field is dropped. No field and no row is larger than the service accepts; AdditionalFields.CutFields names the
shortened fields. The key of a record does not depend on the order of its fields.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from irmsentinel.content.artefacts import Column

#: Bytes of one value that the service keeps. It silently cuts the rest.
MAX_FIELD_BYTES = 64 * 1024
#: Bytes of one row as JSON: an upload has at most 1,000,000 bytes, including its brackets.
MAX_ROW_BYTES = 1_000_000 - 2
_SHORT_FIELD_BYTES = 8 * 1024  # for each field, if the row is still too large

#: The API sends a record type as a number; some answers had the name.
RECORD_TYPES = {"securitycompliancealerts": 40}
IRM_ALERTS = 40
IRM_CATEGORY = "InsiderRiskManagement"
#: The data collection rule sets it, to the time of ingestion.
SET_BY_THE_RULE = "TimeGenerated"
REST = "AdditionalFields"
#: Column → field, where Azure Monitor reserves the field's name.
_RENAMED = {"RecordId": "Id"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = 10  # int() raises for thousands of digits


@dataclass(frozen=True)
class RecordFilter:
    """Which records to keep: alerts in these categories, and record types in ``also`` of any category."""

    categories: frozenset[str] = frozenset({IRM_CATEGORY.lower()})
    also: frozenset[int] = frozenset()

    def accepts(self, record: Any) -> bool:
        """Whether to keep a record."""
        if not isinstance(record, Mapping):
            return False
        kind = record_type(record.get("RecordType"))
        if kind in self.also:
            return True
        return kind == IRM_ALERTS and str(record.get("Category", "")).lower() in self.categories


@dataclass(frozen=True)
class Row:
    """A record's JSON text, its key (16 bytes), its day (since 1970), and the number of shortened fields."""

    line: bytes
    key: bytes
    day: int
    cut: int


def record_type(value: Any) -> int | None:
    """The number of a record type; None if unknown."""
    text = str(value).strip().lower()
    if text in RECORD_TYPES:
        return RECORD_TYPES[text]
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS else None


def key_of(record: Mapping[str, Any]) -> bytes:
    """The identity of a record: its Id, or its whole content if it has none."""
    known = record.get("Id")
    return key(str(known).lower() if known else json.dumps(record, sort_keys=True))


def key(text: str) -> bytes:
    """The key of a record whose identity is ``text``."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def row(record: Mapping[str, Any], columns: tuple[Column, ...]) -> Row:
    """The row of a record for a table with these columns."""
    try:
        return _row(record, columns)
    except RecursionError:  # nested too deeply to serialize: keep the flat fields
        flat = {name: value for name, value in record.items() if not isinstance(value, dict | list)}
        return _row(flat, columns, tuple(sorted(record.keys() - flat.keys())))


def _row(record: Mapping[str, Any], columns: tuple[Column, ...], lost: tuple[str, ...] = ()) -> Row:
    values: dict[str, Any] = {}
    rest = dict(record)
    for column in columns:
        field = _RENAMED.get(column.name, column.name)
        if column.name in (SET_BY_THE_RULE, REST) or field not in rest or rest[field] is None:
            continue
        value = _CONVERT[column.type](rest[field])
        if value is not None:
            values[column.name] = value
            del rest[field]
    kind = record_type(record.get("RecordType"))
    if kind is not None:
        values["RecordType"] = kind
        rest.pop("RecordType", None)
    return _bounded(values, {name: value for name, value in rest.items() if value is not None}, record, lost)


def _bounded(
    values: dict[str, Any], rest: dict[str, Any], record: Mapping[str, Any], lost: tuple[str, ...]
) -> Row:
    """The row within the service's limits."""
    cut = [*lost, *_cut(values, MAX_FIELD_BYTES)]
    if rest and len(_dumped(rest)) > MAX_FIELD_BYTES // 2:
        rest, cut = {}, [*cut, REST]
    line = _line(values, rest, cut)
    if len(line) > MAX_ROW_BYTES:
        cut = [*cut, *_cut(values, _SHORT_FIELD_BYTES)]
        line = _line(values, rest, cut)
    return Row(line, key_of(record), day(record.get("CreationTime")), len(set(cut)))


def _line(values: Mapping[str, Any], rest: Mapping[str, Any], cut: list[str]) -> bytes:
    note = {"CutFields": sorted(set(cut))} if cut else {}
    more = {REST: {**rest, **note}} if rest or note else {}
    return _dumped({**values, **more})


def _cut(values: dict[str, Any], limit: int) -> list[str]:
    """Shorten each value of more than ``limit`` bytes, in place. Returns their names."""
    cut = []
    for name, value in values.items():
        text = (
            value
            if isinstance(value, str)
            else _dumped(value).decode()
            if isinstance(value, list | dict)
            else ""
        )
        if len(text.encode()) <= limit:
            continue
        cut.append(name)
        shorter = _without_longest(text, limit)
        if shorter is None:
            shorter = text.encode()[:limit].decode("utf-8", "ignore") if isinstance(value, str) else "{}"
        values[name] = shorter if isinstance(value, str) else json.loads(shorter)
    return cut


def _without_longest(text: str, limit: int) -> str | None:
    """The JSON text of an object without its longest members; None if the text is not an object.

    An alert's Data names the user. Truncated in the middle, it would not be JSON.
    """
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(members, dict):
        return None
    by_size = sorted(members, key=lambda name: len(_dumped(members[name])))
    kept, size = set(), 2
    for name in by_size:
        size += len(_dumped({name: members[name]}))
        if size > limit:
            break
        kept.add(name)
    return _dumped({name: value for name, value in members.items() if name in kept}).decode()


def _dumped(value: Any) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:  # a number such as 1e999
        text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # UTF-8 has no lone surrogates: each becomes a question mark.
    return text.encode("utf-8", "replace")


def _finite(value: Any) -> Any:
    """The value with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return list(map(_finite, value))
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return _dumped(value).decode()


def _integer(value: Any) -> int | None:
    try:
        number = int(str(value))
    except ValueError:
        return None
    return number if -(2**31) <= number < 2**31 else None


def _datetime(value: Any) -> str | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return None


def _dynamic(value: Any) -> Any:
    """Arrays and objects unchanged, JSON text decoded."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return _string(value)


def _boolean(value: Any) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())


_CONVERT: Mapping[str, Callable[[Any], Any]] = {
    "string": _string,
    "int": _integer,
    "bool": _boolean,
    "datetime": _datetime,
    "dynamic": _dynamic,
}


def day(created: Any) -> int:
    """The day of the event since 1970; 0 if the record has no time."""
    text = _datetime(created)
    return 0 if text is None else (datetime.fromisoformat(text) - _EPOCH).days
