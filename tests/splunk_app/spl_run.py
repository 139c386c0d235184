"""An interpreter for the part of SPL that the daily searches use, to run them on a few events.

It follows Splunk's Search Reference and is NOT Splunk: it shows what the searches mean under our reading of
that reference. Anything it does not support is an error. A field with several values is a list; a field with
one value is that value.

What the reference leaves open is a setting of ``Lookup``, so that a test can try both readings.
"""

from __future__ import annotations

import datetime
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NoReturn

from tests.splunk_app import spl

Row = dict[str, Any]
_TOKEN = re.compile(
    r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<field>\'[^\']*\')|(?P<number>\d+(?:\.\d+)?)'
    r"|(?P<word>[A-Za-z_]\w*)|(?P<sign><=|>=|!=|[=<>(),*/%+.-]))"
)


class Unsupported(ValueError):
    """SPL that this interpreter does not support."""


@dataclass(frozen=True)
class Lookup:
    """A lookup table with the settings of its stanza in transforms.conf.

    ``keeps_empty``: whether an empty cell becomes an empty value or no value at all.
    """

    rows: Sequence[Mapping[str, str]]
    max_matches: int = 1000
    case_sensitive: bool = True
    keeps_empty: bool = True


Lookups = Mapping[str, Lookup]


def run(
    search: str, events: list[Row], lookups: Lookups | None = None, span: tuple[float, float] = (0, 4e9)
) -> list[Row]:
    """The rows that a search yields from these events; ``span`` is its time range, for addinfo."""
    tables = lookups or {}
    first, *rest = spl.commands(_without_subsearches(search, tables))
    if first.startswith("tstats "):
        rows = _tstats(first, events)
    elif first.startswith("inputlookup "):
        rows = _inputlookup(first.partition(" ")[2], tables)
    else:
        rows = _filtered(first, events)
    for command in rest:
        name, _, text = command.partition(" ")
        rows = [dict(row) for row in rows]
        if name == "lookup":
            rows = _lookup(text, rows, tables)
        elif command == "addinfo":
            rows = [{**row, "info_min_time": span[0], "info_max_time": span[1]} for row in rows]
        elif name in _COMMANDS:
            rows = _COMMANDS[name](text, rows)
        else:
            raise Unsupported(name)
    return rows


def _without_subsearches(text: str, lookups: Lookups) -> str:
    """The text with each ``[| … | return $field]`` replaced by the value, as before the search begins."""
    while match := re.search(r"\[(\s*\|[^\[\]]*)\|\s*return \$(\w+)\s*\]", spl.masked(text)):
        rows = run(text[match.start(1) : match.end(1)], [], lookups)
        if len(rows) != 1:
            raise Unsupported("return of several rows")
        text = f"{text[: match.start()]}{rows[0][match[2]]}{text[match.end() :]}"
    return text


# -- commands ---------------------------------------------------------------------------


def _filtered(text: str, events: list[Row]) -> list[Row]:
    """The events that match all terms of a search."""
    terms = re.findall(r'(NOT )?([\w.]+)(?:\s+IN\s+\(([^)]*)\)|([=>])("(?:[^"\\]|\\.)*"|[^\s"]+))', text)
    left = re.sub(r'(NOT )?([\w.]+)(?:\s+IN\s+\(([^)]*)\)|([=>])("(?:[^"\\]|\\.)*"|[^\s"]+))', "", text)
    if left.strip():
        raise Unsupported(left)

    def fits(row: Row, term: tuple[str, ...]) -> bool:
        negated, field, listed, sign, value = term
        found = values_of(row.get(field))
        if sign == ">":
            return any(float(one) > float(value) for one in found)
        wanted = [_plain(item.strip()) for item in (listed or value).split(", ")]
        return any(_matches(str(one), each) for one in found for each in wanted) != bool(negated)

    return [row for row in events if all(fits(row, term) for term in terms)]


def _matches(value: str, wanted: str) -> bool:
    """Search terms ignore case, and * matches anything."""
    return bool(re.fullmatch(".*".join(map(re.escape, wanted.split("*"))), value, re.IGNORECASE | re.DOTALL))


def _plain(text: str) -> str:
    """The value of a quoted text: only quotes and backslashes are escaped, so that regexes can be written."""
    return re.sub(r'\\(["\\])', r"\1", text[1:-1]) if text.startswith('"') else text


def _tstats(text: str, events: list[Row]) -> list[Row]:
    match = re.fullmatch(
        r"tstats summariesonly=\w+ (.+) FROM datamodel=[\w.]+ WHERE (.+?)\s+BY (.+), _time span=15m",
        text,
        re.DOTALL,
    )
    if not match:
        raise Unsupported(text)
    rows = [{**row, "_time": int(row["_time"]) // 900 * 900} for row in _filtered(match[2], events)]
    return _stats(f"{match[1]} BY {match[3]}, _time", rows)


def _inputlookup(text: str, lookups: Lookups) -> list[Row]:
    match = re.fullmatch(r"(?:max=(\d+) )?(\w+)", text.strip())
    if not match:
        raise Unsupported(text)
    most = int(match[1]) if match[1] else None
    return [dict(row) for row in lookups[match[2]].rows[:most]]


def _lookup(text: str, rows: list[Row], lookups: Lookups) -> list[Row]:
    """Add the output fields: no value without a match, several values with several matches, in file order."""
    match = re.fullmatch(r"(?:local=true )?(\w+) (\w+) AS (\w+) OUTPUT (.+)", " ".join(text.split()))
    if not match:
        raise Unsupported(text)
    table, key, field = lookups[match[1]], match[2], match[3]
    outputs = [tuple(part.split(" AS ")) for part in match[4].split(", ")]
    for row in rows:
        wanted = _single(row.get(field))
        found = [
            line
            for line in table.rows
            if wanted is not None
            and (line[key] == wanted if table.case_sensitive else line[key].lower() == str(wanted).lower())
        ][: table.max_matches]
        for column, output in outputs:
            cells = [line[column] for line in found if line[column] or table.keeps_empty]
            row[output] = _several(cells)
    return rows


def _stats(text: str, rows: list[Row]) -> list[Row]:
    summed, _, by = text.partition(" BY ")
    keys = [key.strip() for key in by.split(",") if key.strip()]
    groups: dict[tuple[Any, ...], list[Row]] = {} if keys else {(): rows}
    for row in rows if keys else []:
        for group in itertools.product(*(values_of(row.get(key)) for key in keys)):
            groups.setdefault(group, []).append(row)
    found = []
    for group, members in sorted(groups.items(), key=lambda item: tuple(map(str, item[0]))):
        row = dict(zip(keys, group, strict=True))
        for part in summed.split(","):
            row.update([_aggregate(part.strip(), members)])
        found.append(row)
    return found


def _streamstats(text: str, rows: list[Row]) -> list[Row]:
    """Only the sum of the rows so far, by fields."""
    match = re.fullmatch(r"sum\((\w+)\) AS (\w+) BY (.+)", text)
    if not match:
        raise Unsupported(text)
    sums: dict[tuple[Any, ...], Any] = {}
    for row in rows:
        group = tuple(row.get(key.strip()) for key in match[3].split(","))
        row[match[2]] = sums[group] = sums.get(group, 0) + row[match[1]]
    return rows


def _sort(text: str, rows: list[Row]) -> list[Row]:
    """`sort 0 FIELD, -FIELD`, of one type each: numbers by value, texts by code point."""
    match = re.fullmatch(r"0 (.+)", text)
    if not match:
        raise Unsupported(text)
    for key in reversed([part.strip() for part in match[1].split(",")]):
        rows = sorted(rows, key=itemgetter(key.lstrip("-")), reverse=key.startswith("-"))
    return rows


def _mvexpand(text: str, rows: list[Row]) -> list[Row]:
    return [{**row, text: value} for row in rows for value in values_of(row.get(text))]


def _eventstats(text: str, rows: list[Row]) -> list[Row]:
    keys = [key.strip() for key in text.partition(" BY ")[2].split(",") if key.strip()]
    of_group = {tuple(found[key] for key in keys): found for found in _stats(text, rows)}
    return [{**row, **of_group.get(tuple(row.get(key) for key in keys), {})} for row in rows]


def _aggregate(text: str, members: list[Row]) -> tuple[str, Any]:
    if count := re.fullmatch(r"count(?: AS (\w+))?", text):
        return count[1] or "count", len(members)
    match = re.fullmatch(r"(sum|values|latest|max|min|dc)\(([\w.]+)\) AS (\w+)", text)
    if not match:
        raise Unsupported(text)
    values = [value for row in members for value in values_of(row.get(match[2]))]
    if match[1] == "sum":
        return match[3], sum(values) if values else None
    if match[1] in ("max", "min"):
        return match[3], {"max": max, "min": min}[match[1]](values, default=None)
    if match[1] == "latest":  # the members are in the order of their time
        return match[3], values[-1] if values else None
    if match[1] == "dc":
        return match[3], len(set(values))
    return match[3], _several(sorted({str(value) for value in values}))


def _fillnull(text: str, rows: list[Row]) -> list[Row]:
    match = re.fullmatch(r'value="?([^"\s]+)"? (.+)', text)
    if not match:
        raise Unsupported(text)
    fields = [field.strip() for field in match[2].split(",")]
    value = int(match[1]) if match[1].isdigit() else match[1]
    empty: Row = dict.fromkeys(fields, value)
    return [{**empty, **{key: found for key, found in row.items() if found is not None}} for row in rows]


def _rename(text: str, rows: list[Row]) -> list[Row]:
    pairs = re.findall(r'("[^"]+"|[\w.]+) AS (\w+)', text)
    for row in rows:
        for old, new in pairs:
            if old.strip('"') in row:
                row[new] = row.pop(old.strip('"'))
    return rows


def _eval(text: str, rows: list[Row]) -> list[Row]:
    parts = [(name.strip(), Expression(rest)) for name, _, rest in (p.partition("=") for p in _apart(text))]
    for row in rows:
        for name, expression in parts:
            row[name] = expression.of(row)
    return rows


def _where(text: str, rows: list[Row]) -> list[Row]:
    expression = Expression(text)
    return [row for row in rows if expression.of(row) is True]


def _table(text: str, rows: list[Row]) -> list[Row]:
    fields = [field.strip() for field in text.split(",")]
    return [{field: row.get(field) for field in fields} for row in rows]


def _apart(text: str) -> Iterator[str]:
    """The parts of a text between commas outside of brackets and quotes."""
    depth, start = 0, 0
    for at, character in enumerate(spl.masked(text)):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            yield text[start:at]
            start = at + 1
    yield text[start:]


_COMMANDS: Mapping[str, Callable[[str, list[Row]], list[Row]]] = {
    "eval": _eval,
    "fillnull": _fillnull,
    "rename": _rename,
    "stats": _stats,
    "eventstats": _eventstats,
    "mvexpand": _mvexpand,
    "sort": _sort,
    "streamstats": _streamstats,
    "table": _table,
    "where": _where,
}

# -- expressions ------------------------------------------------------------------------

Value = Callable[[Row], Any]


class Expression:
    """An expression of eval or where: parsed once, evaluated for each row. None is null."""

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
        self.of: Value = self._or()
        if self._at != len(self._tokens):
            raise Unsupported(str(self._tokens[self._at :]))

    def _takes(self, *words: str) -> str | None:
        if self._at < len(self._tokens) and self._tokens[self._at][1] in words:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return None

    def _or(self) -> Value:
        """Null if it depends on a null."""
        parts = [self._and()]
        while self._takes("OR"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else lambda row: _any([part(row) for part in parts])

    def _and(self) -> Value:
        parts = [self._not()]
        while self._takes("AND"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else lambda row: _all(part(row) for part in parts)

    def _not(self) -> Value:
        if self._takes("NOT"):
            value = self._not()
            return lambda row: None if (found := value(row)) is None else not found
        return self._compared()

    def _compared(self) -> Value:
        value = self._sum()
        sign = self._takes("=", "!=", "<", ">", "<=", ">=")
        if not sign:
            return value
        other = self._sum()
        return lambda row: _compare(value(row), sign, other(row))

    def _sum(self) -> Value:
        value = self._times()
        while sign := self._takes("+", "-", "."):
            value = _operation(value, sign, self._times())
        return value

    def _times(self) -> Value:
        value = self._one()
        while sign := self._takes("*", "/", "%"):
            value = _operation(value, sign, self._one())
        return value

    def _one(self) -> Value:
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "text":
            return _constant(_plain(text))
        if kind == "number":
            return _constant(float(text) if "." in text else int(text))
        if kind == "field":
            return lambda row: row.get(text[1:-1])
        if text == "(":
            value = self._or()
            self._must(")")
            return value
        if kind != "word":
            raise Unsupported(text)
        return self._call(text) if self._takes("(") else lambda row: row.get(text)

    def _call(self, name: str) -> Value:
        start = self._at
        arguments: list[Value] = []
        while not self._takes(")"):
            if arguments:
                self._must(",")
            arguments.append(self._or())
        if name in ("mvmap", "mvfilter"):
            return self._for_each(name, arguments, start)
        if name in _LAZY:
            function = _LAZY[name]
            return lambda row: function(row, *arguments)
        if name not in _FUNCTIONS:
            raise Unsupported(name)
        eager = _FUNCTIONS[name]
        return lambda row: eager(*(argument(row) for argument in arguments))

    def _for_each(self, name: str, arguments: list[Value], start: int) -> Value:
        """mvmap(field, expression) and mvfilter(expression), whose expression has that one field only."""
        inside = self._tokens[start : self._at]
        calls = {at for at, token in enumerate(inside[1:]) if token == ("sign", "(")}
        fields = [
            text.strip("'")
            for at, (kind, text) in enumerate(inside)
            if kind == "field" or (kind == "word" and at not in calls and text not in ("AND", "OR", "NOT"))
        ]
        if name == "mvfilter":
            if len(arguments) != 1 or len(set(fields)) != 1:
                raise Unsupported("mvfilter with several fields")
            (condition,) = arguments
            field = fields[0]
            return lambda row: _several(
                [value for value in values_of(row.get(field)) if condition({**row, field: value}) is True]
            )
        if len(arguments) != 2 or inside[0][0] != "word" or inside[1] != ("sign", ","):
            raise Unsupported("mvmap of an expression")
        field, expression = inside[0][1], arguments[1]
        return lambda row: _several(
            [
                mapped
                for value in values_of(row.get(field))
                if (mapped := _single(expression({**row, field: value}))) is not None
            ]
        )

    def _must(self, sign: str) -> None:
        if not self._takes(sign):
            raise Unsupported(f"{sign} expected")


def values_of(value: Any) -> list[Any]:
    """The values of a field."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _several(values: list[Any]) -> Any:
    """A field with these values."""
    return values if len(values) > 1 else next(iter(values), None)


def _single(value: Any) -> Any:
    """A value for a function of one value. What it does with several is not in the reference."""
    return _refused("several values") if isinstance(value, list) else value


def _refused(what: str) -> NoReturn:
    raise Unsupported(what)


def _all(parts: Iterator[Any]) -> Any:
    """False as soon as one is false, so that the rest need not be evaluated."""
    result: Any = True
    for value in parts:
        if value is False:
            return False
        result = None if value is None else result
    return result


def _any(parts: Sequence[Any]) -> Any:
    if any(value is True for value in parts):
        return True
    return None if any(value is None for value in parts) else False


def _compare(value: Any, sign: str, other: Any) -> bool | None:
    value, other = _single(value), _single(other)
    if value is None or other is None:
        return None
    if isinstance(value, str) != isinstance(other, str):
        raise Unsupported("a text compared with a number")
    return {
        "=": lambda: value == other,
        "!=": lambda: value != other,
        "<": lambda: value < other,
        ">": lambda: value > other,
        "<=": lambda: value <= other,
        ">=": lambda: value >= other,
    }[sign]()


def _operation(left: Value, sign: str, right: Value) -> Value:
    def value(row: Row) -> Any:
        one, two = _single(left(row)), _single(right(row))
        if one is None or two is None:
            return None
        if sign == ".":
            return f"{one}{two}"
        if isinstance(one, str) or isinstance(two, str):
            raise Unsupported("arithmetic with a text")
        return {
            "+": lambda: one + two,
            "-": lambda: one - two,
            "*": lambda: one * two,
            "/": lambda: one / two,
            "%": lambda: one % two,
        }[sign]()

    return value


def _constant(value: Any) -> Value:
    return lambda _: value


def _case(row: Row, *arguments: Value) -> Any:
    pairs = zip(arguments[::2], arguments[1::2], strict=True)
    return next((value(row) for condition, value in pairs if condition(row) is True), None)


def _coalesce(row: Row, *arguments: Value) -> Any:
    return next((found for value in arguments if (found := value(row)) is not None), None)


def _if(row: Row, condition: Value, yes: Value, no: Value) -> Any:
    return yes(row) if condition(row) is True else no(row)


#: Functions that evaluate only the arguments that they return.
_LAZY: Mapping[str, Callable[..., Any]] = {"case": _case, "coalesce": _coalesce, "if": _if}


def _text(function: Callable[[str], Any]) -> Callable[[Any], Any]:
    """A function of one text; null stays null."""
    return lambda value: None if _single(value) is None else function(str(value))


def _python(pattern: str) -> str:
    r"""A pattern of PCRE, where \z is the end of the text, for Python."""
    return pattern.replace(r"\z", r"\Z")


def _match(text: Any, pattern: str) -> bool | None:
    return None if _single(text) is None else bool(re.search(_python(pattern), str(text)))


def _mvindex(values: Any, start: int, end: int | None = None) -> Any:
    if start < 0 or (end is not None and end < 0):
        raise Unsupported("mvindex from the end")
    return _several(values_of(values)[start : (start if end is None else end) + 1])


def _mvzip(left: Any, right: Any) -> Any:
    if len(values_of(left)) != len(values_of(right)):
        raise Unsupported("mvzip of different lengths")
    return _several([f"{a},{b}" for a, b in zip(values_of(left), values_of(right), strict=True)])


def _replaced(text: Any, pattern: str, new: str) -> Any:
    return None if _single(text) is None else re.sub(_python(pattern), new, str(text))


def _round(value: Any, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


def _strptime(text: Any, form: str) -> float | None:
    try:
        found = None if _single(text) is None else datetime.datetime.strptime(text, form)  # noqa: DTZ007
    except ValueError:
        return None
    if found is not None and found.tzinfo is None:
        raise Unsupported("a time in the owner's zone")
    return found.timestamp() if found is not None else None


def _tonumber(text: Any) -> float | None:
    """Null for a text with a space before or after the number, as in the reference."""
    if _single(text) is None or str(text).strip() != str(text):
        return None
    try:
        found = float(text)
    except ValueError:
        return None
    return int(found) if found.is_integer() else found


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "false": lambda: False,
    "floor": lambda value: None if value is None else math.floor(value),
    "in": lambda value, *wanted: None if _single(value) is None else value in wanted,
    "isnotnull": lambda value: value is not None,
    "isnull": lambda value: value is None,
    "len": _text(len),
    "lower": _text(str.lower),
    "match": _match,
    "max": lambda *values: max((value for value in values if _single(value) is not None), default=None),
    "mvappend": lambda *parts: _several([value for part in parts for value in values_of(part)]),
    "mvcount": lambda values: len(values_of(values)) or None,
    "mvdedup": lambda values: _several(list(dict.fromkeys(values_of(values)))),
    "mvindex": _mvindex,
    "mvjoin": lambda values, by: by.join(map(str, values_of(values))) if values_of(values) else None,
    "mvsort": lambda values: _several(sorted(values_of(values))),
    "mvzip": _mvzip,
    "now": lambda: _refused("now: the result would depend on it"),
    "null": lambda: None,
    "pow": lambda base, power: None if base is None or power is None else base**power,
    "replace": _replaced,
    "round": _round,
    "split": lambda text, by: None if _single(text) is None else _several(str(text).split(by)),
    "strptime": _strptime,
    "tonumber": _tonumber,
    "trim": _text(str.strip),
    "true": lambda: True,
}
