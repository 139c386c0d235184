"""The first request, getinfo: answered at once, with nothing imported that a start can do without.

splunkd starts the command several times for getinfo alone, each search waits for it, and importing
Splunk's SDK takes longer than all the rest. So what is plainly right is answered here, word for word as
the SDK does (a test holds the two together); whatever else comes is left to the SDK, from its first byte.
"""

from __future__ import annotations

import io
import json
import re
from types import SimpleNamespace

TYPE_CHECKING = False  # importing typing would cost a start four milliseconds
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Callable

OUTPUTS = ("rows", "summary", "rejects")
WAIT_SECONDS = 3600

_HEAD = re.compile(rb"chunked 1\.0,(\d{1,18}),0\n")
_REPLY = b'{"type":"events"}'


class Options:
    """What the analyst asks for; the names are those of the command's options."""

    profile: str
    dryrun: bool = False
    wait: int = 30
    output: str = "rows"
    maxrejects: int | None = None
    allowpartial: bool = False
    fields: str = ""

    def __init__(self, **said: Any) -> None:
        self.__dict__.update(said)


OPTIONS = tuple(Options.__annotations__)


class Opening:
    """The first request: its ``metadata`` and ``options`` if it is answered, else what was ``read`` of it."""

    def __init__(self, read: bytes, metadata: Any = None, options: Options | None = None) -> None:
        self.read, self.metadata, self.options = read, metadata, options


def answer(requests: BinaryIO, replies: BinaryIO) -> Opening:
    """Read getinfo, and answer it if there is nothing to say about it."""
    head = requests.readline(64)
    match = _HEAD.fullmatch(head)
    if match is None:
        return Opening(head)
    length = int(match.group(1))
    text = requests.read(length)
    try:
        metadata = json.loads(text)
        options = _options(metadata)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        options = None
    if options is None or len(text) < length:
        return Opening(head + text)
    replies.write(b"chunked 1.0,%d,0\n%b" % (len(_REPLY), _REPLY))
    replies.flush()
    said = {**metadata, "searchinfo": SimpleNamespace(**metadata["searchinfo"])}
    return Opening(b"", SimpleNamespace(**said), options)


def _options(metadata: Any) -> Options | None:
    """The options of a getinfo that the SDK would take; None where it might not."""
    info = metadata["searchinfo"]
    float(info["earliest_time"]), float(info["latest_time"])
    if metadata["action"] != "getinfo" or not isinstance(info["dispatch_dir"], str):
        return None
    said: dict[str, Any] = {}
    for argument in info["args"]:
        name, equals, value = argument.partition("=")
        read = _READERS.get(name)
        found = read(value) if read is not None and equals and value and name not in said else None
        if found is None:
            return None
        said[name] = found
    return Options(**said) if "profile" in said else None


def _truth(text: str) -> bool | None:
    return {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}.get(text)


def _count(text: str) -> int | None:
    return int(text) if len(text) <= 9 and text.isascii() and text.isdigit() else None  # noqa: PLR2004


def _seconds(text: str) -> int | None:
    seconds = _count(text)
    return seconds if seconds is not None and seconds <= WAIT_SECONDS else None


def _output(text: str) -> str | None:
    return text if text in OUTPUTS else None


_READERS: dict[str, Callable[[str], Any]] = {
    "profile": str,
    "dryrun": _truth,
    "wait": _seconds,
    "output": _output,
    "maxrejects": _count,
    "allowpartial": _truth,
    "fields": str,
}


class Reread(io.RawIOBase):
    """A stream that begins with what was read of it already."""

    def __init__(self, read: bytes, rest: BinaryIO) -> None:
        self._read, self._rest = read, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._read[: len(buffer)]
        self._read = self._read[len(piece) :]
        if not piece:
            piece = self._rest.read1(len(buffer))  # type: ignore[attr-defined]
        buffer[: len(piece)] = piece
        return len(piece)
