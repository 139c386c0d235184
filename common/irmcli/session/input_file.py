"""The FILE argument: a path, `-` for standard input, gzip or not, CSV or JSON lines → a Table."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from irmcore.errors import InputError
from irmcore.profile import Profile
from irmcore.shaping.readers import (
    Table,
    csv_table,
    decompressed,
    json_lines_table,
    looks_like_json,
    mappings_table,
)

FORMATS = ("auto", "csv", "jsonl")
#: Lines of a JSON sample that are looked at.
SAMPLE_LINES = 10_000
_BLOCK = 1024 * 1024


@contextmanager
def table(path: str, profile: Profile, form: str) -> Iterator[Table]:
    """The table of FILE. Raises InputError if it cannot be opened or divided into rows."""
    name = "standard input" if path == "-" else path
    with _opened(path) as packed:
        stream = decompressed(packed, name)
        _refuse_array(stream, name)
        if form == "jsonl" or (form == "auto" and looks_like_json(stream)):
            fields = [column.field for column in profile.columns]
            yield json_lines_table(stream, fields, name=name)
        else:
            yield csv_table(stream, name=name, ragged=profile.ragged)


@contextmanager
def sample(path: str) -> Iterator[Table]:
    """The table of a sample without a profile: its own columns, of JSON lines all keys of its first rows.

    Rows with too many fields are refused as ``ragged-long``. Raises InputError.
    """
    with _opened(path) as packed:
        stream = decompressed(packed, path)
        _refuse_array(stream, path)
        if not looks_like_json(stream):
            yield csv_table(stream, name=path)
            return
        found = []
        for line in itertools.islice(stream, SAMPLE_LINES):
            with contextlib.suppress(
                ValueError, RecursionError
            ):  # a line that is no JSON shows no column; `check` names it
                found.append(json.loads(line))
        objects = [row for row in found if isinstance(row, dict)]
        keys = dict.fromkeys(str(key) for row in objects for key in row)
        if not keys:
            raise InputError(
                "no line of the sample is a JSON object",
                where=path,
                next_step="Give a CSV file with a header, or one JSON object a line.",
            )
        yield mappings_table(objects, list(keys))


def _refuse_array(stream: io.BufferedReader, name: str) -> None:
    if re.match(rb"(?:\xef\xbb\xbf)?\s*\[\s*\{", stream.peek(64)[:64]):
        raise InputError(
            "the file is one JSON array",
            where=name,
            next_step="Write one JSON object a line: jq -c '.[]' FILE does it.",
        )


@contextmanager
def _opened(path: str) -> Iterator[io.BufferedReader]:
    if path == "-":
        # Kept in a file first: the connector's lock must not wait for whoever types or pipes.
        with tempfile.TemporaryFile("w+b", buffering=0) as spool:
            while block := sys.stdin.buffer.read(_BLOCK):
                spool.write(block)
            spool.seek(0)
            yield io.BufferedReader(spool)
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - its opening alone is guarded; `with` follows
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror})",
            where=path,
            next_step="Check the path and that this user may read it.",
        ) from None
    with file:
        yield file
