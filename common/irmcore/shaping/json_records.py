"""Read JSON into records: JSON lines, documents with an array of rows, and Splunk's own JSON exports.

A document is an array, an object with an array of objects under a key such as `value` or `hits.hits`, or
objects that follow each other on several lines each. Splunk Web and `search/jobs/export` write one object per
line, with the row in `result`.
`search/jobs/SID/results` answers with one document, with the rows in `results`; several documents may follow
each other. Rows of a preview are left out, because Splunk writes them again when the search is done. One
line, or one result of a document, is in memory at a time. A bad record affects no other, but a document that
is cut or damaged raises InputError, as do a search that failed and one that was not done.

These are the forms that splunklib.results.JSONResultsReader reads. Unverified: whether a complete export
always ends with `lastrow`, so a line export that was cut between two lines is not noticed.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple, Optional, TextIO

from irmcore.errors import InputError

#: The longest result of a document, and the longest line, in characters. A longer one is usually a string
#: without an end, and could need 25 times as much memory once it is decoded.
MAX_RESULT_CHARACTERS = 4 * 1024 * 1024
#: How much of a line that is too long goes into the reject file.
_SHOWN_CHARACTERS = 1024
_BLOCK_CHARACTERS = 64 * 1024
#: How much of a file is looked at to recognize a document, in bytes.
_START = 8192

_LINE_KEYS = {"preview", "offset", "lastrow", "result", "messages", "highlighted"}
_DOCUMENT_KEYS = {
    *("preview", "init_offset", "post_process_count", "messages", "fields", "results", "highlighted"),
    *("rows", "columns"),
}
_SPACE = re.compile(r"[ \t\r\n]*")
#: Names of arrays that hold rows, and how deep in a document they may be.
_ROWS = re.compile(
    r".*(?:value|record|result|entry|entries|event|item|resource|data|hit|log|row|activities|alert|detection|list)s?",
    re.IGNORECASE | re.DOTALL,
).fullmatch
_DEEPEST = 2


class Record(NamedTuple):
    """A value with the line that it stands on, or its number in a document (both from 1), and its text.

    ``refused`` is a reason code; then ``value`` is None. ``machine``: Splunk has made texts of its numbers,
    so a point in them is decimal.
    """

    number: int
    value: Any
    text: str
    refused: str | None = None
    machine: bool = False


class Number(str):  # noqa: SLOT000 - numbers are not kept
    """A number with a fraction or an exponent, with the text it was written with."""


class _DuplicateKey(ValueError):
    pass


class _NotJson(ValueError):
    pass


class _Unreadable(Exception):
    """A document is damaged, cut, or has a result that is too long."""


def json_records(stream: io.BufferedReader, *, name: str, path: str | None = None) -> Iterator[Record]:
    """The records of a JSON file in UTF-8. ``path`` is the key of the array of rows, with dots between keys.

    Raises InputError while reading a bad document.
    """
    start = stream.peek(_START)[:_START].decode("utf-8-sig", "ignore")
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="\n")
    if path is None:
        if _starts_document(start):
            return _document_records(text, name)
        path = rows_path(start)
    return _line_records(text, name) if path is None else _array_records(text, name, path)


def rows_path(start: str) -> str | None:
    """Where the rows are in a JSON file that begins so: "" for its values themselves, None for JSON lines."""
    if start.lstrip().startswith("["):
        return ""
    line, _, rest = start.lstrip().partition("\n")
    whole = _is_object(line)
    if whole and rest.lstrip().startswith("{"):
        return None
    found = next(_arrays(start), None)
    return found if found is not None or whole or not rest.strip() else ""


def _is_object(line: str) -> bool:
    try:
        return isinstance(_LENIENT.decode(line), dict)
    except (ValueError, RecursionError):
        return False


def _arrays(start: str) -> Iterator[str]:
    """The keys under which there are arrays of objects, by whose name they could be the rows."""
    window = _Window(io.StringIO(start))

    def inside(before: str, deep: int) -> Iterator[str]:
        for key in window.object_keys():
            opened = window.next_character()
            if opened == "{" and deep:
                yield from inside(f"{before}{key}.", deep - 1)
            elif opened == "[" and _ROWS(key) and window.opens_objects():
                yield before + key
                window.value()
            else:
                window.value()

    try:
        if window.next_character() == "{":
            yield from inside("", _DEEPEST)
    except _Unreadable:  # the text ends here
        return


def _array_records(text: TextIO, name: str, path: str) -> Iterator[Record]:
    """The values of the array at ``path`` of each document; of an array, or the documents, if it is empty."""
    window, number = _Window(text), 0
    keys = path.split(".") if path else []

    def every() -> Iterator[_Value]:
        found = False
        while window.next_character():
            found = (yield from _values_at(window, keys)) or found
        if not found:
            raise InputError(
                f"the document has no array `{path}`",
                where=name,
                next_step="Correct `records` under `input.format` in the profile.",
            )

    try:
        for number, (value, refused, shown) in enumerate(every(), start=1):
            yield Record(number, value, shown, refused)
    except _Unreadable:
        raise _damaged(name, number) from None


_Value = tuple[Any, Optional[str], str]


def _values_at(window: _Window, keys: list[str]) -> Generator[_Value, None, bool]:
    """The values at the path ``keys`` of the next value, and whether it has that path."""
    opened = window.next_character()
    if not keys:
        if opened == "[":
            yield from window.array_values()
        else:
            yield window.value()
        return True
    if opened != "{":
        window.value()
        return False
    found = False
    for key in window.object_keys():
        if key == keys[0]:
            found = (yield from _values_at(window, keys[1:])) or found
        else:
            window.value()
    return found


def _object(pairs: list[tuple[str, Any]]) -> Any:
    mapping = dict(pairs) if pairs else {}  # dict([]) takes 232 bytes on Python 3.9, {} takes 64
    if len(mapping) != len(pairs):
        raise _DuplicateKey
    return mapping


def _constant(_: str) -> Any:
    raise _NotJson  # NaN and Infinity are not JSON


# Numbers keep the text they were written with; they never become floats.
_STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Number, parse_int=str, parse_constant=_constant
)
_LENIENT = json.JSONDecoder(parse_float=str, parse_int=str)


def _lines(text: TextIO) -> Iterator[str]:
    """The lines. Of one that is too long only the beginning, which is too long as well."""
    while line := text.readline(MAX_RESULT_CHARACTERS + 1):
        yield line
        while len(line) > MAX_RESULT_CHARACTERS and not line.endswith("\n"):
            line = text.readline(MAX_RESULT_CHARACTERS + 1)


def _line_records(text_file: TextIO, name: str) -> Iterator[Record]:
    preview = final = False
    for number, line in enumerate(_lines(text_file), start=1):
        if len(line) > MAX_RESULT_CHARACTERS:
            yield Record(number, None, line[:_SHOWN_CHARACTERS], "row-too-large")
            continue
        text = line.strip()
        if not text:
            continue
        try:
            value = _STRICT.decode(text)
        except _DuplicateKey:
            yield Record(number, None, line, "duplicate-key")
            continue
        except (ValueError, RecursionError):
            yield Record(number, None, line, "invalid-json")
            continue
        if not _is_export_line(value):
            yield Record(number, value, line)
            continue
        _check_messages(value.get("messages"), name)
        if value.get("preview") is True:
            preview = True
            continue
        final = final or "preview" in value
        if "result" in value:
            yield Record(number, value["result"], line, machine=True)
    if preview and not final:
        raise _not_done(name)


def _is_export_line(value: Any) -> bool:
    """Whether this is a line of Splunk's export instead of a row. The last line may have no result."""
    return (
        isinstance(value, dict)
        and value.keys() <= _LINE_KEYS
        and (
            isinstance(value.get("preview"), bool)
            or isinstance(value.get("result"), dict)
            or isinstance(value.get("messages"), list)
        )
    )


def _check_messages(messages: Any, name: str) -> None:
    """Raise InputError if Splunk reports an error. Its text may hold values, so it is not shown."""
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("type") in ("ERROR", "FATAL"):
            raise InputError(
                "Splunk reports an error in this export, so rows may be missing",
                where=name,
                next_step="Read `messages` in the file, correct the search and export again.",
            )


def _not_done(name: str) -> InputError:
    return InputError(
        "the file has only the preview of a search that was not done",
        where=name,
        next_step="Export the results again when the search is done.",
    )


def _starts_document(start: str) -> bool:
    """Whether the text starts like a document with results, by its first keys."""
    window, seen = _Window(io.StringIO(start)), set()
    if window.next_character() != "{":
        return False
    try:
        for key in window.object_keys():
            if key not in _DOCUMENT_KEYS:
                return False
            if key in ("results", "rows", "columns"):
                return window.next_character() == "["
            seen.add(key)
            window.value()
    except _Unreadable:  # the text ends here; the list of the fields may be long
        return not seen.isdisjoint({"init_offset", "fields"})
    return "init_offset" in seen


def _document_records(text: TextIO, name: str) -> Iterator[Record]:
    window, number = _Window(text), 0
    try:
        while window.next_character():
            results = False
            for key in window.object_keys():
                if key == "results":
                    results = True
                    for value, refused, found in window.array_values():
                        number += 1
                        yield Record(number, value, found, refused, machine=True)
                    continue
                value = window.value()[0]
                if key == "preview" and value is True:
                    raise _not_done(name)
                if key == "messages":
                    _check_messages(value, name)
            if not results:
                raise InputError(
                    "the document has no `results`",
                    where=name,
                    next_step="Export from Splunk with output_mode=json, not json_rows or json_cols.",
                )
    except _Unreadable:
        raise _damaged(name, number) from None


def _damaged(name: str, number: int) -> InputError:
    return InputError(
        f"the JSON document is cut or damaged after result {number} (or has a result over 4 MiB)",
        where=name,
        next_step="Nothing was accepted. Export the results again.",
    )


class _Window:
    """The part of a document that is being parsed. Every method raises _Unreadable."""

    def __init__(self, text: TextIO) -> None:
        self._source, self._text, self._at = text, "", 0

    def next_character(self) -> str:
        """The next character that is no space, which is not consumed; empty at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read():
                return ""

    def opens_objects(self) -> bool:
        """Whether the array that begins here has an object first. Nothing is consumed."""
        after = _SPACE.match(self._text, self._at + 1)
        return self._text[after.end() :][:1] == "{"  # type: ignore[union-attr]

    def object_keys(self) -> Iterator[str]:
        """The keys of an object; the caller consumes the value of each."""
        for _ in self._items("{", "}"):
            if self.next_character() != '"':
                raise _Unreadable
            key: str = self.value()[0]
            self._expect(":")
            yield key

    def array_values(self) -> Iterator[tuple[Any, str | None, str]]:
        """The values of an array, as ``value`` returns them."""
        for _ in self._items("[", "]"):
            yield self.value()

    def value(self) -> tuple[Any, str | None, str]:
        """The next value, the reason code if it is refused, and its text."""
        self.next_character()
        while True:
            found = self._decode()
            # A number at the end of what was read may go on.
            if found is not None and (found[1] < len(self._text) or not self._read()):
                value, end, refused = found
                text, self._at = self._text[self._at : end], end
                return value, refused, text
            if found is None and (len(self._text) - self._at > MAX_RESULT_CHARACTERS or not self._read()):
                raise _Unreadable

    def _decode(self) -> tuple[Any, int, str | None] | None:
        """The value, its end and its reason code; None if no value ends in what was read."""
        try:
            return (*_STRICT.raw_decode(self._text, self._at), None)
        except RecursionError:
            raise _Unreadable from None
        except (_DuplicateKey, _NotJson) as fault:
            refused = "duplicate-key" if isinstance(fault, _DuplicateKey) else "invalid-json"
        except ValueError:
            return None
        try:
            return None, _LENIENT.raw_decode(self._text, self._at)[1], refused
        except RecursionError:
            raise _Unreadable from None
        except ValueError:
            return None

    def _items(self, start: str, end: str) -> Iterator[None]:
        self._expect(start)
        if self.next_character() == end:
            self._at += 1
            return
        while True:
            yield
            if self.next_character() == end:
                self._at += 1
                return
            self._expect(",")

    def _expect(self, character: str) -> None:
        if self.next_character() != character:
            raise _Unreadable
        self._at += 1

    def _read(self) -> bool:
        """Read on, and drop what is parsed. False at the end of the file."""
        block = self._source.read(_BLOCK_CHARACTERS)
        self._text, self._at = self._text[self._at :] + block, 0
        return bool(block)
