"""How a text file is written, recognized from its beginning: delimiter, lines above the header, encoding.

What a profile says is taken as it is. Only what is certain is recognized: UTF-8 and UTF-16 by their byte
order marks, a file of refused rows by its first columns, the delimiter by the header. Nothing tells an 8-bit
encoding, so Windows-1252 must be named in the profile.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from irmcore.errors import InputError
from irmcore.profile.model import DELIMITERS, Format
from irmcore.shaping.corrections import ADVICE, REASON

#: How much of a file is looked at, in bytes. The header should end in it.
START = 8192
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Excel reads the first, Export-Csv of Windows PowerShell writes the second.
_SEP = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
_TYPE = re.compile(r'"?#TYPE [^\r\n]*\r?\n')
#: Rows in which the header is looked for.
_SEARCHED = 20
#: How a file of refused rows begins (``corrections``), whatever the spreadsheet has made of it since.
_CORRECTIONS = re.compile(rf'"?{REASON}"?([,;\t|])"?{ADVICE}"?')
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


class TextForm(NamedTuple):
    """How a CSV file is written. ``above``: rows above the header; ``spaces`` as in the profile.

    ``corrections``: irmexport wrote it, with two columns more.
    """

    delimiter: str = ","
    spaces: bool = False
    above: int = 0
    corrections: bool = False

    def __str__(self) -> str:
        return f"columns separated by {_NAMES.get(self.delimiter, repr(self.delimiter))}"


def recognized(start: bytes, told: Format, fields: Collection[str] = ()) -> TextForm:
    """The form of a CSV file that begins with these bytes; its header should have these ``fields``."""
    text = start.decode("utf-8-sig", "replace")
    ours = _CORRECTIONS.match(text)
    if ours is not None:
        return TextForm(ours[1], corrections=True)
    above, delimiter = 0, told.delimiter
    for pattern in (_SEP, _TYPE):
        line = pattern.match(text)
        if line is not None:
            text, above = text[line.end() :], above + 1
            if pattern is _SEP:
                delimiter = delimiter or line[1]
    signs = DELIMITERS.values() if delimiter is None else (delimiter,)
    found = {sign: rows_of(text, sign) for sign in signs}
    wanted = set(fields)
    delimiter = next((sign for sign, rows in found.items() if wanted and _having(rows, wanted)), None)
    if delimiter is None:  # the one that gives the most columns, first in the first row; otherwise the comma
        delimiter = max(
            found, key=lambda sign: [max(map(len, r), default=0) for r in (found[sign][:1], found[sign])]
        )
    rows = found[delimiter]
    if told.skip is not None:
        above += told.skip
    elif _having(rows, wanted):
        above += next(at for at, row in enumerate(rows) if wanted <= set(row))
    spaces = told.spaces
    if spaces is None:
        spaces = not any(field.startswith(" ") for field in fields) and _has_spaces(text, delimiter)
    return TextForm(delimiter, spaces, above)


def _has_spaces(text: str, delimiter: str) -> bool:
    """Whether the header has spaces after each delimiter, or one of two lines spaces before a quote."""
    sign, lines = re.escape(delimiter), text.lstrip("\r\n").splitlines()[:2]
    return any(re.search(rf'{sign} +"', line) for line in lines) or any(
        re.fullmatch(rf"[^{sign}]+(?:{sign} [^{sign}]+)+", line) for line in lines[:1]
    )


def _having(rows: Sequence[Sequence[str]], wanted: set[str]) -> bool:
    return bool(wanted) and any(wanted <= set(row) for row in rows)


def header_row(rows: Sequence[Sequence[str]], fields: Collection[str] = ()) -> int:
    """Which of the first rows of a table is the header: the one with all ``fields``.

    Otherwise the first that has more than half as many cells as any, because titles have few.
    """
    wanted = set(fields)
    with_all = next((at for at, row in enumerate(rows) if wanted and wanted <= set(row)), None)
    if with_all is not None:
        return with_all
    filled = [sum(map(bool, row)) for row in rows]
    return next((at for at, cells in enumerate(filled) if 2 * cells > max(filled)), 0)


def rows_of(text: str, delimiter: str) -> list[list[str]]:
    """The first rows of a text that are not empty, with spaces around their cells left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows: list[list[str]] = []
    try:
        rows.extend([c.strip(" ") for c in row] for row in itertools.islice(filter(None, reader), _SEARCHED))
    except csv.Error:
        return rows  # the text may end within quotes
    return rows


def in_utf8(stream: io.BufferedReader, told: Format, name: str) -> io.BufferedReader:
    """The stream in UTF-8, recoded if its encoding is another. Reading may raise InputError.

    A byte that the encoding lacks stays as it is, which is not UTF-8, so its row is refused.
    """
    encoding = told.encoding or "utf-8"
    if stream.peek(3)[:3] == codecs.BOM_UTF8:
        encoding = "utf-8"
    if stream.peek(2)[:2] in _UTF16:
        encoding = "utf-16"
    return stream if encoding == "utf-8" else io.BufferedReader(_Recoded(stream, encoding, name))


class _Recoded(io.RawIOBase):
    """A stream recoded to UTF-8."""

    def __init__(self, source: io.BufferedReader, encoding: str, name: str) -> None:
        self._source, self._name = source, name
        errors = "surrogatepass" if encoding == "utf-16" else "surrogateescape"
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._errors = errors
        self._left = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left and not self._ended:
            data = self._source.read(START)
            self._ended = not data
            try:
                text = self._decoder.decode(data, final=self._ended)
            except UnicodeDecodeError:
                raise InputError(
                    "the file is cut off, or is not in the encoding that its beginning shows",
                    where=self._name,
                    next_step="Nothing was accepted. Create the file again.",
                ) from None
            self._left = text.encode("utf-8", self._errors)
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size
