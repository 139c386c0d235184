"""Numbers of threshold columns, as plain decimals.

The result is the shortest plain form, without exponent, plus sign or redundant zeros. A number that a double
cannot represent digit by digit is refused, because the service may store doubles. Nothing is rounded, and
thousands separators and decimal commas are not guessed.
"""

from __future__ import annotations

import re
from decimal import Decimal

from irmcore.reasons import Refused

#: A double preserves every decimal with this many digits. Of longer ones it preserves its own shortest forms.
_MOST_DIGITS = 15
#: Digits that distinguish every double from its neighbours.
_ALL_DIGITS = 17
#: Powers of ten of the first digit: below 1e15, and within the range where doubles have full precision.
_LARGEST_POWER = 14
_SMALLEST_POWER = -307
#: With a longer exponent a number could be in range only if it had thousands of zeros.
_LONGEST_EXPONENT = 4

_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?)([0-9]+))?").fullmatch
# 1,000 and 1,5 and 1.000,5 and 1.000.000, and groups of three after spaces or apostrophes.
_GROUPED = re.compile(
    r"[+-]?(?:[0-9]+(?:,[0-9]+)+(?:\.[0-9]+)?"
    r"|[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+"
    r"|[0-9]{1,3}(?:\.[0-9]{3}){2,}"
    r"|[0-9]{1,3}(?:[ '\u00a0\u2009\u2019\u202f][0-9]{3})+(?:[.,][0-9]+)?)"
).fullmatch


def canonical(text: str) -> str:
    """The number in its plain form, without surrounding spaces. Raises Refused."""
    if len(text) <= _MOST_DIGITS and text.isdigit() and text.isascii():
        return text.lstrip("0") or "0"
    text = text.strip(" ")
    number = _NUMBER(text)
    if number is None:
        raise Refused("number-grouped" if _GROUPED(text) else "number-malformed")
    sign, whole, fraction, exponent_sign, exponent = number.groups("")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "0"
    exponent = exponent.lstrip("0")
    if len(exponent) > _LONGEST_EXPONENT:
        raise Refused("number-out-of-range")
    shift = int(exponent_sign + exponent) if exponent else 0
    point = len(digits) - len(fraction) + shift  # digits before the point
    digits = digits.rstrip("0")
    if not _SMALLEST_POWER <= point - 1 <= _LARGEST_POWER:
        raise Refused("number-out-of-range")
    if len(digits) > _MOST_DIGITS and not _is_shortest(text, len(digits)):
        raise Refused("number-out-of-range")
    return ("-" if sign == "-" else "") + _plain(digits, point)


def _is_shortest(text: str, digits: int) -> bool:
    """Whether ``text`` is the shortest form of a double, as for an average that a query computed."""
    return digits <= _ALL_DIGITS and Decimal(repr(float(text))) == Decimal(text)


def _plain(digits: str, point: int) -> str:
    """``0.digits`` times ten to the power of ``point``, as plain text."""
    if point <= 0:
        return "0." + "0" * -point + digits
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return digits[:point] + "." + digits[point:]
