"""The body of an upload: `multipart/form-data` with one part named `file` that has a file name.

Promised: pure; it returns the file's bytes exactly as sent, or a refusal that quotes none of them.
The rule is that of Microsoft's sample script, which sends exactly this. python-multipart does the parsing and
follows RFC 7578: a `filename*` parameter alone is not a file name.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from irmemulator.file_rules import Refusal

_PART_NAME = b"file"


@dataclass(frozen=True)
class FilePart:
    """The uploaded file: its name and its bytes."""

    file_name: str
    content: bytes = field(repr=False)


class _Part:
    """A part while it is being read."""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.content = bytearray()

    @property
    def disposition(self) -> dict[bytes, bytes]:
        return parse_options_header(self.headers.get(b"content-disposition"))[1]


def is_form_data(content_type: str | None) -> bool:
    """Whether a Content-Type header is `multipart/form-data`, with any parameters."""
    return parse_options_header(content_type)[0] == b"multipart/form-data"


def read_file_part(content_type: str | None, body: bytes) -> FilePart | Refusal:
    """The one file in a body whose type `is_form_data`, or why there is none."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        return Refusal("no_boundary", "the Content-Type has no boundary")
    parts = _read_parts(boundary, body)
    if isinstance(parts, Refusal):
        return parts
    if len(parts) != 1:
        return Refusal("not_one_part", f"the body has {len(parts)} parts instead of one")
    disposition = parts[0].disposition
    if disposition.get(b"name") != _PART_NAME:
        return Refusal("part_not_named_file", "the part's name is not 'file'")
    file_name = disposition.get(b"filename")
    if not file_name:
        return Refusal("no_file_name", "the part has no file name")
    return FilePart(file_name.decode("latin-1"), bytes(parts[0].content))


def _read_parts(boundary: bytes, body: bytes) -> list[_Part] | Refusal:
    parts: list[_Part] = []
    name, value = bytearray(), bytearray()
    ends: list[bool] = []

    def on_header_end() -> None:
        parts[-1].headers[bytes(name).lower()] = bytes(value)
        name.clear()
        value.clear()

    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": lambda: parts.append(_Part()),
                "on_part_data": lambda data, start, end: parts[-1].content.extend(data[start:end]),
                "on_header_field": lambda data, start, end: name.extend(data[start:end]),
                "on_header_value": lambda data, start, end: value.extend(data[start:end]),
                "on_header_end": on_header_end,
                "on_end": lambda: ends.append(True),
            },
        )
        parser.logger = _silent_logger()
        parser.write(body)
    except FormParserError:
        return Refusal("not_multipart", "the body is not multipart/form-data, as its Content-Type says")
    if not ends:
        # python-multipart does not check this: a truncated body would pass as complete.
        return Refusal("not_multipart", "the body ends before its last boundary")
    return parts


def _silent_logger() -> logging.Logger:
    """A logger that writes nowhere: the parser's warnings quote bytes of the body."""
    logger = logging.Logger("irmemulator.multipart")  # noqa: LOG001 - on purpose: no parent, no handler
    logger.disabled = True
    return logger
