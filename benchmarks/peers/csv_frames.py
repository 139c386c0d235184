"""The limit for a command that reads every cell: csv.reader to csv.writer, in the protocol's frames."""

from __future__ import annotations

import csv
import io
import re
import sys

_HEAD = re.compile(rb"chunked 1\.0,(\d+),(\d+)\n")


def main() -> None:
    """Answer each request with its own rows."""
    while line := sys.stdin.buffer.readline():
        match = _HEAD.fullmatch(line)
        assert match is not None
        metadata = sys.stdin.buffer.read(int(match.group(1)))
        body = sys.stdin.buffer.read(int(match.group(2)))
        out = io.StringIO(newline="")
        write = csv.writer(out, lineterminator="\n").writerow
        for row in csv.reader(io.StringIO(body.decode("utf-8"), newline="")):
            write(row)
        back = out.getvalue().encode("utf-8")
        reply = b'{"finished": true}' if b'"finished": true' in metadata else b'{"finished": false}'
        sys.stdout.buffer.write(b"chunked 1.0,%d,%d\n" % (len(reply), len(back)))
        sys.stdout.buffer.write(reply)
        sys.stdout.buffer.write(back)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
