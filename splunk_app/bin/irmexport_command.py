"""`| irmexport`, as splunkd starts it. Parses on older Pythons too, to say why it cannot run there."""

import json
import os
import sys


def refuse_old_python() -> None:
    """One clear error in the search, in reply to getinfo."""
    head = sys.stdin.buffer.readline().split(b",")
    sys.stdin.buffer.read(int(head[1]))
    what = "irmexport needs Python 3.9 or newer: use Splunk 9.3 or newer, or set python.version = python3.9."
    reply = {"finished": True, "inspector": {"messages": [["ERROR", what]]}}
    body = json.dumps(reply).encode("ascii")
    sys.stdout.buffer.write(b"chunked 1.0,%d,0\n" % len(body) + body)
    sys.stdout.buffer.flush()
    sys.exit(1)


if sys.version_info < (3, 9):  # noqa: UP036 - splunkd decides which Python starts this
    refuse_old_python()

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from irmsplunk.command import IrmExport  # noqa: E402 - lib/ had to be found first

if __name__ == "__main__":
    IrmExport().process(sys.argv, sys.stdin, sys.stdout)
