"""Read CSV, JSON or mappings into rows of text, in input order, with their line numbers.

Every row comes out exactly once, as values or as a reason code, and a bad row affects no other. Input whose
rows cannot be told apart (an unclosed quote, a bad header) raises InputError. One block is in memory at a
time. What the values mean is not decided here.
"""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
import os
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Callable, NamedTuple

from irmcore.errors import InputError
from irmcore.profile.model import Format, Profile
from irmcore.settings import nearest
from irmcore.shaping import corrections
from irmcore.shaping.blocks import Block, Rows, SourceRow, in_blocks
from irmcore.shaping.csv_cells import MAX_FIELD_CHARACTERS, NUL_MARK, Cells, Chunk, FileSlice
from irmcore.shaping.json_records import Number, Record, json_records
from irmcore.shaping.json_shapes import shape_of
from irmcore.shaping.numbers import typed
from irmcore.shaping.text_form import START, TextForm, in_utf8, recognized


class Reopenable(NamedTuple):
    """A file that several processes can read at once, each from the beginning.

    ``walk`` gives the blocks of those chunks whose number (from 0) is wanted, and for other chunks perhaps
    only the number of rows. ``file`` is the descriptor of the open file, ``size`` its size in bytes.
    """

    walk: Callable[[Callable[[int], bool]], Iterator[Block | int]]
    file: int
    size: int


@dataclass(frozen=True)
class Table:
    """The header and the rows of an input. Either ``rows`` or ``blocks()`` can be consumed, once.

    ``reopenable`` is set if the input is a file that can be read several times. ``asks``: its numbers may be
    written in any way, so one that can be read in two is refused unless the profile names the decimal sign.
    ``form`` says how the file is written, for people; empty if there is nothing to say. ``notes`` are for
    people too, once the rows have been read. ``delimiter`` is the file's, ``source`` the kind of the input:
    file, search or query.
    """

    header: tuple[str, ...]
    rows: Iterator[SourceRow]
    reopenable: Reopenable | None = None
    asks: bool = False
    form: str = ""
    notes: Sequence[str] = ()
    delimiter: str = ","
    source: str = "file"

    def blocks(self) -> Iterator[Block]:
        """The rows in blocks of a few hundred."""
        return self.rows.blocks if isinstance(self.rows, Rows) else in_blocks(self.rows)


def decompressed(stream: io.BufferedReader, name: str) -> io.BufferedReader:
    """``stream``, decompressed if its first two bytes are those of gzip. Reading may raise InputError."""
    if stream.peek(2)[:2] != b"\x1f\x8b":
        return stream
    return io.BufferedReader(_Gunzipped(stream, name))


#: What a gzip file may expand to, whatever its size, in bytes; and how many times its size beyond that.
MAX_EXPANDED_BYTES, MAX_EXPANSION = 256 * 1024 * 1024, 200


class _Gunzipped(io.RawIOBase):
    """A gzip stream that raises InputError if it is truncated or damaged, or expands too much."""

    def __init__(self, packed: io.BufferedReader, name: str) -> None:
        self._file = gzip.GzipFile(fileobj=packed, mode="rb")
        self._packed = packed
        self._name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            size = self._file.readinto(buffer)
            expanded = self._file.tell()
            if expanded > MAX_EXPANDED_BYTES and expanded > MAX_EXPANSION * self._packed.tell():
                raise InputError(
                    f"the gzip file expands to more than {MAX_EXPANSION} times its size",
                    where=self._name,
                    next_step="Nothing was accepted. Check its origin. If it is right, decompress it first.",
                )
            return size
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise InputError(
                "the gzip file is truncated or damaged",
                where=self._name,
                next_step="Nothing was accepted. Create the file again.",
            ) from None


def file_table(stream: io.BufferedReader, profile: Profile, *, name: str, form: str = "auto") -> Table:
    """The table of a CSV or JSON file, whose form is what the profile says and what can be recognized.

    ``form``: csv, jsonl, or auto to decide by the first character. Raises InputError.
    """
    stream = in_utf8(stream, profile.format, name)
    if form == "jsonl" or (form == "auto" and looks_like_json(stream)):
        numbers = [column.field for column in profile.columns if column.type == "number"]
        return json_table(stream, profile.fields, name=name, told=profile.format, numbers=numbers)
    return csv_table(stream, name=name, ragged=profile.ragged, told=profile.format, fields=profile.fields)


def looks_like_json(stream: io.BufferedReader) -> bool:
    """Whether a buffered stream begins like a JSON object, or an array of objects or arrays."""
    start = stream.peek(START)[:START].lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"{") or re.match(rb"\[\s*[{[\]]", start) is not None


def csv_table(
    stream: io.BufferedReader,
    *,
    name: str,
    ragged: str = "refuse",
    told: Format = Format(),  # noqa: B008 - it is frozen
    fields: Collection[str] = (),
) -> Table:
    """The table of a CSV file in UTF-8, with or without BOM; ``ragged`` and ``told`` are as in the profile.

    ``fields`` are those that the header should have, by which the delimiter is recognized. Columns without a
    name at the end are left out if they are empty. Raises InputError for an empty file, a repeated column
    name or an unclosed quote.
    """
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    form, reopenable = recognized(stream.peek(START)[:START], told, fields), _reopenable(stream)
    cells = _cells(stream, form)
    try:
        header = _header(cells, form)
    except csv.Error:
        raise _bad_header(name, "the header line cannot be read as CSV") from None
    if not header:
        raise InputError("the file is empty", where=name, next_step="Give a CSV file with a header line.")
    if any(NUL_MARK in cell or "\udcff" in cell or "\udcfe" in cell for cell in header):
        raise InputError(
            "the file is not UTF-8 text (it may be UTF-16, or not CSV at all)",
            where=name,
            next_step="Save it as 'CSV UTF-8' and send that file.",
        )
    if any("\udc80" <= character <= "\udcff" for cell in header for character in cell):
        raise InputError(
            "the header line is not UTF-8",
            where=f"{name}:1",
            next_step="Save it as UTF-8, or set `encoding: cp1252` under `input.format` in the profile.",
        )
    width = len(header)
    header = named_columns(header, f"{name}:1")
    widths = _Widths(len(header), width, form.delimiter)
    blocks = _some_csv_blocks(cells.chunks(width), widths, name=name, ragged=ragged)
    rows = Rows(block for block in blocks if isinstance(block, Block))
    said = "" if form.delimiter == "," else str(form)
    if form.corrections:
        said = f"refused rows that irmexport wrote, {form}"
        names = tuple(map(corrections.unguarded, header[2:]))
        return Table(names, corrections.rows(rows), asks=True, form=said, delimiter=form.delimiter)
    walk = reopenable and reopenable(form, widths, name, ragged)
    return Table(header, rows, walk, asks=True, form=said, delimiter=form.delimiter)


def named_columns(header: tuple[str, ...], where: str) -> tuple[str, ...]:
    """The header without the columns at its end that have no name. Raises InputError for a repeated name."""
    while len(header) > 1 and not header[-1].strip(" "):
        header = header[:-1]
    first: dict[str, int] = {}
    for number, cell in enumerate(header, start=1):
        if first.setdefault(cell, number) != number:
            # Numbers, not names: in a file without a header these are values of the first row.
            what = f"columns {first[cell]} and {number} of the header have the same name"
            raise InputError(what, where=where, next_step="Correct the header line and send the file again.")
    return header


class _Widths(NamedTuple):
    """Columns with a name, and all columns of the header; the delimiter between them."""

    named: int
    all: int
    delimiter: str


def _reopenable(
    stream: io.BufferedReader,
) -> Callable[[TextForm, _Widths, str, str], Reopenable] | None:
    """What makes the stream's file reopenable, if it is one and at its beginning."""
    if not isinstance(stream.raw, io.FileIO) or not stream.seekable() or stream.tell():
        return None
    file, size = stream.fileno(), os.fstat(stream.fileno()).st_size

    def made(form: TextForm, widths: _Widths, name: str, ragged: str) -> Reopenable:
        def walk(wanted: Callable[[int], bool]) -> Iterator[Block | int]:
            cells = _cells(FileSlice(file, 0, size), form)
            _header(cells, form)
            return _some_csv_blocks(cells.some(widths.all, wanted), widths, name=name, ragged=ragged)

        return Reopenable(walk, file, size)

    return made


def _cells(stream: BinaryIO | FileSlice, form: TextForm) -> Cells:
    return Cells(stream, bom=True, delimiter=form.delimiter, spaces=form.spaces)


def _header(cells: Cells, form: TextForm) -> tuple[str, ...]:
    """The header, below the rows above it; empty at the end of the file. Raises csv.Error."""
    for _ in range(form.above):
        _first_row(cells)
    header = _first_row(cells)
    return tuple(cell.strip(" ") for cell in header) if form.spaces else header


def _bad_header(name: str, what: str) -> InputError:
    return InputError(what, where=f"{name}:1", next_step="Correct the header line and send the file again.")


def _first_row(cells: Cells) -> tuple[str, ...]:
    """The first line that is not empty; empty at the end of the file. Raises csv.Error."""
    try:
        while True:
            row = cells.row()
            if row:
                return tuple(row)
    except StopIteration:
        return ()


def _some_csv_blocks(
    chunks: Iterator[Chunk | int] | Iterator[Chunk], widths: _Widths, *, name: str, ragged: str
) -> Iterator[Block | int]:
    for chunk in chunks:
        if isinstance(chunk, int):
            yield chunk
            continue
        rows, lines, broken = chunk.rows, chunk.lines, chunk.broken
        columns, unnamed = chunk.columns[: widths.named], chunk.columns[widths.named :]
        if columns and not any(map(any, unnamed)):
            block = Block(None, lines[:-1], columns=columns)
        else:
            block = _ragged_block(rows or list(map(list, zip(*chunk.columns))), lines, widths, ragged)
        if broken is None:
            yield block
            continue
        # These are texts of the csv module, which never quote the row. A stray quote on a later line than the
        # row's first may belong to another row. Then the rows in between would be lost.
        if broken.spans or "unexpected end of data" in broken.why or "field larger" in broken.why:
            yield block
            raise InputError(
                "a value that starts here does not end (an unclosed quote, or more than 4 MiB), "
                "so the rows after it cannot be told apart",
                where=f"{name}:{lines[-1]}",
                next_step='Close the quote, or double it ("") if it is part of the value.',
            ) from None
        unquoted = SourceRow(lines[-1], (broken.text,), "malformed-quoting")
        yield Block(block.rows, block.lines, [*block.refused, unquoted])


def _ragged_block(rows: Sequence[list[str]], lines: Sequence[int], widths: _Widths, ragged: str) -> Block:
    """A block whose rows may differ from the header's width. Empty lines are not rows."""
    width = widths.named
    good: list[list[str]] = []
    numbers: list[int] = []
    refused: list[SourceRow] = []
    for line, row in zip(lines, rows):
        if not row:
            continue
        if len(row) == width or (len(row) == widths.all and not any(row[width:])):
            good.append(row[:width])
        elif len(row) < width:
            refused.append(SourceRow(line, tuple(row), "ragged-short"))
            continue
        elif ragged == "join-last":
            good.append([*row[: width - 1], widths.delimiter.join(row[width - 1 :])])
        else:
            refused.append(SourceRow(line, tuple(row), "ragged-long"))
            continue
        numbers.append(line)
    return Block(good, numbers, refused)


def json_table(
    stream: io.BufferedReader,
    fields: Sequence[str],
    *,
    name: str,
    told: Format = Format(),  # noqa: B008 - it is frozen
    numbers: Collection[str] = (),
) -> Table:
    """The table of a JSON file. ``fields`` are the columns to read, ``numbers`` those that hold numbers.

    A field that is absent or null is empty; dots in its name lead into nested objects. The rows of a document
    are numbered by result, not by line. Raises InputError as ``json_records`` does, and at the end if no row
    has a field but rows have one that is spelt almost like it, or if the file has its rows in another shape.
    Other fields that no row has, and keys that some rows have in place of a field, are notes.
    """
    notes: list[str] = []
    typed_at = [(at, told.numbers) for at, field in enumerate(fields) if field in numbers]
    records = json_records(stream, name=name, path=told.records)
    rows = _json_rows(records, tuple(fields), typed_at, _Keys(fields, name, notes))
    return Table(tuple(fields), rows, asks=True, notes=notes)


def _json_rows(
    records: Iterable[Record],
    fields: tuple[str, ...],
    typed_at: Sequence[tuple[int, str | None]],
    keys: _Keys,
) -> Iterator[SourceRow]:
    count = 0
    for number, value, text, refused, machine in records:
        count += 1
        if refused is not None:
            row = SourceRow(number, (), refused)
        else:
            if keys.missing:
                keys.see(value)
            row = _mapped(number, value, fields)
            if row.refused is None:
                if "" in row.values:
                    keys.compare(value, row.values)
                for at, decimal in typed_at:
                    if machine or type(row.values[at]) is Number:
                        row = _with_number(row, at, decimal)
        yield row if row.refused is None else row._replace(values=(_marked(text),))
    keys.finish(count)


def _with_number(row: SourceRow, at: int, decimal: str | None) -> SourceRow:
    """The row, where a value that is a number in its source can be read in one way only."""
    value = typed(row.values[at], decimal)
    if value is row.values[at]:
        return row
    return row._replace(values=(*row.values[:at], value, *row.values[at + 1 :]))


class _Keys:
    """Looks for fields that no row or not every row has, perhaps misspelt, and for a file without rows."""

    def __init__(self, fields: Sequence[str], name: str, notes: list[str]) -> None:
        self.missing = set(fields)
        self._fields, self._name, self._notes = tuple(fields), name, notes
        self._others: dict[str, None] = {}
        #: Of each field: keys that were compared with it, and those that are spelt almost like it.
        self._keys: dict[str, tuple[set[str], list[str]]] = {field: (set(), []) for field in fields}
        self._alike: Counter[tuple[str, str]] = Counter()
        self._rows = 0
        self._first: Any = None

    def see(self, record: Any) -> None:
        """Looks at a record of a file in which a field is missing until now."""
        if self._first is None:
            self._first = record
        if not isinstance(record, Mapping):
            return
        self._rows += 1
        self.missing = {field for field in self.missing if _at(record, field) is _ABSENT}
        if self.missing and self._rows <= _ROWS_OF_KEYS:
            self._others.update(dict.fromkeys(flattened(record)))

    def compare(self, record: Mapping[str, Any], values: Sequence[str]) -> None:
        """Looks for other spellings of the fields that this record does not have."""
        for field, value in zip(self._fields, values):
            if value or _at(record, field) is not _ABSENT:
                continue
            before, dot, _ = field.rpartition(".")
            inside = _at(record, before) if dot else record
            if not isinstance(inside, Mapping):
                continue
            judged, alike = self._keys[field]
            if not inside.keys() <= judged and len(judged) < _MOST_KEYS:
                alike += (
                    key for key in inside.keys() - judged if self._is_almost(f"{before}{dot}{key}", field)
                )
                judged.update(inside)
            for key in alike:
                if key in inside:
                    self._alike[field, f"{before}{dot}{key}"] += 1

    def _is_almost(self, key: str, field: str) -> bool:
        last = field.rpartition(".")[2], key.rpartition(".")[2]
        same = last[0].casefold() == last[1].casefold()
        return key not in self._fields and (same or nearest(last[0], [last[1]], cutoff=_PERHAPS) is not None)

    def finish(self, records: int) -> None:
        """Raises InputError for a field that is probably misspelt, and for a file that has no rows."""
        first = self._first if isinstance(self._first, Mapping) else {}
        # Of several records, the first may be a row without values.
        shape = shape_of(self._first) if records == 1 or not self._rows else None
        if shape is not None and not any(_is_cell(_at(first, field)) for field in self._fields):
            raise shape.refused(self._name)
        for field in (field for field in self._fields if field in self.missing and self._rows):
            others = [key for key in self._others if key not in self._fields]
            near = next((key for key in others if key.casefold() == field.casefold()), None)
            near = near or nearest(field, others, cutoff=_ALMOST)
            if near is not None:
                raise InputError(
                    f"no row has `{field}`, but rows have `{near}`",
                    where=self._name,
                    next_step=f"Nothing was accepted. Set `field: {near}` in the profile.",
                )
            self._notes.append(f"{self._name}: no row has `{field}`, so that column is empty.")
        for (field, other), rows in self._alike.most_common(_NAMED):
            lack = "1 row has" if rows == 1 else f"{rows:,} rows have"
            self._notes.append(
                f"{self._name}: {lack} no `{field}` but `{other}`, so that column is empty there."
                " If it is misspelt, correct it in the file."
            )


#: Rows whose keys are remembered, and how similar a misspelt key is: to stop for it, and to say so.
_ROWS_OF_KEYS, _ALMOST, _PERHAPS = 100, 0.8, 0.75
#: Keys that are compared with each field, and those of them that are named.
_MOST_KEYS, _NAMED = 4096, 10
_ABSENT = object()


def flattened(record: Mapping[str, Any], *, before: str = "", deep: int = 8) -> dict[str, Any]:
    """The values of a record that are no lists or objects, by their names with dots."""
    found: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            if deep:
                found.update(flattened(value, before=f"{before}{key}.", deep=deep - 1))
        elif not isinstance(value, (list, tuple)):
            found[f"{before}{key}"] = value
    return found


def _at(record: Mapping[str, Any], field: str) -> Any:
    """The value of a field, also in nested objects; _ABSENT if there is none."""
    if field in record:
        return record[field]
    dot = field.find(".")
    while dot >= 0:
        inner = record.get(field[:dot])
        found = _at(inner, field[dot + 1 :]) if isinstance(inner, Mapping) else _ABSENT
        if found is not _ABSENT:
            return found
        dot = field.find(".", dot + 1)
    return _ABSENT


def _marked(line: str) -> str:
    """The text of a line for the reject file."""
    return line.rstrip("\r\n").replace("\0", NUL_MARK)


def mappings_table(rows: Iterable[Mapping[str, Any]], fields: Sequence[str]) -> Table:
    """The table of dictionaries such as Splunk's and Azure's libraries return."""
    wanted = tuple(fields)

    def read() -> Iterator[SourceRow]:
        for number, record in enumerate(rows, start=1):
            row = _mapped(number, record, wanted)
            yield row if row.refused is None else row._replace(values=(_shown(record),))

    return Table(wanted, read())


def _shown(record: Any) -> str:
    """A record as text, for the reject file."""
    try:
        return json.dumps(record, default=str, skipkeys=True)
    except (ValueError, RecursionError):
        return f"<a {type(record).__name__} that refers to itself>"


def _mapped(number: int, record: Any, fields: tuple[str, ...]) -> SourceRow:
    if not isinstance(record, Mapping):
        return SourceRow(number, (), "not-an-object")
    values = []
    for field in fields:
        found = record.get(field)
        if found is None and "." in field:
            found = _at(record, field)
        value = _scalar(found)
        if value is None:
            return SourceRow(number, (), "not-a-scalar")
        values.append(value)
    return SourceRow(number, tuple(values))


def _is_cell(value: Any) -> bool:
    return value is not _ABSENT and _scalar(value) is not None


def _scalar(value: Any) -> str | None:
    """The text of a scalar, or None for anything else."""
    if isinstance(value, str):
        return value.replace("\0", NUL_MARK) if "\0" in value else value
    if value is None or value is _ABSENT:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, (int, float)) or type(value).__name__ in ("Decimal", "UUID"):
        return str(value)
    return None
