"""The sessions that a page shows: commands, each with the output that it must print."""

from __future__ import annotations

import re

#: `$ command`, then its output; … stands for text that varies, a line with only … for any number of lines.
_SESSION = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(text: str) -> list[tuple[str, str]]:
    """The commands of a page in order, each with its expected output."""
    found = []
    for block in _SESSION.findall(text):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            found.append((command, output))
    return found


def pattern(output: str) -> str:
    """The regular expression for an expected output."""
    return "".join(map(_line, output.splitlines()))


def _line(line: str) -> str:
    return r"(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"[ ]*\n"
