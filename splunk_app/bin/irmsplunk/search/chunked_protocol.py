r"""Splunk's chunked protocol: read requests to their full length, write one reply to each.

    chunked 1.0,<metadata bytes>,<body bytes>\n<metadata><body>

Splunk's SDK accepts a truncated body as complete; here it is an InputError.
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
    """A request's metadata, and the length in bytes of the body that follows it in the stream."""

    metadata: Mapping[str, Any]
    body: int

    @property
    def finished(self) -> bool:
        return self.metadata.get("finished") is True


def read_head(stream: BinaryIO) -> Head | None:
    """The head of the next request, or None if the stream ends between requests. Raises InputError."""
    line = stream.readline(64)
    if not line:
        return None
    match = _HEAD.fullmatch(line)
    if match is None:
        raise _broken("a request does not begin with a head of the chunked protocol")
    text = b"".join(pieces(stream, int(match.group(1))))
    try:
        metadata = json.loads(text)
    except ValueError:
        raise _broken("the metadata of a request is not JSON") from None
    return Head(metadata if isinstance(metadata, dict) else {}, int(match.group(2)))


def pieces(stream: BinaryIO, length: int) -> Iterator[bytes]:
    """Exactly ``length`` bytes of the stream, in pieces. Raises InputError if the stream is shorter."""
    left = length
    while left:
        piece = stream.read(min(left, _PIECE))
        if not piece:
            raise _broken(f"the search ended {left:,} bytes before the end of its results")
        left -= len(piece)
        yield piece


def _broken(what: str) -> InputError:
    return InputError(what, next_step="Nothing was accepted; run the search again.")


def write(stream: BinaryIO, metadata: Mapping[str, Any], length: int = 0, body: Iterable[bytes] = ()) -> None:
    """Write one reply: the metadata and a body of ``length`` bytes."""
    text = json.dumps(metadata).encode("ascii")
    stream.write(b"chunked 1.0,%d,%d\n" % (len(text), length))
    stream.write(text)
    stream.writelines(body)
    stream.flush()


def reply_metadata(messages: Iterable[tuple[str, str]], *, finished: bool) -> dict[str, Any]:
    """The metadata of a reply; each message is a level (INFO, WARN, ERROR) and a text."""
    listed = [list(message) for message in messages]
    metadata: dict[str, Any] = {"finished": finished}
    if listed:
        metadata["inspector"] = {"messages": listed}
    return metadata
