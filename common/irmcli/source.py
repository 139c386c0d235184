"""The FILE argument: a path, `-` for standard input, gzip or not, CSV or JSON lines → a Table."""

from __future__ import annotations

import io
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
)

FORMATS = ("auto", "csv", "jsonl")
_BLOCK = 1024 * 1024


@contextmanager
def table(path: str, profile: Profile, form: str) -> Iterator[Table]:
    """The table of FILE. Raises InputError if it cannot be opened or divided into rows."""
    name = "standard input" if path == "-" else path
    with _opened(path) as packed:
        stream = decompressed(packed, name)
        if form == "jsonl" or (form == "auto" and looks_like_json(stream)):
            fields = [column.field for column in profile.columns]
            yield json_lines_table(stream, fields, name=name)
        else:
            yield csv_table(stream, name=name, ragged=profile.ragged)


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
