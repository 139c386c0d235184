"""Rows → canonical CSV batches: RFC 4180, UTF-8, CRLF, the header first, within the profile's limits."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from irmcore.profile.model import Profile


class _Line:
    """A file whose ``write`` hands the line back: csv.writer as a function from row to text."""

    @staticmethod
    def write(text: str) -> str:
        return text


def line_writer() -> Any:
    """A function from a sequence of texts to its CSV line, CRLF included."""
    return csv.writer(_Line(), lineterminator="\r\n").writerow


class Batcher:
    """Fills one payload at a time: at most ``limits.rows`` rows and ``limits.bytes`` bytes."""

    def __init__(self, profile: Profile) -> None:
        self._line = line_writer()
        self._limits = profile.limits
        self._header = self._line([column.header for column in profile.columns]).encode("utf-8")
        self._lines: list[bytes] = []
        self._bytes = len(self._header)

    def __len__(self) -> int:
        """Rows in the payload that is being filled."""
        return len(self._lines)

    def encode(self, fields: Sequence[str]) -> bytes | None:
        """The line of a row, or None if it cannot fit even an empty batch."""
        line: bytes = self._line(fields).encode("utf-8")
        return line if len(self._header) + len(line) <= self._limits.bytes else None

    def fits(self, line: bytes) -> bool:
        return len(self._lines) < self._limits.rows and self._bytes + len(line) <= self._limits.bytes

    def add(self, line: bytes) -> None:
        self._lines.append(line)
        self._bytes += len(line)

    def take(self) -> bytes:
        """The payload so far; the next one begins empty."""
        payload = b"".join([self._header, *self._lines])
        self._lines, self._bytes = [], len(self._header)
        return payload


def halves(payload: bytes) -> tuple[tuple[bytes, int], tuple[bytes, int]] | None:
    """A payload of ``Batcher`` as two with the same header, each with its number of rows.

    The same payload always gives the same halves. None if it has a single row.
    """
    rows = list(csv.reader(io.StringIO(payload.decode("utf-8"), newline="")))
    header, body = rows[0], rows[1:]
    if len(body) < 2:
        return None
    write = line_writer()
    middle = len(body) // 2

    def part(lines: list[list[str]]) -> tuple[bytes, int]:
        return "".join(map(write, [header, *lines])).encode("utf-8"), len(lines)

    return part(body[:middle]), part(body[middle:])
