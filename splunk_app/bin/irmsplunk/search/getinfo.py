"""The first request, getinfo, answered before anything heavy is imported.

splunkd starts the command several times just for getinfo, every search waits for the reply, and importing
Splunk's SDK takes longer than everything else. So options that are plainly valid are answered here, byte for
byte as the SDK answers them (tests/splunk_app/test_getinfo.py compares the two). The SDK gets every other
request, from its first byte.
"""

from __future__ import annotations

import io
import json
import re
from types import SimpleNamespace

TYPE_CHECKING = False  # importing typing would add 4 ms to each start
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Callable

OUTPUTS = ("rows", "summary", "rejects", "preview")
#: Seconds that an analyst may wait for the receipt.
LONGEST_WAIT = 3600

_HEAD = re.compile(rb"chunked 1\.0,(\d{1,18}),0\n")
_REPLY = b'{"type":"events"}'


class Options:
    """The command's options, by their names in SPL."""

    profile: str = ""
    dryrun: bool = False
    wait: int = 30
    output: str = "rows"
    maxrejects: int | None = None
    allowpartial: bool = False
    fields: str = ""

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


OPTIONS = tuple(Options.__annotations__)


class Getinfo:
    """The first request: ``metadata`` and ``options`` if it was answered, else the bytes ``read``."""

    def __init__(self, read: bytes, metadata: Any = None, options: Options | None = None) -> None:
        self.read, self.metadata, self.options = read, metadata, options


def answer(requests: BinaryIO, replies: BinaryIO) -> Getinfo:
    """Read getinfo, and answer it if all of its options are plainly valid."""
    head = requests.readline(64)
    match = _HEAD.fullmatch(head)
    if match is None:
        return Getinfo(head)
    length = int(match.group(1))
    text = requests.read(length)
    try:
        metadata = json.loads(text)
        options = _options(metadata)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        options = None
    if options is None or len(text) < length:
        return Getinfo(head + text)
    replies.write(b"chunked 1.0,%d,0\n%b" % (len(_REPLY), _REPLY))
    replies.flush()
    fields = {**metadata, "searchinfo": SimpleNamespace(**metadata["searchinfo"])}
    return Getinfo(b"", SimpleNamespace(**fields), options)


def _options(metadata: Any) -> Options | None:
    """The options of a getinfo that the SDK would accept; None if it might not."""
    info = metadata["searchinfo"]
    float(info["earliest_time"]), float(info["latest_time"])
    if metadata["action"] != "getinfo" or not isinstance(info["dispatch_dir"], str):
        return None
    given: dict[str, Any] = {}
    for argument in info["args"]:
        name, equals, text = argument.partition("=")
        read = _READERS.get(name)
        value = read(text) if read is not None and equals and text and name not in given else None
        if value is None:
            return None
        given[name] = value
    return Options(**given)


def _boolean(text: str) -> bool | None:
    return {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}.get(text)


def _count(text: str) -> int | None:
    return int(text) if len(text) <= 9 and text.isascii() and text.isdigit() else None  # noqa: PLR2004


def _seconds(text: str) -> int | None:
    seconds = _count(text)
    return seconds if seconds is not None and seconds <= LONGEST_WAIT else None


def _output(text: str) -> str | None:
    return text if text in OUTPUTS else None


_READERS: dict[str, Callable[[str], Any]] = {
    "profile": str,
    "dryrun": _boolean,
    "wait": _seconds,
    "output": _output,
    "maxrejects": _count,
    "allowpartial": _boolean,
    "fields": str,
}


class Prefixed(io.RawIOBase):
    """A stream with the bytes put back that were already read from it."""

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
