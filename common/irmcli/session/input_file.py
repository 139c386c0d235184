"""Open the FILE argument as a Table: a path or `-` for standard input, CSV or JSON, gzipped or not.

JSON is lines or one of Splunk's own exports.
"""

from __future__ import annotations

import io
import itertools
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from irmcore.errors import InputError
from irmcore.profile import Profile
from irmcore.shaping.json_records import json_records
from irmcore.shaping.readers import (
    Table,
    csv_table,
    decompressed,
    json_table,
    looks_like_json,
    mappings_table,
)

FORMATS = ("auto", "csv", "jsonl")
#: Lines, or results of a document, that are read of a JSON sample.
SAMPLE_ROWS = 10_000
_BLOCK = 1024 * 1024


@contextmanager
def open_table(path: str, profile: Profile, form: str) -> Iterator[Table]:
    """The rows of FILE. Raises InputError if it cannot be opened or parsed."""
    name = "standard input" if path == "-" else path
    with _open(path) as raw:
        stream = decompressed(raw, name)
        _refuse_array(stream, name)
        if form == "jsonl" or (form == "auto" and looks_like_json(stream)):
            fields = [column.field for column in profile.columns]
            yield json_table(stream, fields, name=name)
        else:
            yield csv_table(stream, name=name, ragged=profile.ragged)


@contextmanager
def open_sample(path: str) -> Iterator[Table]:
    """The rows of a sample file for which there is no profile yet.

    JSON has one column for each key of the first rows. CSV rows with too many fields are refused as
    ``ragged-long``. Raises InputError.
    """
    with _open(path) as raw:
        stream = decompressed(raw, path)
        _refuse_array(stream, path)
        if not looks_like_json(stream):
            yield csv_table(stream, name=path)
            return
        # A line that is not JSON adds no column; `check` reports it.
        found = itertools.islice(json_records(stream, name=path), SAMPLE_ROWS)
        objects = [record.value for record in found if isinstance(record.value, dict)]
        keys = dict.fromkeys(str(key) for row in objects for key in row)
        if not keys:
            raise InputError(
                "no line of the sample is a JSON object",
                where=path,
                next_step="Give a CSV file with a header, or one JSON object per line.",
            )
        yield mappings_table(objects, list(keys))


def _refuse_array(stream: io.BufferedReader, name: str) -> None:
    if re.match(rb"(?:\xef\xbb\xbf)?\s*\[\s*\{", stream.peek(64)[:64]):
        raise InputError(
            "the file is one JSON array",
            where=name,
            next_step="Write one JSON object per line: jq -c '.[]' FILE",
        )


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
