"""The connector's rules for the content of one file: bytes in, kept records and counts out.

Promised: pure (no I/O, no clock), and no value of a row in any message. The rules are those of Microsoft's
page "Set up a connector to import insider risk indicators", steps 2 and 3. What that page leaves open is an
option (`settings.Options`) or marked "undocumented" here.
Not promised: that the service's replies have these codes or words. They are the emulator's own.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from irmemulator.event_times import parse_time
from irmemulator.settings import Job, Options

PAIR_REPEATED = "pair_repeated"
PAIR_IN_EARLIER_FILE = "pair_in_earlier_file"
TIME_NOT_ISO = "time_not_iso"
USER_EMPTY = "user_empty"
SOURCE_VALUE_UNKNOWN = "source_value_unknown"

Pair = tuple[str, int]
"""A user in lower case, and an instant in µs at the emulator's precision."""


@dataclass(frozen=True)
class Refusal:
    """Why a whole file is refused, and with which status; without a value of any row."""

    code: str
    message: str
    status: int = 400


@dataclass(frozen=True)
class Table:
    """A CSV file as its header and its records, before the rules are applied.

    `lines` has the line that each record ends on, for messages.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = field(repr=False)
    lines: tuple[int, ...] = field(repr=False)


@dataclass(frozen=True)
class Record:
    """A record that the connector kept, as sent. The repr shows no value of the row.

    ``instant_us`` is the time in µs since 1970 UTC, cut to the emulator's precision.
    """

    user: str = field(repr=False)
    time: str = field(repr=False)
    instant_us: int
    source: str | None = field(repr=False)
    fields: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def pair(self) -> Pair:
        """What must be unique within a file."""
        return (self.user.casefold(), self.instant_us)


@dataclass(frozen=True)
class Outcome:
    """What happened to a file's records: `received == len(kept) + sum(dropped.values())`."""

    received: int
    kept: tuple[Record, ...]
    dropped: Mapping[str, int]


def read_table(file: bytes) -> Table | Refusal:
    """Read a file as CSV (RFC 4180 quoting), or return why that is impossible.

    A byte order mark is skipped (undocumented: Excel's "CSV UTF-8" writes one, and a service that
    read it as part of the first column's name would refuse every such file).
    """
    if not file:
        return Refusal("empty_file", "the file has no bytes")
    try:
        text = file.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Refusal("not_utf8", f"the file is not UTF-8: byte {error.start} cannot be read")
    if not text.strip():
        return Refusal("empty_file", "the file has only white space")
    # csv's own limit of a field is 131,072 characters, and it is one for the process.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    try:
        for row in reader:
            rows.append(tuple(row))
            lines.append(reader.line_num)
    except csv.Error:
        # The text of csv's error can quote the row.
        return Refusal("not_csv", f"line {reader.line_num}: the quoting is broken")
    return Table(rows[0], tuple(rows[1:]), tuple(lines[1:]))


def apply_rules(
    table: Table, job: Job, options: Options, known_pairs: Collection[Pair] = ()
) -> Outcome | Refusal:
    """Apply the job's mapping and Microsoft's rules to a file: what is kept, or why the file is refused.

    ``known_pairs``, kept from earlier files, count only with `options.remember_pairs_across_files`. A record
    that is dropped for its user, time or source does not use up its pair (undocumented).
    """
    broken = next(_broken(table, job), None)
    if broken is not None:
        return broken
    roles = _roles(table, job)
    if isinstance(roles, Refusal):
        return roles
    user_at, time_at, source_at = roles
    earlier = known_pairs if options.remember_pairs_across_files else ()
    related = frozenset(job.related_values)
    kept: dict[Pair, Record] = {}
    dropped: Counter[str] = Counter()
    for line, row in zip(table.lines, table.rows, strict=True):
        user, time = row[user_at], row[time_at]
        source = None if source_at is None else row[source_at]
        instant = parse_time(time, options.time_precision)
        if not user.strip():
            dropped[USER_EMPTY] += 1
            continue
        if instant is None:
            dropped[TIME_NOT_ISO] += 1
            continue
        if source is not None and related and source not in related:
            if options.refuse_unknown_source_values:
                return Refusal(
                    SOURCE_VALUE_UNKNOWN,
                    f"line {line}: the source column has a value that is not one of the "
                    "connector's related values",
                )
            dropped[SOURCE_VALUE_UNKNOWN] += 1
            continue
        fields = tuple(zip(table.header, row, strict=True))
        record = Record(user, time, instant, source, fields)
        if record.pair in kept:
            dropped[PAIR_REPEATED] += 1
        elif record.pair in earlier:
            dropped[PAIR_IN_EARLIER_FILE] += 1
        else:
            kept[record.pair] = record
    return Outcome(len(table.rows), tuple(kept.values()), MappingProxyType(dict(dropped)))


def _broken(table: Table, job: Job) -> Iterator[Refusal]:
    """What is wrong with a file's shape, in the order of the checks."""
    header = table.header
    if not header or not all(name.strip() for name in header):
        yield Refusal("no_header", "line 1: no header: a column without a name")
    if len(set(header)) != len(header):
        yield Refusal("column_repeated", "line 1: two columns have the same name")
    if job.columns is not None and set(header) != set(job.columns):
        # Columns are mapped by name in the portal, so their order is free (undocumented).
        # The message does not quote the file's own names: without a header they would be a row.
        wanted = ", ".join(job.columns)
        yield Refusal("columns_differ", f"line 1: the connector's columns are {wanted}")
    for line, row in zip(table.lines, table.rows, strict=True):
        if len(row) != len(header):
            yield Refusal("ragged_row", f"line {line}: {len(row)} fields under {len(header)} columns")
    if not table.rows:
        yield Refusal("no_records", "the file has a header and no records")


def _roles(table: Table, job: Job) -> tuple[int, int, int | None] | Refusal:
    """The positions of the user, the time and, if the job has one, the source."""
    user_at, time_at = _user_column(table.header, job), _time_column(table, job)
    source_at = None if job.source_column is None else _position(table.header, job.source_column)
    if user_at is None:
        return Refusal("no_user_column", "line 1: no header, or no column for the user")
    if time_at is None:
        return Refusal("no_time_column", "line 1: no header, or no column for the event time")
    if job.source_column is not None and source_at is None:
        return Refusal("no_source_column", "line 1: no header, or the source column is missing")
    return user_at, time_at, source_at


def _position(header: Sequence[str], column: str) -> int | None:
    return header.index(column) if column in header else None


def _user_column(header: Sequence[str], job: Job) -> int | None:
    if job.user_column is not None:
        return _position(header, job.user_column)
    for position, name in enumerate(header):
        letters = "".join(letter for letter in name.casefold() if letter.isalnum())
        if letters == "userprincipalname":
            return position
    return None


def _time_column(table: Table, job: Job) -> int | None:
    if job.time_column is not None:
        return _position(table.header, job.time_column)
    # The column with the most times, not one with times only: a bad time must cost its record, as with the
    # real connector's mapping, and not the file.
    found = [
        sum(parse_time(row[position]) is not None for row in table.rows)
        for position in range(len(table.header))
    ]
    most = max(found)
    return found.index(most) if most else None
