"""The lines of ``audit.log``: events as JSON, each with a MAC that chains it to the line before.

The MAC covers that of the line before, everything between the two, and the line, under the outbox's key. So
without the key nobody can change, remove, insert or move a line unnoticed. Not shown: lines removed from the
end, and a chain that the holder of the key computed anew. A ``Head`` kept elsewhere shows both.

A crash leaves at most a line that is cut off, or holds bytes of zero. It is no event, and the MAC of the next
line covers it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from irmcore.outbox.keyring import Keyring

_json = json.JSONEncoder(sort_keys=True).encode
_MAC = re.compile(rb"[0-9a-f]{32}")
_SEPARATOR = b', "mac": "'
_YEAR_10000 = 253_402_300_800
#: What a line says that is MACed without a key.
_NO_MAC = "0" * 32


class Head(NamedTuple):
    """A line of the chain: its number, from 1, and its MAC."""

    number: int
    mac: str


class Problem(NamedTuple):
    """What is wrong with a line of the file, counted from 1."""

    line: int
    what: str


class Line(NamedTuple):
    """A line: what its MAC covers, the MAC, and the event."""

    body: bytes
    mac: str
    event: dict[str, Any]

    @property
    def head(self) -> Head:
        """What the next line follows. A checkpoint stands for the last of the lines that it replaces."""
        return Head(self.event["n"], str(self.event["link"]) if self.is_checkpoint else self.mac)

    @property
    def is_checkpoint(self) -> bool:
        return bool(self.event["event"] == "checkpoint")


START = Head(0, "")


def encode(ring: Keyring | None, before: Head, event: Mapping[str, Any], torn: bytes = b"") -> bytes:
    """The line after ``before`` and what a crash has left behind that. ``ring``: None if the key is lost."""
    generation = ring.newest if ring else 0
    body = _json({**event, "g": generation, "n": before.number + 1})[:-1].encode("ascii")
    return body + _SEPARATOR + _mac(ring, generation, before, torn + body).encode("ascii") + b'"}\n'


def content(ring: Keyring, events: Iterable[Mapping[str, Any]]) -> bytes:
    """A whole log with these events, which have their times."""
    lines, head = [], START
    for event in events:
        lines.append(encode(ring, head, event))
        head = Head(head.number + 1, lines[-1][-35:-3].decode("ascii"))
    return b"".join(lines)


def split(data: bytes) -> list[bytes]:
    """The lines with their ends; the last one may lack it."""
    return [line for line in re.split(rb"(?<=\n)", data) if line]


def decode(line: bytes) -> Line | None:
    """A whole line; None if a crash or somebody else has left it."""
    body, separator, end = line.rpartition(_SEPARATOR)
    if not separator or not _MAC.fullmatch(end[:-3]) or end[-3:] != b'"}\n':
        return None
    try:
        event = json.loads(body + b"}")
        at, numbers = float(event["at"]), (event["n"], event["g"])
        good = 0 <= at < _YEAR_10000 and all(isinstance(one, int) for one in numbers)
        good = good and isinstance(event["event"], str)
        good = good and ("link" in event or event["event"] != "checkpoint")
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return Line(body, end[:-3].decode("ascii"), event) if good else None


def is_foreign(line: bytes) -> bool:
    """Whether a crash cannot have left this, which is no event: it leaves a beginning, or bytes of zero."""
    return line.endswith(b"\n") and not line.endswith(b"#\n") and b"\0" not in line


def verify(ring: Keyring, lines: list[bytes], noted: Head | None = None) -> Iterator[Problem]:
    """What is wrong with a chain, line by line. ``noted``: a head from earlier that it must contain."""
    chain, oldest, known = START, 1, noted is None
    torn: list[bytes] = []
    for number, text in enumerate(lines, 1):
        found = decode(text)
        if found is None:
            torn.append(text)
            continue
        if found.is_checkpoint and chain == START:
            oldest = found.event["n"]
            chain = Head(oldest - 1, "")
        yield from _of_line(number, found, ring, chain, torn)
        if found.event["n"] > chain.number:  # otherwise it was inserted, and the chain goes on without it
            chain = found.head
        known = known or found.head == noted
        torn = []
    if chain == START:
        yield Problem(1, "the log is missing or empty")
    elif any(map(is_foreign, torn)):
        yield Problem(len(lines), "this line was changed, or damaged by something other than a crash")
    if noted is not None and not known:
        yield Problem(len(lines), _missing(noted, oldest, chain))


def _of_line(number: int, found: Line, ring: Keyring, chain: Head, torn: list[bytes]) -> Iterator[Problem]:
    what = _wrong(found, ring, chain, b"".join(torn))
    if what and torn and not _wrong(found, ring, chain, b""):
        yield Problem(number - len(torn), "this line was inserted")
    elif what:
        yield Problem(number, what)
    if found.event["g"] == 0:
        yield Problem(number, "anybody may have written this line, while the key was missing")
    if "after" in found.event:
        yield Problem(number, f"before this line was written, {found.event['after']}")


def _missing(noted: Head, oldest: int, newest: Head) -> str:
    if noted.number < oldest:
        return f"the head of line number {noted.number} is too old: the log begins with {oldest}"
    if noted.number > newest.number:
        return f"the log ends with number {newest.number}: lines up to number {noted.number} were removed"
    return f"number {noted.number} is not the line whose head was noted: the log was written anew"


def _wrong(found: Line, ring: Keyring, chain: Head, torn: bytes) -> str:
    """Why a line does not follow ``chain``; "" if it does."""
    number, generation, expected = found.event["n"], found.event["g"], chain.number + 1
    if not 0 <= generation <= ring.newest:
        return "this line was not written with the key of this outbox"
    if number == expected and _mac(ring, generation, chain, torn + found.body) == found.mac:
        return ""
    if number < expected:
        return f"this line, number {number}, was inserted or moved here"
    if number > expected:
        return f"number {number} follows number {chain.number}: lines between them were removed or damaged"
    return f"this line, number {number}, was changed"


def _mac(ring: Keyring | None, generation: int, before: Head, data: bytes) -> str:
    if ring is None or not generation:
        return _NO_MAC
    return ring.mac(b"audit\0" + before.mac.encode("ascii") + b"\0" + data, generation)[: len(_NO_MAC)]
