"""Text: kept exactly as it came, or refused.

Promised: no trimming, no normalisation, no escaping; what passes is valid UTF-8 and has no control
character but TAB, LF and CR LF. So it has no U+001F either, which separates the fields of a row
key: two different rows never have the same key text. A lone CR is refused because readers of CSV
disagree on whether it ends a row. Not done: bidi and zero-width characters and formula prefixes
are the user's data and are kept; :func:`hazards` names them for ``irmexport check``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from irmcore.reasons import Refused

#: What :func:`hazards` can name, in its order.
HAZARDS = ("bidi-control", "zero-width", "formula-prefix")

_REFUSED = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]|\r(?!\n)").search
# U+DC00 is what a reader of bytes puts in place of a NUL, as other bytes become U+DC80 to U+DCFF.
_NULS = frozenset("\0\udc00")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]").search
_ZERO_WIDTH = re.compile("[\u180e\u200b-\u200d\u2060-\u2064\ufeff]").search
_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r")


def canonical(text: str) -> str:
    """The same text, or Refused for its first character that cannot be sent."""
    if text.isascii() and text.isprintable():
        return text
    refused = _REFUSED(text)
    if refused is None:
        return text
    character = refused.group()
    if character in _NULS:
        raise Refused("nul-character")
    if character >= "\ud800":
        raise Refused("invalid-utf8")
    raise Refused("control-character")


def refuse_any(texts: Iterable[str]) -> None:
    """Raises Refused if ``canonical`` would refuse one of the texts; all are looked at as one."""
    # Joined by spaces: a CR at the end of one and an LF at the beginning of the next are no CR LF.
    canonical(" ".join(texts))


def hazards(text: str) -> tuple[str, ...]:
    """What may deceive a reader of the text or be run by a spreadsheet, of HAZARDS."""
    found = []
    if not text.isascii():
        if _BIDI(text):
            found.append("bidi-control")
        if _ZERO_WIDTH(text):
            found.append("zero-width")
    if text.startswith(_FORMULA_PREFIXES):
        found.append("formula-prefix")
    return tuple(found)
