"""What is kept of a reply's text: nothing that the request held, however the reply writes it.

A proxy's page may echo the request's headers, and a service may quote the row that it refuses. Both are found
as they are, in another case, JSON-escaped, HTML-encoded, percent-encoded, several of these, in base64 or
hexadecimal, and read in a wrong character set. Of an HTML page only the title is kept. Values of fewer than
four characters are kept: they say nothing without their row. Not promised: to find a value that the reply
changed in another way, such as letter by letter.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Callable
from urllib.parse import unquote

HIDDEN = "…"
#: The shortest value, and part of a value, that is looked for.
_SHORTEST = 4
#: So many characters of the token in a row are hidden: a page may wrap it, or show its beginning.
_OF_TOKEN = 8
#: Encodings inside encodings that are undone.
_LAYERS = 4
#: Characters at the end of a text that was cut, which may begin a value. They are dropped.
_CUT = 200

#: A value without any encoding, as most are.
_SIMPLE = re.compile(r"[^&\\%]*")
_WORD = re.compile(r"\w[\w.-]*")
_TITLE = re.compile(r"<title[^>]*>(.*?)(?:</title|$)", re.IGNORECASE | re.DOTALL)
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(["\\/bfnrt]))')
_PERCENT_U = re.compile(r"%u([0-9a-fA-F]{4})")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{6,}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}[ :]?){4,}")
_STANDARD = str.maketrans("-_", "+/")


def redacted(
    text: str, values: Iterable[str], *, names: Iterable[str], token: str, page: bool, cut: bool
) -> str:
    """``text`` without ``values`` and ``token``. Words of ``names``, the columns, stay readable.

    ``page``: it is HTML. ``cut``: the reply had more text.
    """
    known = frozenset(_folded(name) for name in names if len(name) >= _SHORTEST)
    words = {_folded(word) for value in values for word in _words(value)} - known
    find = _Finder(words, _folded(token), known)
    text = text.replace("\0", "")  # of UTF-16
    if page:
        title = _TITLE.search(text)
        text, cut = (title[1].strip() if title else ""), False
    text = find.hidden(text)
    for _ in range(_LAYERS):
        before = text
        for decode in _DECODERS:
            decoded = decode(text)
            text = find.hidden(decoded) if decoded != text else text
        if text == before:
            break
    text = find.hidden_encoded(text)
    return text[: max(len(text) - _CUT, 0)] if cut else text


def _words(value: str) -> Iterator[str]:
    """A value, what it says if it is itself encoded, and the words in it."""
    encoded = not _SIMPLE.fullmatch(value)
    for text in {value, _plain(value)} if encoded else (value,):
        for word in (text.strip(), *_WORD.findall(text)):
            yield from (form for form in _forms(word) if len(form) >= _SHORTEST)


def _forms(word: str) -> tuple[str, ...]:
    """A word, and what becomes of its accents if they are decomposed or read in a wrong character set."""
    if word.isascii():
        return (word,)
    data, latin = word.encode("utf-8", "replace"), word.encode("latin-1", "ignore")
    misread = (data.decode("latin-1"), data.decode("cp1252", "replace"), latin.decode("utf-8", "replace"))
    return (word, *(unicodedata.normalize(form, word) for form in ("NFC", "NFD")), *misread)


def _folded(text: str) -> str:
    """``text`` as it is in any case. Upper case first, as it makes an I of a letter i without a dot."""
    return text.upper().casefold()


class _Finder:
    """Finds words, and parts of the token, in a text of any case. They are folded."""

    def __init__(self, words: Iterable[str], token: str, known: Iterable[str]) -> None:
        self._words = frozenset(words)
        #: The lengths of words, by their beginnings.
        self._lengths: dict[str, set[int]] = {}
        for word in self._words:
            self._lengths.setdefault(word[:_SHORTEST], set()).add(len(word))
        self._token = token
        #: These stay readable, although a shorter word may be in them.
        self._known = tuple(known)

    def hidden(self, text: str) -> str:
        """``text`` with each occurrence replaced."""
        hits = self.hits(text)
        if not any(hits):
            return text
        parts = groupby(zip(text, hits), key=lambda pair: pair[1])
        return "".join(HIDDEN if hit else "".join(char for char, _ in pairs) for hit, pairs in parts)

    def hidden_encoded(self, text: str) -> str:
        """``text`` without runs of base64 or hexadecimal digits that say one of the words."""
        runs = list(_decoded_runs(text))
        hits, at = self.hits("\0".join(said for _, _, said in runs)), 0
        for start, end, said in runs:
            if any(hits[at : at + len(said)]):
                text = text[:start] + HIDDEN * (end - start) + text[end:]
            at += len(said) + 1
        return re.sub(f"{HIDDEN}+", HIDDEN, text)

    def hits(self, text: str) -> list[bool]:
        """For each character of ``text`` whether it belongs to a word or to the token."""
        origins = [at for at, char in enumerate(text) for _ in _folded(char)]
        folded = _folded(text)
        found = [False] * len(text)
        for start in range(len(folded)):
            lengths = self._lengths.get(folded[start : start + _SHORTEST], ())
            length = max((n for n in lengths if folded[start : start + n] in self._words), default=0)
            part = folded[start : start + _OF_TOKEN]
            if len(part) == _OF_TOKEN and part in self._token:
                length = max(length, _OF_TOKEN)
            for at in origins[start : start + length]:
                found[at] = True
        for name in self._known:
            for match in re.finditer(re.escape(name), folded):
                for at in origins[match.start() : match.end()]:
                    found[at] = False
        return found


def _decoded_runs(text: str) -> Iterator[tuple[int, int, str]]:
    """Where a run of base64 or hexadecimal digits is, and what it may say."""
    for run in _BASE64.finditer(text):
        digits = run[0].translate(_STANDARD)
        for first in range(4):
            some = digits[first:]
            try:
                data = base64.b64decode(some + "A" * (-len(some) % 4))
            except binascii.Error:
                continue
            yield from ((*run.span(), said) for said in _texts(data))
    for run in _HEX.finditer(text):
        yield from ((*run.span(), said) for said in _texts(bytes.fromhex(re.sub("[ :]", "", run[0]))))


def _texts(data: bytes) -> Iterator[str]:
    for text in (data.decode("utf-8", "replace"), data.decode("utf-16-le", "replace")):
        yield text
        if (plain := _plain(text)) != text:
            yield plain


def _plain(text: str) -> str:
    """``text`` with what encodes it undone."""
    for _ in range(_LAYERS):
        before = text
        for decode in _DECODERS:
            text = decode(text)
        if text == before:
            break
    return text


def _unescaped(text: str) -> str:
    short = {"b": " ", "f": " ", "n": "\n", "r": "\r", "t": "\t"}
    plain = _ESCAPE.sub(lambda m: _character(m[1] or m[2]) if m[1] or m[2] else short.get(m[3], m[3]), text)
    # Two escapes may be one character beyond 16 bits.
    return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _character(digits: str) -> str:
    return chr(int(digits, 16))


def _unquoted(text: str) -> str:
    return unquote(_PERCENT_U.sub(lambda m: _character(m[1]), text), errors="replace")


_DECODERS: tuple[Callable[[str], str], ...] = (html.unescape, _unescaped, _unquoted)
