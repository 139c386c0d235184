"""Read CSV into cells, a chunk of rows at a time, with the results of ``csv.reader(strict=True)``.

If every quote in a chunk opens a cell, closes one or is doubled inside one, and all rows are as wide as the
header, the chunk is split as one text in C, column by column. All other chunks go to csv.reader, so unusual
input has one meaning; a property test compares the two. Only one chunk is in memory at a time, and of a line
at most 16 MiB.
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

#: About how many bytes a chunk has: a few hundred rows. Larger chunks are not faster.
CHUNK_BYTES = 64 * 1024
#: A longer field does not fit into any upload; usually it is a quote that was never closed. A chunk with more
#: characters goes to csv.reader, which limits the size of a cell.
MAX_FIELD_CHARACTERS = 4 * 1024 * 1024
#: A longer line would have many such fields. It is not a row, and reading it would take all memory.
MAX_LINE_BYTES = 16 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"

#: Replaces NUL characters, at which Python 3.9's csv stops. It is the surrogate escape of the byte 0, which
#: decoding never gives, so `text.canonical` recognizes it.
NUL_MARK = "\udc00"

_LINE_BREAK = re.compile(r"\r\n|\r|\n").findall
_FIRST, _LAST = itemgetter(0), itemgetter(-1)


def allow_long_fields(characters: int = MAX_FIELD_CHARACTERS) -> None:
    """Let csv read fields of at least this length. Its own limit is 131,072, for the whole process."""
    csv.field_size_limit(max(csv.field_size_limit(), characters))


class BrokenRow(NamedTuple):
    """A row that csv.reader cannot read: its error, which never quotes the row, and the line it stopped at.

    ``spans``: the row began on an earlier line.
    """

    why: str
    text: str
    spans: bool


class Chunk(NamedTuple):
    """Consecutive rows: as ``columns`` if all are as wide as the header, otherwise as ``rows``.

    ``lines`` has the first line of each row (from 1), and then the line after the last row. An empty line is
    a row without cells. ``broken`` is what follows the rows, if that is not a row.
    """

    columns: Sequence[list[str]]
    rows: list[list[str]]
    lines: Sequence[int]
    broken: BrokenRow | None = None


class Cells:
    """The cells of a stream of UTF-8 text. Bytes that are not UTF-8 become surrogate escapes.

    The caller sets csv's field size limit.
    """

    def __init__(
        self,
        stream: BinaryIO | FileSlice,
        *,
        bom: bool = False,
        chunk: int = CHUNK_BYTES,
        delimiter: str = ",",
        spaces: bool = False,
    ) -> None:
        """``bom``: skip a byte order mark at the beginning. ``chunk``: about how many bytes a chunk has.

        ``spaces``: leave out spaces after a delimiter; then each chunk goes to csv.reader.
        """
        self._stream = stream
        self._comma, self._spaces = delimiter, spaces
        self._before_quote = frozenset(("", delimiter, "\n"))
        self._after_quote = frozenset(("", delimiter, "\n", "\r"))
        self._bom = bom
        self._size = chunk
        self._left = ""  # text that was read but not split yet; it begins with a row
        self._after = b""  # bytes after the last whole line
        self._line = 1  # where the next row begins
        self._too_long = False  # the next line

    def row(self) -> list[str]:
        """The next row, for reading a header. Raises csv.Error, and StopIteration at the end."""
        feed = _Feed(self._piece(), self._piece)
        reader = self._reader(feed)
        row: list[str] = next(reader)
        self._line += reader.line_num
        self._left = feed.left()
        return row

    def _reader(self, feed: _Feed) -> Any:
        return csv.reader(feed, strict=True, delimiter=self._comma, skipinitialspace=self._spaces)

    def chunks(self, width: int) -> Iterator[Chunk]:
        """All following rows. A broken row ends its chunk; the next chunk begins after it."""
        return (chunk for chunk in self.some(width, lambda _: True) if isinstance(chunk, Chunk))

    def some(self, width: int, wanted: Callable[[int], bool]) -> Iterator[Chunk | int]:
        """The same, but chunks whose number (from 0) is not ``wanted`` are given as their count of rows.

        If the rows cannot be counted without reading them, the chunk is given anyway.
        """
        for number in count():
            try:
                piece = self._piece()
            except csv.Error as error:
                yield Chunk((), [], [self._line], BrokenRow(str(error), "", spans=True))
                return
            text, parts = self._closed(piece)
            if not text:
                return
            skipped = self._skippable(text, parts) if parts and not wanted(number) else 0
            yield skipped or (self._divided(parts, width) if parts else None) or self._read(text)

    def _skippable(self, text: str, parts: list[str]) -> int:
        """The number of rows to skip; 0 if it is not obvious."""
        outside = "\0".join(parts[::2]).replace("\r\n", "\n")
        if "\r" in outside or "\n\n" in outside or outside.startswith("\n") or not text.endswith("\n"):
            return 0
        self._line += len(_LINE_BREAK(text)) if "\r" in text else text.count("\n")
        return outside.count("\n")

    def _piece(self, times: int = 1) -> str:
        """The next whole lines, about ``times`` the size of a chunk; empty at the end of the stream.

        Raises csv.Error for a line that is too long, each time.
        """
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
        found, length = [self._after], len(self._after)
        while not self._too_long:
            more = self._stream.read(size)
            end = more.rfind(b"\n") + 1
            if end or not more:
                self._after = more[end:]
                return b"".join([*found, more[:end]])
            found.append(more)
            length += len(more)
            self._too_long = length > MAX_LINE_BYTES
        raise csv.Error("field larger than field limit, like the whole line")

    def _closed(self, text: str) -> tuple[str, list[str]]:
        """The text, extended until its quotes are closed, and its parts between them; no parts if unusual."""
        times = 1
        while len(text) <= MAX_FIELD_CHARACTERS and not self._spaces:
            parts = text.split('"')
            if len(parts) > 1 and not self._are_at_borders(parts):
                return text, []
            if len(parts) % 2:
                return text, parts
            times *= 2
            try:
                more = self._piece(times)
            except csv.Error:  # raised again where the row is read that needs this line
                break
            if not more:
                break
            text += more
        return text, []

    def _are_at_borders(self, parts: list[str]) -> bool:
        """Whether every quote opens a cell, closes one, or is doubled inside one.

        ``parts`` is the text split at quotes; every second part is outside. An empty outside part, except at
        the beginning of the text, means a doubled quote.
        """
        after, before = parts[2::2], parts[0 : len(parts) - 1 : 2]
        return _first_of(after) <= self._after_quote and _last_of(before) <= self._before_quote

    def _divided(self, parts: list[str], width: int) -> Chunk | None:
        """Split at the separators outside quotes, then put the quoted text back in its cells."""
        inside = parts[1::2]
        text = "\0".join(parts[::2])  # `_piece` has replaced all NULs
        if not text.endswith("\n"):  # the end of the stream
            text += "\n"
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        if "\r" in text or width == 1:  # one empty cell looks like an empty line
            return None
        # Each line end becomes a cell of its own. Their positions show whether all rows are equally wide.
        rows, stride, comma = text.count("\n"), width + 1, self._comma
        outside = text.replace("\n", f"{comma}\n{comma}").split("\0")
        cells = "".join(outside).split(comma)
        cells.pop()
        if len(cells) != rows * stride or cells[width::stride].count("\n") != rows:
            return None
        lines: Sequence[int] = range(self._line, self._line + rows + 1)
        if inside:
            broken_at = _put(cells, outside, inside, comma)
            if broken_at:
                more = dict.fromkeys(range(rows), 1)
                for at in broken_at:
                    more[at // stride] += len(_LINE_BREAK(cells[at]))
                lines = list(accumulate((self._line, *more.values())))
        self._line = lines[-1]
        return Chunk([cells[at::stride] for at in range(width)], [], lines)

    def _read(self, text: str) -> Chunk:
        """The rows of ``text``, read by csv.reader. The last one may continue after it."""
        feed = _Feed(text, self._piece)
        reader = self._reader(feed)
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


def _first_of(parts: list[str]) -> set[str]:
    """Their first characters; "" for an empty part."""
    try:
        return set(map(_FIRST, parts))
    except IndexError:
        return {part[:1] for part in parts}


def _last_of(parts: list[str]) -> set[str]:
    try:
        return set(map(_LAST, parts))
    except IndexError:
        return {part[-1:] for part in parts}


def _put(cells: list[str], outside: list[str], inside: list[str], comma: str) -> Sequence[int]:
    """Put quoted texts into their cells; returns the positions of cells that contain a line break."""
    positions = list(accumulate(map(str.count, outside[:-1], repeat(comma))))  # delimiters before each text
    last = -1
    for at, text in zip(positions, inside):
        cells[at] = text if at != last else f'{cells[at]}"{text}'
        last = at
    together = "\0".join(inside)
    if "\n" not in together and "\r" not in together:
        return ()
    return [at for at in dict.fromkeys(positions) if "\n" in cells[at] or "\r" in cells[at]]


class FileSlice:
    """A slice of an open file as a stream. Reading it does not move the file's own position."""

    def __init__(self, file: int, start: int, length: int) -> None:
        """``file`` is a descriptor."""
        self._file, self._at, self._left = file, start, length

    def read(self, size: int) -> bytes:
        piece = _read_at(self._file, min(size, self._left), self._at)
        self._at += len(piece)
        self._left -= len(piece)
        return piece


def _read_at(file: int, length: int, at: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(file, length, at)
    before = os.lseek(file, 0, os.SEEK_CUR)  # Windows; never run there
    os.lseek(file, at, os.SEEK_SET)
    try:
        return os.read(file, length)
    finally:
        os.lseek(file, before, os.SEEK_SET)


class _Feed(Iterator[str]):
    """The lines of a text for csv.reader, and further lines where a row continues after the text."""

    def __init__(self, text: str, more: Callable[[], str]) -> None:
        self._lines = list(io.StringIO(text, newline=""))
        self._at = 0
        self._more = more
        self.last = ""

    @property
    def done(self) -> bool:
        """Whether all lines of the text were given; ``more`` may have further ones."""
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
        """The lines that were not given."""
        return "".join(self._lines[self._at :])
