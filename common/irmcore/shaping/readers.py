"""Bytes or mappings → rows of text, in the order and at the line they stood.

Promises: every row of the input comes out exactly once, as values or as a reason code, with its line;
a single bad row costs only itself; what makes rows undividable (UTF-16, an unclosed quote, a wrong
header) raises InputError. Streams: holds one block at a time. Knows nothing of what the values mean.
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
from irmcore.shaping.csv_cells import NUL_MARK, Cells, Chunk, FileSlice

#: A field longer than this cannot be part of an upload; it is most often a quote that never closes.
MAX_FIELD_CHARACTERS = 4 * 1024 * 1024


class Reopenable(NamedTuple):
    """An input that can be walked by several at once, each from its beginning.

    ``walk`` gives the blocks of the stretches whose number is wanted, from 0, and of others perhaps only how
    many rows they have; ``file`` is the descriptor of the open file, ``size`` its bytes.
    """

    walk: Callable[[Callable[[int], bool]], Iterator[Block | int]]
    file: int
    size: int


@dataclass(frozen=True)
class Table:
    """The header and the rows of an input; ``rows``, or ``blocks``, can be walked once.

    ``reopenable`` is set where the input is a file that can be read several times.
    """

    header: tuple[str, ...]
    rows: Iterator[SourceRow]
    reopenable: Reopenable | None = None

    def blocks(self) -> Iterator[Block]:
        """The same rows some hundred at a time."""
        return self.rows.blocks if isinstance(self.rows, Rows) else in_blocks(self.rows)


def decompressed(stream: io.BufferedReader, name: str) -> io.BufferedReader:
    """``stream``, or what it unpacks to if it is gzip (by its first two bytes)."""
    if stream.peek(2)[:2] != b"\x1f\x8b":
        return stream
    return io.BufferedReader(_Unpacked(stream, name))


class _Unpacked(io.RawIOBase):
    """A gzip stream whose faults (cut off, damaged) are an InputError with a next step."""

    def __init__(self, packed: io.BufferedReader, name: str) -> None:
        self._file = gzip.GzipFile(fileobj=packed, mode="rb")
        self._name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return self._file.readinto(buffer)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise InputError(
                "the gzip file is cut off or damaged",
                where=self._name,
                next_step="Make the file again; nothing of it was accepted.",
            ) from None


def looks_like_json(stream: io.BufferedReader) -> bool:
    """Whether the first character of a buffered stream is ``{``."""
    return stream.peek(64)[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def csv_table(stream: io.BufferedReader, *, name: str, ragged: str = "refuse") -> Table:
    """The table of an RFC 4180 CSV file, UTF-8 with or without BOM; ``ragged`` as in the profile.

    Raises InputError for an empty file, UTF-16, a repeated header or a quote that never closes.
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
            "the file is not UTF-8 text (it may be UTF-16, or no CSV at all)",
            where=name,
            next_step="Save it as 'CSV UTF-8' and send that.",
        )
    if any("\udc80" <= character <= "\udcff" for cell in header for character in cell):
        raise _bad_header(name, "the header line is not UTF-8")
    first = {cell: header.index(cell) + 1 for cell in header}
    for number, cell in enumerate(header, start=1):
        if first[cell] != number:
            # By number, not by name: of a file without a header this is the first row.
            raise _bad_header(name, f"columns {first[cell]} and {number} of the header have the same name")
    return Table(header, Rows(_csv_blocks(cells, len(header), name=name, ragged=ragged)), reopenable)


def _reopenable(stream: io.BufferedReader, *, name: str, ragged: str) -> Reopenable | None:
    """How to walk the file again, if the stream is one at its beginning."""
    if not isinstance(stream.raw, io.FileIO) or not stream.seekable() or stream.tell():
        return None
    file, size = stream.fileno(), os.fstat(stream.fileno()).st_size

    def walk(wanted: Callable[[int], bool]) -> Iterator[Block | int]:
        cells = Cells(FileSlice(file, 0, size), bom=True)
        width = len(_first_row(cells))
        return _some_csv_blocks(cells.some(width, wanted), width, name=name, ragged=ragged)

    return Reopenable(walk, file, size)


def _bad_header(name: str, what: str) -> InputError:
    return InputError(what, where=f"{name}:1", next_step="Correct the first line of the file.")


def _first_row(cells: Cells) -> tuple[str, ...]:
    """The first line that is not empty. Raises csv.Error."""
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
        # Text of the csv module, which never quotes the row. A stray quote on a later line than the
        # row's first may as well be the first quote of another row: the rows between would be lost.
        if broken.spans or "unexpected end of data" in broken.why or "field larger" in broken.why:
            yield block
            raise InputError(
                "a value begins here that does not end (a quote that is never closed, or over "
                "4 MiB), so the rows after it cannot be told apart",
                where=f"{name}:{lines[-1]}",
                next_step='Close the quote, or double it ("") if it is part of the value.',
            ) from None
        unquoted = SourceRow(lines[-1], (broken.text,), "malformed-quoting")
        yield Block(block.rows, block.lines, [*block.refused, unquoted])


def _ragged_block(rows: Sequence[list[str]], lines: Sequence[int], width: int, ragged: str) -> Block:
    """A block in which some row may not have the header's width; empty lines are no rows."""
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


def json_lines_table(stream: io.BufferedReader, fields: Sequence[str], *, name: str) -> Table:
    """The table of a JSON-lines file: one object a line; ``fields`` are the columns wanted.

    A field that is absent or null is empty. Raises InputError for UTF-16.
    """
    if stream.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(
            "the file is not UTF-8; it looks like UTF-16", where=name, next_step="Save it as UTF-8."
        )
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="\n")
    return Table(tuple(fields), _json_rows(text, tuple(fields)))


class _DuplicateKey(ValueError):
    pass


class _NotJson(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> Any:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise _DuplicateKey
    return mapping


def _constant(_: str) -> Any:
    raise _NotJson  # NaN and Infinity are Python's, not JSON's


def _json_rows(lines: Iterable[str], fields: tuple[str, ...]) -> Iterator[SourceRow]:
    # Numbers keep the text they were written with: no float stands between input and output.
    decoder = json.JSONDecoder(
        object_pairs_hook=_object, parse_float=str, parse_int=str, parse_constant=_constant
    )
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = decoder.decode(line.strip())
        except _DuplicateKey:
            yield SourceRow(number, (_marked(line),), "duplicate-key")
        except (ValueError, RecursionError):
            yield SourceRow(number, (_marked(line),), "invalid-json")
        else:
            row = _mapped(number, record, fields)
            yield row if row.refused is None else row._replace(values=(_marked(line),))


def _marked(line: str) -> str:
    """The text of a line as it goes into the reject file."""
    return line.rstrip("\r\n").replace("\0", NUL_MARK)


def mappings_table(rows: Iterable[Mapping[str, Any]], fields: Sequence[str]) -> Table:
    """The table of dictionaries, as Splunk's and Azure's libraries give them."""
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
