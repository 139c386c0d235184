"""What the binder lets pass and yet would give another result on Azure than on this machine.

docs/kql.md explains the portable subset. Here is what of it can be seen in the text alone; what the
local engine lacks it refuses itself when a fixture runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from irmsentinel.content.artefacts import Artefact

#: code → what is looked for, what is said. HR2 needs the types: the checker's script has it.
RULES = {
    "HR1": (
        r"\bjoin\s+(?!(?:hint\.\w+\s*=\s*\w+\s+)*kind\s*=)",
        "a join without kind= drops rows (innerunique): say which kind",
    ),
    "HR3": (r"\bsummarize\s+\([^)]*\)\s*=", "several names for one aggregate: the local engine ignores them"),
    "HR4": (r"\bmake_(?:set|list)\s*\([^()]*,", "a size is ignored locally: use array_slice"),
    "HR5": (r"\bbin\s*\([^,]+,\s*+(?!1h\b|1d\b)[^)]+\)", "bin of 1h or 1d only: other steps differ locally"),
    "HR6": (r"[=!]=\s*(?:\"\"|'')", 'compare with "" by isempty/isnotempty: it may be null locally'),
    "HR7": (r"\blimit\b|\btake\b(?!_any)", "rows cut off in no order: sort and top, or none"),
}
_LITERALS = re.compile(r"//[^\n]*|@?\"(?:\\.|[^\"\\\n])*\"|@?'(?:\\.|[^'\\\n])*'")


def broken(artefact: Artefact) -> Iterator[tuple[int, str, str]]:
    """Place in the body, code and message of each rule that is broken."""
    text = _LITERALS.sub(_blank, artefact.body)
    for code, (pattern, message) in RULES.items():
        for match in re.finditer(pattern, text):
            yield match.start(), code, message


def _blank(match: re.Match[str]) -> str:
    """A comment or literal of the same length that holds no word; an empty literal stays."""
    text = match[0]
    if text in {'""', "''"}:
        return text
    return " " * len(text) if text.startswith("//") else '"' + "_" * (len(text) - 2) + '"'
