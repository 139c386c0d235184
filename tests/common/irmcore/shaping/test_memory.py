"""Hostile files are read within 256 MiB of memory: each in a process of its own that may have no more."""

from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Address space, with the interpreter itself. Without its limits a reader takes 3 to 8 times the file.
LIMIT = 256 * 1024 * 1024
SIZE = 320 * 1024 * 1024
MIB = b"x" * (1024 * 1024)

READ = """
import json, resource, sys
from collections import Counter
from irmcore.errors import InputError
from irmcore.shaping.readers import csv_table, decompressed, json_table, looks_like_json
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
with open(sys.argv[2] if sys.argv[2:] else 0, "rb") as file:
    stream = decompressed(file, "in")
    found = Counter()
    try:
        is_json = looks_like_json(stream)
        table = json_table(stream, ["a"], name="in") if is_json else csv_table(stream, name="in")
        for row in table.rows:
            found[row.refused or "read"] += 1
    except InputError as error:
        found[error.what.split("(")[0].strip()] += 1
print(json.dumps(found))
"""
ENDLESS = "a value that starts here does not end"


def filler(start: bytes, middle: bytes, end: bytes = b"") -> Iterator[bytes]:
    """A file of SIZE bytes and a little more."""
    yield start
    for _ in range(SIZE // len(middle)):
        yield middle
    yield end


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ((b"", MIB), "the header line cannot be read as CSV"),
        ((b"", MIB.replace(b"x", b"\0")), "the header line cannot be read as CSV"),
        ((b"a,b\n1,2\n", MIB), ENDLESS),
        ((b"a,b\n1,2\n", MIB.replace(b"x", b"\0")), ENDLESS),
        ((b'a,b\n1,2\n3,"', MIB), ENDLESS),
        ((b'a,b\n1,2\n3,"', b"x" * 1023 + b"\n"), ENDLESS),
        ((b"a,b\n1,2\n", b"x," * 500_000), ENDLESS),
        ((b"a,b\n", b'""' * 500_000), ENDLESS),
        ((b'{"a": 1}\n{"a": "', MIB, b'"}\n{"a": 2}\n'), {"read": 2, "row-too-large": 1}),
        ((b'{"a": 1}\n{"a": [', b"[]," * 500_000, b'1]}\n{"a": 2}\n'), {"read": 2, "row-too-large": 1}),
        ((b'{"results": [{"a": "', MIB), "the JSON document is cut or damaged after result 0"),
        ((b'{"results": [{"a": [', b"{}," * 500_000), "the JSON document is cut or damaged after result 0"),
    ],
    ids=lambda value: repr(b"".join(value)[:24]) if isinstance(value, tuple) else "",
)
def test_a_file_of_one_value(parts: tuple[bytes, ...], found: object) -> None:
    """What follows the value is still read if it can be told apart; else the file is refused."""
    before = {"read": 1} if b"1,2" in parts[0] else {}
    assert read(filler(*parts)) == (found if isinstance(found, dict) else {**before, found: 1})


def test_a_gzip_file_that_expands_without_end(tmp_path: Path) -> None:
    """A few hundred kilobytes of good rows become gigabytes; the limit is 200 times the file's size."""
    member = gzip.compress(b"1,2" + b" " * 2_000_000 + b"\n")
    file = tmp_path / "in.gz"
    file.write_bytes(gzip.compress(b"a,b\n") + member * 160)
    *_, what = read(iter(()), file)
    assert what == "the gzip file expands to more than 200 times its size"


def read(parts: Iterator[bytes], *file: Path) -> dict[str, int]:
    """What a process with limited memory reads of the parts, or of a file."""
    with subprocess.Popen(
        [sys.executable, "-c", READ, str(LIMIT), *map(str, file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(BrokenPipeError), child.stdin:  # it stops reading where the file is refused
            child.stdin.writelines(parts)
        text = child.stdout.read()
    assert child.returncode == 0
    found: dict[str, int] = json.loads(text)
    return found
