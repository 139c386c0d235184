"""Write rows as canonical CSV payloads: RFC 4180, UTF-8, CRLF, header first, within the profile's limits."""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, repeat
from operator import add
from typing import Any, NamedTuple

from irmcore.profile.model import Profile
from irmcore.shaping.csv_cells import allow_long_fields


class _Line:
    """A file whose ``write`` returns the line, which makes csv.writer a function from row to text."""

    @staticmethod
    def write(text: str) -> str:
        return text


def line_writer() -> Any:
    """A function from a sequence of texts to its CSV line with CRLF."""
    return csv.writer(_Line(), lineterminator="\r\n").writerow


def _quoted(cells: Sequence[str]) -> Sequence[str]:
    """The cells as csv.writer writes them into rows of several cells.

    csv.writer examines every character, which takes longer than the rest of a line. Most columns have
    nothing to quote, and joining a column finds that out in C.
    """
    together = "\t".join(cells)
    if '"' in together or "\n" in together or "\r" in together:
        return ['"' + cell.replace('"', '""') + '"' if _needs_quotes(cell) else cell for cell in cells]
    if "," in together:
        return ['"' + cell + '"' if "," in cell else cell for cell in cells]
    return cells


def _needs_quotes(text: str) -> bool:
    return "," in text or '"' in text or "\n" in text or "\r" in text


class Lines(NamedTuple):
    """Rows as a payload holds them: their bytes, and the offset at which each row ends."""

    text: bytes
    ends: Sequence[int]

    @staticmethod
    def of(columns: Sequence[Sequence[str]]) -> Lines:
        """The lines of rows given column by column, byte for byte as csv.writer writes them."""
        lines = list(map(",".join, zip(*map(_quoted, columns))))
        text = "\r\n".join([*lines, ""])
        sizes = map(len, lines) if text.isascii() else (len(line.encode()) for line in lines)
        return Lines(text.encode(), list(accumulate(map(add, sizes, repeat(2)))))

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The rows, read back from the lines."""
        allow_long_fields()
        return map(tuple, csv.reader(io.StringIO(self.text.decode(), newline="")))


class Batcher:
    """Fills one payload at a time: at most ``limits.rows`` rows and ``limits.bytes`` bytes."""

    def __init__(self, profile: Profile) -> None:
        self._line = line_writer()
        self._limits = profile.limits
        self._header = self._line([column.header for column in profile.columns]).encode("utf-8")
        self._columns = len(profile.columns)
        self._parts: list[bytes] = []
        self._rows = 0
        self._bytes = len(self._header)

    def __len__(self) -> int:
        """Rows in the current payload."""
        return self._rows

    def encode(self, fields: Sequence[str]) -> bytes | None:
        """The line of a row, or None if it does not fit into an empty batch."""
        line: bytes = self._line(fields).encode("utf-8")
        return line if len(self._header) + len(line) <= self._limits.bytes else None

    def surely_fits(self, text_bytes: int) -> bool:
        """Whether a row with this much text fits into an empty batch, however much of it has to be quoted."""
        # If each cell is quoted and nothing but quotes; CR LF, and a comma less than columns.
        return len(self._header) + 2 * text_bytes + 3 * self._columns + 1 <= self._limits.bytes

    def fill(self, lines: Lines, start: int) -> int:
        """Add rows, from index ``start``, as long as they fit; returns the index after the last one.

        Every row must fit into an empty batch.
        """
        begin = lines.ends[start - 1] if start else 0
        end = bisect_right(lines.ends, begin + self._limits.bytes - self._bytes, start)
        end = min(end, start + self._limits.rows - self._rows)
        part = lines.text[begin : lines.ends[end - 1]] if end > start else b""
        self._parts.append(part)
        self._rows += end - start
        self._bytes += len(part)
        return end

    def take(self) -> bytes:
        """The current payload; a new, empty one begins."""
        payload = b"".join([self._header, *self._parts])
        self._parts, self._rows, self._bytes = [], 0, len(self._header)
        return payload


def halves(payload: bytes) -> tuple[tuple[bytes, int], tuple[bytes, int]] | None:
    """Split a payload of ``Batcher`` in two with the same header, each with its number of rows.

    The same payload always gives the same halves. None if it has only one row.
    """
    allow_long_fields()
    rows = list(csv.reader(io.StringIO(payload.decode("utf-8"), newline="")))
    header, body = rows[0], rows[1:]
    if len(body) < 2:
        return None
    write = line_writer()
    middle = len(body) // 2

    def part(lines: list[list[str]]) -> tuple[bytes, int]:
        return "".join(map(write, [header, *lines])).encode("utf-8"), len(lines)

    return part(body[:middle]), part(body[middle:])
