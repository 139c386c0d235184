"""Take the parts out of KQL's unions that read tables or call functions which are not there.

It sees parts in brackets, as the content writes them: ``union isfuzzy=true (datatable(…)[]), (Table | …)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from irmsentinel.content.tables import LITERALS

_UNION = re.compile(r"\bunion\s+(?:isfuzzy\s*=\s*true\s+)?(?=\()")
_LEG = re.compile(r"\(\s*(\w+)")
_NEXT_LEG = re.compile(r"\s*,\s*(?=\()")


def without(text: str, gone: frozenset[str]) -> str:
    """A text without the parts of unions that read what is gone.

    An isfuzzy union guards a table that may be missing. Defender does not always run it, so no guard stays.
    """
    before = len(text)
    while True:
        masked = LITERALS.sub(lambda literal: re.sub(r"[^\n]", " ", literal[0]), text)
        found = [union for union in _UNION.finditer(masked) if union.start() < before]
        if not found:
            return text
        before = found[-1].start()
        legs = list(_legs(masked, found[-1].end()))
        guards = [leg for leg in legs if _first(masked, leg) == "datatable"]
        kept = [leg for leg in legs if leg not in guards and _first(masked, leg) not in gone]
        chosen = [text[start:end] for start, end in kept or guards]
        if chosen and len(kept) < len(legs):
            union = "union\n    " + ",\n    ".join(chosen) if len(chosen) > 1 else chosen[0][1:-1]
            text = text[:before] + union + text[legs[-1][1] :]


def _legs(masked: str, start: int) -> Iterator[tuple[int, int]]:
    """The places of a union's parts in brackets, from the first one on."""
    while True:
        depth, end = 0, start
        for end in range(start, len(masked)):
            depth += {"(": 1, ")": -1}.get(masked[end], 0)
            if not depth:
                break
        yield start, end + 1
        comma = _NEXT_LEG.match(masked, end + 1)
        if comma is None:
            return
        start = comma.end()


def _first(masked: str, leg: tuple[int, int]) -> str:
    word = _LEG.match(masked, leg[0])
    return word[1] if word else ""
