"""Numbers: the plain decimal that a threshold column holds.

Promised: the same number in its shortest plain form, without exponent, plus sign or needless
zeros; and only numbers which a double gives back digit by digit, as the service may keep doubles.
Not done: no rounding, and no guess at thousands separators or decimal commas.
"""

from __future__ import annotations

import re
from decimal import Decimal

from irmcore.reasons import Refused

#: A double gives back any decimal of so many digits; of more, only those that a double is written as.
_MOST_DIGITS = 15
#: No double needs more digits to be told from its neighbours.
_ALL_DIGITS = 17
#: Powers of ten of the first digit: below 1e15, and where doubles still have their full precision.
_LARGEST_POWER = 14
_SMALLEST_POWER = -307
#: Only a text of thousands of zeros could bring a number with a longer exponent back into range.
_LONGEST_EXPONENT = 4

_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?)([0-9]+))?").fullmatch
# 1,000 and 1,5 and 1.000,5 and 1.000.000, and digits in threes behind spaces or apostrophes.
_GROUPED = re.compile(
    r"[+-]?(?:[0-9]+(?:,[0-9]+)+(?:\.[0-9]+)?"
    r"|[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+"
    r"|[0-9]{1,3}(?:\.[0-9]{3}){2,}"
    r"|[0-9]{1,3}(?:[ '\u00a0\u2009\u2019\u202f][0-9]{3})+(?:[.,][0-9]+)?)"
).fullmatch


def canonical(text: str) -> str:
    """The number in its plain form, without spaces around it, or Refused."""
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
    point = len(digits) - len(fraction) + shift  # how many digits stand before the point
    digits = digits.rstrip("0")
    if not _SMALLEST_POWER <= point - 1 <= _LARGEST_POWER:
        raise Refused("number-out-of-range")
    if len(digits) > _MOST_DIGITS and not _is_shortest(text, len(digits)):
        raise Refused("number-out-of-range")
    return ("-" if sign == "-" else "") + _plain(digits, point)


def _is_shortest(text: str, digits: int) -> bool:
    """Whether ``text`` is how a double is written that a query computed: an average, say."""
    return digits <= _ALL_DIGITS and Decimal(repr(float(text))) == Decimal(text)


def _plain(digits: str, point: int) -> str:
    """``0.digits`` times ten to the power of ``point``."""
    if point <= 0:
        return "0." + "0" * -point + digits
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return digits[:point] + "." + digits[point:]
