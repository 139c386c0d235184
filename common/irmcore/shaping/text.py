"""Text columns: a value passes unchanged or is refused.

Nothing is trimmed, normalized or escaped. A value that passes is valid UTF-8 without control characters
other than TAB, LF and CR LF. So it has no U+001F, which separates the fields in the input of a row key. A
lone CR is refused because CSV readers disagree on whether it ends a row. Bidi and zero-width characters and
formula prefixes are the user's data and pass; :func:`hazards` names them for the command line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from irmcore.reasons import Refused

#: The results of :func:`hazards`, in its order.
HAZARDS = ("bidi-control", "zero-width", "formula-prefix")

_REFUSED = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]|\r(?!\n)").search
# The readers replace NUL by U+DC00, just as bytes that are not UTF-8 become U+DC80 to U+DCFF.
_NULS = frozenset("\0\udc00")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]").search
_ZERO_WIDTH = re.compile("[\u180e\u200b-\u200d\u2060-\u2064\ufeff]").search
_PREFIXED = re.compile('[,\n"][=+\\-@\t\r]').search
_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r")


def canonical(text: str) -> str:
    """The same text. Raises Refused for the first character that cannot be sent."""
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
    """Raises Refused if ``canonical`` would refuse any of the texts; examines them as one."""
    # Joined by spaces, so that a CR ending one text and an LF starting the next are not a CR LF.
    canonical(" ".join(texts))


def may_have_hazards(payload: str) -> bool:
    """Whether a value of a CSV payload may have a hazard. False if none has; much faster than each value."""
    return _PREFIXED(payload) is not None or (
        not payload.isascii() and (_BIDI(payload) is not None or _ZERO_WIDTH(payload) is not None)
    )


def hazards(text: str) -> tuple[str, ...]:
    """Those of HAZARDS that the text has: what may mislead a reader or be run by a spreadsheet."""
    found = []
    if not text.isascii():
        if _BIDI(text):
            found.append("bidi-control")
        if _ZERO_WIDTH(text):
            found.append("zero-width")
    if text.startswith(_FORMULA_PREFIXES):
        found.append("formula-prefix")
    return tuple(found)
