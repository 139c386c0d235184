"""Open the FILE argument as a Table: a path or `-` for standard input; text or a workbook, gzipped or not.

How a file is written is recognized here and in ``irmcore.shaping`` for all commands in the same way: as the
profile's `input.format` says, and otherwise by what is certain from the file.
"""

import io
import itertools
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from irmcore.errors import InputError
from irmcore.profile import Profile
from irmcore.profile.model import Format
from irmcore.shaping import numbers, text_form
from irmcore.shaping.json_records import Number, json_records, rows_path
from irmcore.shaping.json_shapes import is_keyed, shape_of
from irmcore.shaping.readers import (
    Table,
    csv_table,
    decompressed,
    file_table,
    flattened,
    looks_like_json,
    mappings_table,
)

from irmcli.session.workbook import is_workbook, workbook_table

FORMATS = ("auto", "csv", "jsonl")
#: Lines, or results of a document, that are read of a JSON sample.
SAMPLE_ROWS = 10_000
_BLOCK = 1024 * 1024
#: Bytes of a file whose lines stand for all others.
_SAMPLE_BYTES = 256 * 1024


@contextmanager
def open_table(path: str, profile: Profile, form: str, name: str = "") -> Iterator[Table]:
    """The rows of FILE, which messages call ``name``. Raises InputError if it cannot be opened or parsed."""
    name = name or ("standard input" if path == "-" else path)
    with _open(path) as raw:
        stream = decompressed(raw, name)
        if form == "auto" and is_workbook(stream):
            of_numbers = [column.field for column in profile.columns if column.type == "number"]
            told, fields = profile.format, profile.fields
            yield workbook_table(stream, name=name, told=told, fields=fields, numbers=of_numbers)
        else:
            yield file_table(stream, profile, name=name, form=form)


@dataclass(frozen=True)
class SampleTable:
    """The rows of a sample, and how it is written: what ``told`` says and what was recognized."""

    table: Table
    format: Format


@contextmanager
def open_sample(path: str, told: Format) -> Iterator[SampleTable]:
    """The rows of a sample file for which there is no profile yet.

    JSON has one column for each key of the first rows, of nested objects too. CSV rows with too many fields
    are refused as ``ragged-long``. Raises InputError.
    """
    told = _with_encoding(path, told)
    with _open(path) as raw:
        stream = decompressed(raw, path)
        if is_workbook(stream):
            yield _workbook(stream, path, told)
            return
        stream = text_form.in_utf8(stream, told, path)
        start = stream.peek(text_form.START)[: text_form.START]
        if looks_like_json(stream):
            yield _json(stream, path, replace(told, records=told.records or _records(start)))
        else:
            form = text_form.recognized(start, told)
            if told.skip is None:
                rows = text_form.rows_of(start.decode("utf-8-sig", "replace"), form.delimiter)
                skip = text_form.header_row(rows[form.above :]) if len(rows) > 1 else 0
                told = replace(told, skip=skip or None)
            found = replace(told, spaces=form.spaces or None)
            if form.delimiter in (";", "\t", "|"):
                found = replace(found, delimiter=form.delimiter)
            yield SampleTable(csv_table(stream, name=path, told=found), found)


def _records(start: bytes) -> str | None:
    return rows_path(start.decode("utf-8-sig", "ignore")) or None


def _with_encoding(path: str, told: Format) -> Format:
    """With Windows-1252, if the text is that and cannot be UTF-8 or UTF-16."""
    if told.encoding is not None:
        return told
    with _open(path) as raw:
        stream = decompressed(raw, path)
        if is_workbook(stream):
            return told
        data = text_form.in_utf8(stream, told, path).read(_BLOCK)
    whole = data[:-4] if len(data) == _BLOCK else data  # otherwise its last character may be cut
    if not _decodes(data, "utf-8") and not _decodes(whole, "utf-8") and _decodes(data, "cp1252"):
        return replace(told, encoding="cp1252")
    return told


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _workbook(stream: io.BufferedReader, path: str, told: Format) -> SampleTable:
    data = stream.read()
    table = workbook_table(io.BufferedReader(io.BytesIO(data)), name=path, told=told)
    return SampleTable(table, told)


def _json(stream: io.BufferedReader, path: str, told: Format) -> SampleTable:
    # A line that is not JSON adds no column; `check` reports it.
    found = itertools.islice(json_records(stream, name=path, path=told.records), SAMPLE_ROWS)
    objects, first, number = [], None, 0
    for number, record in enumerate(found, start=1):
        first = record.value if number == 1 else first
        if isinstance(record.value, dict):
            row = flattened(record.value)
            objects.append({key: _marked(value) for key, value in row.items()} if record.machine else row)
    keys = dict.fromkeys(str(key) for row in objects for key in row)
    shape = shape_of(first) if not keys or (number == 1 and is_keyed(first)) else None
    if shape is not None:
        raise shape.refused(path)
    if not keys:
        raise InputError(
            "the sample has no JSON object that could be a row",
            where=path,
            next_step="Give a CSV file with a header, or JSON with one object per row.",
        )
    return SampleTable(mappings_table(objects, list(keys)), told)


def _marked(value: object) -> object:
    """A number of which Splunk made a text, as a number again."""
    return Number(value) if isinstance(value, str) and numbers.signs(value) in ("point", "either") else value


@contextmanager
def _open(path: str) -> Iterator[io.BufferedReader]:
    if path == "-":
        # Spooled to a file first, so that a slow pipe does not hold the connector's lock.
        with tempfile.TemporaryFile("w+b", buffering=0) as spool:
            while block := sys.stdin.buffer.read(_BLOCK):
                spool.write(block)
            spool.seek(0)
            yield io.BufferedReader(spool)
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - only opening it may raise InputError; `with` follows
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror})",
            where=path,
            next_step="Check the path, and that this user may read it.",
        ) from None
    with file:
        yield file


def about_rows(path: str) -> int | None:
    """About how many rows a text file has, by its size and its first lines; None if that cannot be told."""
    try:
        with Path(path).open("rb") as file:
            start, size = file.read(_SAMPLE_BYTES), os.fstat(file.fileno()).st_size
    except OSError:
        return None
    lines = start.count(b"\n")
    if b"\0" in start or start.startswith((b"\x1f\x8b", b"PK")) or not lines:
        return None  # compressed, a workbook, or a single line
    return round(size * lines / len(start))
