"""An interpreter for the part of SPL that the daily searches use, to run them on a few events.

It follows Splunk's Search Reference and is NOT Splunk: it shows what the searches mean under our reading of
that reference. Anything it does not support is an error. Days are in UTC.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.splunk_app import spl

Row = dict[str, Any]
_TOKEN = re.compile(
    r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<field>\'[^\']*\')|(?P<number>\d+(?:\.\d+)?)'
    r"|(?P<word>[A-Za-z_][\w.]*)|(?P<sign><=|>=|!=|[=<>(),*/+-]))"
)


class Unsupported(ValueError):
    """SPL that this interpreter does not support."""


def run(search: str, events: list[Row]) -> list[Row]:
    """The rows that a search yields from these events."""
    first, *rest = spl.commands(search)
    rows = _tstats(first, events) if first.startswith("tstats ") else _filtered(first, events)
    for command in rest:
        name, _, text = command.partition(" ")
        if name not in _COMMANDS:
            raise Unsupported(name)
        rows = _COMMANDS[name](text, [dict(row) for row in rows])
    return rows


# -- commands ---------------------------------------------------------------------------


def _filtered(text: str, events: list[Row]) -> list[Row]:
    """The events that match all terms of a search."""
    terms = re.findall(r'(NOT )?([\w.]+)(?:\s+IN\s+\(([^)]*)\)|([=>])("(?:[^"\\]|\\.)*"|[^\s"]+))', text)
    left = re.sub(r'(NOT )?([\w.]+)(?:\s+IN\s+\(([^)]*)\)|([=>])("(?:[^"\\]|\\.)*"|[^\s"]+))', "", text)
    if left.strip():
        raise Unsupported(left)

    def fits(row: Row, term: tuple[str, ...]) -> bool:
        negated, field, listed, sign, value = term
        found = row.get(field)
        if sign == ">":
            return found is not None and float(found) > float(value)
        wanted = [_plain(item.strip()) for item in (listed or value).split(", ")]
        good = found is not None and any(_matches(str(found), one) for one in wanted)
        return good != bool(negated)

    return [row for row in events if all(fits(row, term) for term in terms)]


def _matches(value: str, wanted: str) -> bool:
    """Search terms ignore case, and * matches anything."""
    return bool(re.fullmatch(".*".join(map(re.escape, wanted.split("*"))), value, re.IGNORECASE | re.DOTALL))


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def _tstats(text: str, events: list[Row]) -> list[Row]:
    match = re.fullmatch(
        r"tstats (.+) FROM datamodel=[\w.]+ WHERE (.+?)\s+BY (.+), _time span=1d", text, re.DOTALL
    )
    if not match:
        raise Unsupported(text)
    rows = _bin("_time span=1d", [dict(row) for row in _filtered(match[2], events)])
    return _stats(f"{match[1]} BY {match[3]}, _time", rows)


def _stats(text: str, rows: list[Row]) -> list[Row]:
    summed, _, by = text.partition(" BY ")
    keys = [key.strip() for key in by.split(",")]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if all(row.get(key) is not None for key in keys):
            groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    found = []
    for group, members in sorted(groups.items(), key=lambda item: tuple(map(str, item[0]))):
        row = dict(zip(keys, group, strict=True))
        for part in summed.split(","):
            row.update([_aggregate(part.strip(), members)])
        found.append(row)
    return found


def _aggregate(text: str, members: list[Row]) -> tuple[str, Any]:
    if text == "count":
        return "count", len(members)
    match = re.fullmatch(r"(sum|values)\(([\w.]+)\) AS (\w+)", text)
    if not match:
        raise Unsupported(text)
    values = [row[match[2]] for row in members if row.get(match[2]) is not None]
    if match[1] == "sum":
        return match[3], sum(values) if values else None
    several = sorted({str(value) for value in values})
    return match[3], several or None


def _bin(text: str, rows: list[Row]) -> list[Row]:
    if text != "_time span=1d":
        raise Unsupported(text)
    return [{**row, "_time": int(row["_time"]) // 86_400 * 86_400} for row in rows]


def _rename(text: str, rows: list[Row]) -> list[Row]:
    pairs = re.findall(r'("[^"]+"|[\w.]+) AS (\w+)', text)
    for row in rows:
        for old, new in pairs:
            if old.strip('"') in row:
                row[new] = row.pop(old.strip('"'))
    return rows


def _eval(text: str, rows: list[Row]) -> list[Row]:
    for row in rows:
        for part in _apart(text):
            name, _, expression = part.partition("=")
            row[name.strip()] = Expression(expression).of(row)
    return rows


def _where(text: str, rows: list[Row]) -> list[Row]:
    return [row for row in rows if Expression(text).of(row) is True]


def _table(text: str, rows: list[Row]) -> list[Row]:
    fields = [field.strip() for field in text.split(",")]
    return [{field: row.get(field) for field in fields} for row in rows]


def _apart(text: str) -> Iterator[str]:
    """The parts of a text between commas outside of brackets and quotes."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', lambda quoted: "_" * len(quoted[0]), text)
    depth, start = 0, 0
    for at, character in enumerate(bare):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            yield text[start:at]
            start = at + 1
    yield text[start:]


_COMMANDS: Mapping[str, Callable[[str, list[Row]], list[Row]]] = {
    "bin": _bin,
    "eval": _eval,
    "rename": _rename,
    "stats": _stats,
    "table": _table,
    "where": _where,
}

# -- expressions ------------------------------------------------------------------------


class Expression:
    """An expression of eval or where."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if not match or match.lastgroup is None:
                raise Unsupported(text[at:])
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()
        self._at = 0
        self._row: Row = {}

    def of(self, row: Row) -> Any:
        """The value for a row; None is null."""
        self._at, self._row = 0, row
        value = self._or()
        if self._at != len(self._tokens):
            raise Unsupported(str(self._tokens[self._at :]))
        return value

    def _takes(self, *words: str) -> str | None:
        if self._at < len(self._tokens) and self._tokens[self._at][1] in words:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return None

    def _or(self) -> Any:
        value = self._and()
        while self._takes("OR"):
            other = self._and()
            value = value is True or other is True
        return value

    def _and(self) -> Any:
        value = self._not()
        while self._takes("AND"):
            other = self._not()
            value = value is True and other is True
        return value

    def _not(self) -> Any:
        if self._takes("NOT"):
            value = self._not()
            return None if value is None else not value
        return self._compared()

    def _compared(self) -> Any:
        value = self._times()
        sign = self._takes("=", "!=", "<", ">", "<=", ">=")
        if not sign:
            return value
        other = self._times()
        if value is None or other is None:
            return None
        return {
            "=": lambda: value == other,
            "!=": lambda: value != other,
            "<": lambda: value < other,
            ">": lambda: value > other,
            "<=": lambda: value <= other,
            ">=": lambda: value >= other,
        }[sign]()

    def _times(self) -> Any:
        value = self._one()
        while sign := self._takes("*", "/"):
            other = self._one()
            if value is None or other is None:
                value = None
            else:
                value = value * other if sign == "*" else value / other
        return value

    def _one(self) -> Any:
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "text":
            return _plain(text)
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "field":
            return self._row.get(text[1:-1])
        if text == "(":
            value = self._or()
            self._takes(")")
            return value
        if kind != "word":
            raise Unsupported(text)
        return self._call(text) if self._takes("(") else self._row.get(text)

    def _call(self, name: str) -> Any:
        arguments = []
        while not self._takes(")"):
            arguments.append(self._or())
            self._takes(",")
        if name not in _FUNCTIONS:
            raise Unsupported(name)
        return _FUNCTIONS[name](*arguments)


def _case(*arguments: Any) -> Any:
    pairs = zip(arguments[::2], arguments[1::2], strict=True)
    return next((value for condition, value in pairs if condition is True), None)


def _replaced(text: Any, pattern: str, new: str) -> Any:
    return None if text is None else re.sub(pattern, new, str(text))


def _strftime(seconds: Any, form: str) -> str:
    return datetime.datetime.fromtimestamp(float(seconds), datetime.UTC).strftime(form)


def _round(value: Any, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "case": _case,
    "coalesce": lambda *values: next((value for value in values if value is not None), None),
    "if": lambda condition, yes, no: yes if condition is True else no,
    "in": lambda value, *wanted: None if value is None else value in wanted,
    "isnotnull": lambda value: value is not None,
    "lower": lambda text: None if text is None else text.lower(),
    "mvindex": lambda values, start, end: None if values is None else values[start : end + 1],
    "mvjoin": lambda values, by: None if values is None else by.join(values),
    "null": lambda: None,
    "replace": _replaced,
    "round": _round,
    "strftime": _strftime,
    "tonumber": lambda text: None if text is None else float(text),
}
