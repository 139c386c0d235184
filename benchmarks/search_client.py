"""splunkd for one search command: getinfo, the chunks, the end; then writes what it took as JSON.

    python search_client.py REQUESTS RESULT COMMAND…

REQUESTS has the requests as they go over the wire, getinfo first. One request is written as a whole,
then its reply is read as a whole and thrown away. A process of its own for the reason ``child`` has.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from typing import BinaryIO

_HEAD = re.compile(rb"chunked 1\.0,(\d+),(\d+)\n")
_PIECE = 65_536


def _head(stream: BinaryIO) -> tuple[bytes, int] | None:
    line = stream.readline()
    if not line:
        return None
    match = _HEAD.fullmatch(line)
    if match is None:
        raise SystemExit(f"not a head of the chunked protocol: {line[:80]!r}")
    return line, int(match.group(1)) + int(match.group(2))


def _pump(source: BinaryIO, length: int, into: BinaryIO | None) -> bytes:
    """Copy ``length`` bytes; returns the first of them."""
    first = b""
    while length:
        piece = source.read(min(length, _PIECE))
        if not piece:
            raise SystemExit("the command ended in the middle of a reply")
        first = first or piece
        length -= len(piece)
        if into is not None:
            into.write(piece)
    return first


def main(requests: str, result: str, command: list[str]) -> int:
    """Run the command; returns its exit code."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    replied: list[float] = []
    last = b""
    with open(requests, "rb") as file:
        while (request := _head(file)) is not None:
            process.stdin.write(request[0])
            _pump(file, request[1], process.stdin)
            process.stdin.flush()
            reply = _head(process.stdout)
            if reply is None:
                raise SystemExit("the command ended without a reply")
            last = _pump(process.stdout, reply[1], None)
            replied.append(time.perf_counter() - begin)
    process.stdin.close()
    _, status, used = os.wait4(process.pid, 0)
    taken = {
        "wall": time.perf_counter() - begin,
        "cpu": used.ru_utime + used.ru_stime,
        "rss": used.ru_maxrss / 1024,
        "getinfo": replied[0],
        "said": last[:2000].decode("utf-8", "replace"),
    }
    with open(result, "w", encoding="utf-8") as out:
        json.dump(taken, out)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
