"""The script that splunkd starts for `| irmexport`.

It parses on older Pythons too, to say there what is needed.
"""

import json
import os
import sys

from irmsplunk.supported import refusal


def refuse(message: str) -> None:
    """Show one clear error in the search, in reply to getinfo."""
    head = sys.stdin.buffer.readline().split(b",")
    sys.stdin.buffer.read(int(head[1]))
    reply = {"finished": True, "inspector": {"messages": [["ERROR", message]]}}
    body = json.dumps(reply).encode("ascii")
    sys.stdout.buffer.write(b"chunked 1.0,%d,0\n" % len(body) + body)
    sys.stdout.buffer.flush()
    sys.exit(1)


if refusal():
    refuse(refusal())

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from irmsplunk.search import getinfo  # noqa: E402 - only now can it be found


def main() -> None:
    """Answer getinfo, then load the rest while splunkd prepares the search."""
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    first = getinfo.answer(requests, replies)
    if first.options is not None:
        from irmsplunk.search import command  # noqa: PLC0415

        command.run(first.options, first.metadata, requests, replies)
    else:
        import io  # noqa: PLC0415

        from irmsplunk.search.sdk_command import IrmExport  # noqa: PLC0415

        from_start = io.BufferedReader(getinfo.Prefixed(first.read, requests))
        IrmExport().process(sys.argv, io.TextIOWrapper(from_start), sys.stdout)


if __name__ == "__main__":
    main()
