r"""The chunked protocol's frames: read to their full length or refused, written one a request.

    chunked 1.0,<metadata bytes>,<body bytes>\n<metadata><body>

Splunk's SDK takes a body that was cut off for a whole one; here it is an InputError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from irmcore.errors import InputError

_HEAD = re.compile(rb"chunked 1\.0,(\d{1,18}),(\d{1,18})\n")
_PIECE = 65_536


@dataclass(frozen=True)
class Head:
    """A request's metadata and the length of the body that follows it in the stream."""

    metadata: Mapping[str, Any]
    body: int

    @property
    def finished(self) -> bool:
        return self.metadata.get("finished") is True


def read_head(stream: BinaryIO) -> Head | None:
    """The next request's head, or None where the stream ends between requests. Raises InputError."""
    line = stream.readline(64)
    if not line:
        return None
    match = _HEAD.fullmatch(line)
    if match is None:
        raise _cut("the head of a request is not one of the chunked protocol")
    text = b"".join(pieces(stream, int(match.group(1))))
    try:
        metadata = json.loads(text)
    except ValueError:
        raise _cut("the metadata of a request is not JSON") from None
    return Head(metadata if isinstance(metadata, dict) else {}, int(match.group(2)))


def pieces(stream: BinaryIO, length: int) -> Iterator[bytes]:
    """Exactly ``length`` bytes of the stream, in pieces. Raises InputError if it ends before."""
    left = length
    while left:
        piece = stream.read(min(left, _PIECE))
        if not piece:
            raise _cut(f"the search ended {left:,} bytes before the end of its results")
        left -= len(piece)
        yield piece


def _cut(what: str) -> InputError:
    return InputError(what, next_step="Nothing was accepted; run the search again.")


def write(stream: BinaryIO, metadata: Mapping[str, Any], length: int = 0, body: Iterable[bytes] = ()) -> None:
    """One reply: the metadata and a body of ``length`` bytes."""
    text = json.dumps(metadata).encode("ascii")
    stream.write(b"chunked 1.0,%d,%d\n" % (len(text), length))
    stream.write(text)
    stream.writelines(body)
    stream.flush()


def metadata(messages: Iterable[tuple[str, str]], *, finished: bool) -> dict[str, Any]:
    """A reply's metadata; each message is a level (INFO, WARN, ERROR) and a text."""
    said = [list(message) for message in messages]
    found: dict[str, Any] = {"finished": finished}
    if said:
        found["inspector"] = {"messages": said}
    return found
