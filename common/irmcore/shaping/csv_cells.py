"""CSV bytes → cells, a stretch of rows at a time: what ``csv.reader(strict=True)`` reads, at twice its speed.

A stretch in which every quote opens, closes or stands doubled in a cell, and every row is as wide as the
header, is divided as one text and column by column, in C. Any other goes to csv.reader, so that odd input
has one meaning; a test holds the two together. Streams: a stretch is in memory at a time.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, count, repeat
from operator import itemgetter
from typing import Any, BinaryIO, Callable, NamedTuple

#: Bytes of a stretch, more or less: some hundred rows. More are no faster, and more memory.
PIECE = 64 * 1024
#: A stretch of more characters is csv.reader's, which has a limit for each cell.
_LONGEST = 4 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"

#: What a NUL becomes on the way in (Python 3.9's csv stops at a NUL). It is the surrogate escape of
#: the byte 0, which decoding never yields, so `text.canonical` can name it.
NUL_MARK = "\udc00"

_LINE_BREAK = re.compile(r"\r\n|\r|\n").findall
_FIRST, _LAST = itemgetter(0), itemgetter(-1)
_BEFORE_A_QUOTE = frozenset(("", ",", "\n"))
_BEHIND_A_QUOTE = frozenset(("", ",", "\n", "\r"))


class BrokenRow(NamedTuple):
    """A row that csv.reader cannot divide: its words, which never quote the row, and the line it stopped at.

    ``spans``: the row began on an earlier line than that.
    """

    why: str
    text: str
    spans: bool


class Chunk(NamedTuple):
    """Rows that stood together: as ``columns`` if all are as wide as they must be, else as ``rows``.

    ``lines`` has the first line of each (from 1) and of what follows. An empty line is a row without cells.
    ``broken``: what follows is no row.
    """

    columns: Sequence[list[str]]
    rows: list[list[str]]
    lines: Sequence[int]
    broken: BrokenRow | None = None


class Cells:
    """The cells of a stream of UTF-8 text; a byte that is not UTF-8 becomes its surrogate escape.

    The caller sets csv's field size limit.
    """

    def __init__(self, stream: BinaryIO | FileSlice, *, bom: bool = False, piece: int = PIECE) -> None:
        """``bom``: a byte order mark at the beginning is passed over. ``piece``: bytes of a stretch."""
        self._stream = stream
        self._bom = bom
        self._size = piece
        self._left = ""  # what was read and not divided yet; it begins with a row
        self._behind = b""  # what was read behind the last whole line
        self._line = 1  # where the next row begins

    def row(self) -> list[str]:
        """The next row alone, as a header is read. Raises csv.Error; StopIteration where there is none."""
        feed = _Feed(self._piece(), self._piece)
        reader = csv.reader(feed, strict=True)
        row = next(reader)
        self._line += reader.line_num
        self._left = feed.left()
        return row

    def chunks(self, width: int) -> Iterator[Chunk]:
        """All rows that follow. A row that is broken ends its stretch; the next one begins behind it."""
        return (chunk for chunk in self.some(width, lambda _: True) if isinstance(chunk, Chunk))

    def some(self, width: int, wanted: Callable[[int], bool]) -> Iterator[Chunk | int]:
        """The same, but of stretches whose number (from 0) is not wanted only how many rows they have.

        Where rows cannot be counted without reading them, the stretch is given all the same.
        """
        for number in count():
            text, parts = self._closed(self._piece())
            if not text:
                return
            passed = self._passed(text, parts) if parts and not wanted(number) else 0
            yield passed or (self._divided(parts, width) if parts else None) or self._read(text)

    def _passed(self, text: str, parts: list[str]) -> int:
        """How many rows there are to pass over; 0 where that is not plain to see."""
        outside = "\0".join(parts[::2]).replace("\r\n", "\n")
        if "\r" in outside or "\n\n" in outside or outside.startswith("\n") or not text.endswith("\n"):
            return 0
        self._line += len(_LINE_BREAK(text)) if "\r" in text else text.count("\n")
        return outside.count("\n")

    def _piece(self, times: int = 1) -> str:
        """The next whole lines, of about so many times a stretch; at the end of the stream nothing."""
        if self._left:
            text, self._left = self._left, ""
            return text
        data = self._lines_of_bytes(times * self._size)
        if self._bom:
            self._bom = False
            data = data.removeprefix(_BOM)
        text = data.decode("utf-8", "surrogateescape")
        return text.replace("\0", NUL_MARK) if "\0" in text else text

    def _lines_of_bytes(self, size: int) -> bytes:
        found = [self._behind]
        while True:
            more = self._stream.read(size)
            end = more.rfind(b"\n") + 1
            if end or not more:
                self._behind = more[end:]
                return b"".join([*found, more[:end]])
            found.append(more)

    def _closed(self, text: str) -> tuple[str, list[str]]:
        """The text, with as much more as closes its quotes, and its parts between them; or none of these."""
        times = 1
        while len(text) <= _LONGEST:
            parts = text.split('"')
            if len(parts) > 1 and not _are_at_borders(parts):
                return text, []
            if len(parts) % 2:
                return text, parts
            times *= 2
            more = self._piece(times)
            if not more:
                break
            text += more
        return text, []

    def _divided(self, parts: list[str], width: int) -> Chunk | None:
        """The cells between the separators outside quotes; what is inside is then put where it stood."""
        inside = parts[1::2]
        text = "\0".join(parts[::2])  # which has no NUL: `_piece`
        if not text.endswith("\n"):  # the end of the stream
            text += "\n"
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        if "\r" in text or width == 1:  # a row of one empty cell looks like no row
            return None
        # The end of a line becomes a cell of its own: where these stand says whether all rows are as wide.
        rows, stride = text.count("\n"), width + 1
        outside = text.replace("\n", ",\n,").split("\0")
        cells = "".join(outside).split(",")
        cells.pop()
        if len(cells) != rows * stride or cells[width::stride].count("\n") != rows:
            return None
        lines: Sequence[int] = range(self._line, self._line + rows + 1)
        if inside:
            broken_at = _put(cells, outside, inside)
            if broken_at:
                more = dict.fromkeys(range(rows), 1)
                for at in broken_at:
                    more[at // stride] += len(_LINE_BREAK(cells[at]))
                lines = list(accumulate((self._line, *more.values())))
        self._line = lines[-1]
        return Chunk([cells[at::stride] for at in range(width)], [], lines)

    def _read(self, text: str) -> Chunk:
        """The rows of ``text`` by csv.reader, one by one; the last may go on behind it."""
        feed = _Feed(text, self._piece)
        reader = csv.reader(feed, strict=True)
        rows: list[list[str]] = []
        lines = [self._line]
        broken = None
        while not feed.done:
            try:
                rows.append(next(reader))
            except csv.Error as error:
                spans = self._line + reader.line_num - 1 > lines[-1]
                broken = BrokenRow(str(error), feed.last.rstrip("\r\n"), spans)
                break
            lines.append(self._line + reader.line_num)
        self._line += reader.line_num
        self._left = feed.left()
        return Chunk((), rows, lines, broken)


def _are_at_borders(parts: list[str]) -> bool:
    """Whether every quote opens a cell, closes one, or is one of two within a cell.

    ``parts`` are the text between the quotes, and every other of them is outside; where it is empty, but
    for the beginning of the text, two quotes stand together.
    """
    behind, before = parts[2::2], parts[0 : len(parts) - 1 : 2]
    return _first_of(behind) <= _BEHIND_A_QUOTE and _last_of(before) <= _BEFORE_A_QUOTE


def _first_of(parts: list[str]) -> set[str]:
    """What they begin with; "" for an empty one."""
    try:
        return set(map(_FIRST, parts))
    except IndexError:
        return {part[:1] for part in parts}


def _last_of(parts: list[str]) -> set[str]:
    try:
        return set(map(_LAST, parts))
    except IndexError:
        return {part[-1:] for part in parts}


def _put(cells: list[str], outside: list[str], inside: list[str]) -> Sequence[int]:
    """Put what stood inside quotes into its cells; gives the cells that have a line break."""
    places = list(accumulate(map(str.count, outside[:-1], repeat(","))))  # as many commas stand before it
    last = -1
    for at, text in zip(places, inside):
        cells[at] = text if at != last else f'{cells[at]}"{text}'
        last = at
    together = "\0".join(inside)
    if "\n" not in together and "\r" not in together:
        return ()
    return [at for at in dict.fromkeys(places) if "\n" in cells[at] or "\r" in cells[at]]


class FileSlice(io.RawIOBase):
    """A part of an open file as a stream of its own, which does not move the file's."""

    def __init__(self, file: int, start: int, length: int) -> None:
        """``file`` is a descriptor."""
        self._file, self._at, self._left = file, start, length

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = _read_at(self._file, self._left if size < 0 else min(size, self._left), self._at)
        self._at += len(piece)
        self._left -= len(piece)
        return piece

    def readinto(self, buffer: Any) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _read_at(file: int, length: int, at: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(file, length, at)
    before = os.lseek(file, 0, os.SEEK_CUR)  # Windows; NOT EXECUTED there
    os.lseek(file, at, os.SEEK_SET)
    try:
        return os.read(file, length)
    finally:
        os.lseek(file, before, os.SEEK_SET)


class _Feed(Iterator[str]):
    """The lines of a text for csv.reader, and those behind it where a row goes on."""

    def __init__(self, text: str, more: Callable[[], str]) -> None:
        self._lines = list(io.StringIO(text, newline=""))
        self._at = 0
        self._more = more
        self.last = ""

    @property
    def done(self) -> bool:
        """Whether nothing is left but what ``more`` may give."""
        return self._at == len(self._lines)

    def __next__(self) -> str:
        if self.done:
            self._lines, self._at = list(io.StringIO(self._more(), newline="")), 0
            if self.done:
                raise StopIteration
        self.last = self._lines[self._at]
        self._at += 1
        return self.last

    def left(self) -> str:
        """What was not asked for."""
        return "".join(self._lines[self._at :])
