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

from irmsplunk.search import getinfo as opening  # noqa: E402 - lib/ had to be found first


def main() -> None:
    """Answer getinfo, then load the rest: splunkd prepares the search meanwhile."""
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    opened = opening.answer(requests, replies)
    if opened.options is not None:
        from irmsplunk.search import command  # noqa: PLC0415

        command.talk(opened.options, opened.metadata, requests, replies)
    else:
        import io  # noqa: PLC0415

        from irmsplunk.search.sdk_command import IrmExport  # noqa: PLC0415

        again = io.BufferedReader(opening.Reread(opened.read, requests))
        IrmExport().process(sys.argv, io.TextIOWrapper(again), sys.stdout)


if __name__ == "__main__":
    main()
