"""Rules against KQL that the binder accepts but that gives different results on Azure and locally.

docs/kql.md explains the portable subset. These rules cover what can be seen from the text alone;
the local engine itself rejects what it does not support when a fixture runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from irmsentinel.content.artefacts import Artefact
from irmsentinel.content.tables import LITERALS

#: code → pattern, message. HR2 needs types, so it is in the parser's script.
RULES = {
    "HR1": (
        r"\bjoin\s+(?!(?:hint\.\w+\s*=\s*\w+\s+)*kind\s*=)",
        "a join without kind= drops rows (innerunique): write the kind",
    ),
    "HR3": (
        r"\bsummarize\s+\([^)]*\)\s*=",
        "several names for one aggregate: the local engine ignores them",
    ),
    "HR4": (r"\bmake_(?:set|list)\s*\([^()]*,", "the local engine ignores a size: use array_slice"),
    "HR5": (
        r"\bbin\s*\([^,]+,\s*+(?!1h\b|1d\b)[^)]+\)",
        "the local engine bins other steps differently: use 1h or 1d",
    ),
    "HR6": (
        r"[=!]=\s*(?:\"\"|'')",
        'compare with "" by isempty or isnotempty: an empty string may be null locally',
    ),
    "HR7": (r"\blimit\b|\btake\b(?!_any)", "limit and take keep arbitrary rows: use sort and top"),
}


def broken(artefact: Artefact) -> Iterator[tuple[int, str, str]]:
    """The offset in the body, the code and the message of each violation."""
    text = LITERALS.sub(_blank, artefact.body)
    for code, (pattern, message) in RULES.items():
        for match in re.finditer(pattern, text):
            yield match.start(), code, message


def _blank(match: re.Match[str]) -> str:
    """A comment or literal of the same length without words; an empty literal stays."""
    text = match[0]
    if text in {'""', "''"}:
        return text
    return " " * len(text) if text.startswith("//") else '"' + "_" * (len(text) - 2) + '"'
