"""Read CSV, JSON or mappings into rows of text, in input order, with their line numbers.

Every row comes out exactly once, as values or as a reason code, and a bad row affects no other. Input whose
rows cannot be told apart (UTF-16, an unclosed quote, a bad header) raises InputError. One block is in memory
at a time. What the values mean is not decided here.
"""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, NamedTuple

from irmcore.errors import InputError
from irmcore.shaping.blocks import Block, Rows, SourceRow, in_blocks
from irmcore.shaping.csv_cells import MAX_FIELD_CHARACTERS, NUL_MARK, Cells, Chunk, FileSlice
from irmcore.shaping.json_records import Record, json_records


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

    ``reopenable`` is set if the input is a file that can be read several times.
    """

    header: tuple[str, ...]
    rows: Iterator[SourceRow]
    reopenable: Reopenable | None = None

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


def looks_like_json(stream: io.BufferedReader) -> bool:
    """Whether the first character of a buffered stream is ``{``."""
    return stream.peek(64)[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def csv_table(stream: io.BufferedReader, *, name: str, ragged: str = "refuse") -> Table:
    """The table of an RFC 4180 CSV file in UTF-8, with or without BOM; ``ragged`` is as in the profile.

    Raises InputError for an empty file, UTF-16, a repeated column name or an unclosed quote.
    """
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    reopenable = _reopenable(stream, name=name, ragged=ragged)
    cells = Cells(stream, bom=True)
    try:
        header = _first_row(cells)
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
        raise _bad_header(name, "the header line is not UTF-8")
    first = {cell: header.index(cell) + 1 for cell in header}
    for number, cell in enumerate(header, start=1):
        if first[cell] != number:
            # Numbers, not names: in a file without a header these are values of the first row.
            raise _bad_header(name, f"columns {first[cell]} and {number} of the header have the same name")
    return Table(header, Rows(_csv_blocks(cells, len(header), name=name, ragged=ragged)), reopenable)


def _reopenable(stream: io.BufferedReader, *, name: str, ragged: str) -> Reopenable | None:
    """The stream's file, if it is one and at its beginning."""
    if not isinstance(stream.raw, io.FileIO) or not stream.seekable() or stream.tell():
        return None
    file, size = stream.fileno(), os.fstat(stream.fileno()).st_size

    def walk(wanted: Callable[[int], bool]) -> Iterator[Block | int]:
        cells = Cells(FileSlice(file, 0, size), bom=True)
        width = len(_first_row(cells))
        return _some_csv_blocks(cells.some(width, wanted), width, name=name, ragged=ragged)

    return Reopenable(walk, file, size)


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


def _csv_blocks(cells: Cells, width: int, *, name: str, ragged: str) -> Iterator[Block]:
    blocks = _some_csv_blocks(cells.chunks(width), width, name=name, ragged=ragged)
    return (block for block in blocks if isinstance(block, Block))


def _some_csv_blocks(
    chunks: Iterator[Chunk | int] | Iterator[Chunk], width: int, *, name: str, ragged: str
) -> Iterator[Block | int]:
    for chunk in chunks:
        if isinstance(chunk, int):
            yield chunk
            continue
        rows, lines, broken = chunk.rows, chunk.lines, chunk.broken
        if chunk.columns:
            block = Block(None, lines[:-1], columns=chunk.columns)
        else:
            block = _ragged_block(rows, lines, width, ragged)
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


def _ragged_block(rows: Sequence[list[str]], lines: Sequence[int], width: int, ragged: str) -> Block:
    """A block whose rows may differ from the header's width. Empty lines are not rows."""
    good: list[list[str]] = []
    numbers: list[int] = []
    refused: list[SourceRow] = []
    for line, row in zip(lines, rows):
        if not row:
            continue
        if len(row) == width:
            good.append(row)
        elif len(row) < width:
            refused.append(SourceRow(line, tuple(row), "ragged-short"))
            continue
        elif ragged == "join-last":
            good.append([*row[: width - 1], ",".join(row[width - 1 :])])
        else:
            refused.append(SourceRow(line, tuple(row), "ragged-long"))
            continue
        numbers.append(line)
    return Block(good, numbers, refused)


def json_table(stream: io.BufferedReader, fields: Sequence[str], *, name: str) -> Table:
    """The table of JSON lines, or of one of Splunk's own JSON exports. ``fields`` are the columns to read.

    A field that is absent or null is empty. The rows of an export in one document are numbered by result,
    not by line. Raises InputError as ``json_records`` does.
    """
    return Table(tuple(fields), _json_rows(json_records(stream, name=name), tuple(fields)))


def _json_rows(records: Iterable[Record], fields: tuple[str, ...]) -> Iterator[SourceRow]:
    for number, value, text, refused in records:
        row = _mapped(number, value, fields) if refused is None else SourceRow(number, (), refused)
        yield row if row.refused is None else row._replace(values=(_marked(text),))


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
        value = _scalar(record.get(field))
        if value is None:
            return SourceRow(number, (), "not-a-scalar")
        values.append(value)
    return SourceRow(number, tuple(values))


def _scalar(value: Any) -> str | None:
    """The text of a scalar, or None for anything else."""
    if isinstance(value, str):
        return value.replace("\0", NUL_MARK) if "\0" in value else value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, (int, float)) or type(value).__name__ in ("Decimal", "UUID"):
        return str(value)
    return None
