"""Numbers of threshold columns, as plain decimals.

The result is the shortest plain form, without exponent, plus sign or redundant zeros. A number that a double
cannot represent digit by digit is refused, because the service may store doubles. Nothing is rounded.
Thousands separators and decimal commas are not guessed: ``reader`` reads them as the profile says. Where it
says nothing and the input was perhaps written by a spreadsheet, it reads 1'234, and refuses what can be read
in two ways.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Callable

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


#: One sign and three digits after it: 1.250 is one and a quarter, or one thousand two hundred and fifty.
_TWO_WAYS = re.compile(r" *[+-]?[1-9][0-9]{0,2}\.[0-9]{3} *").fullmatch
_GROUP = "(?P<group>[ '\u00a0\u2009\u2019\u202f{}])[0-9]{{3}}(?:(?P=group)[0-9]{{3}})*"
#: A whole number in groups of three, between which no decimal sign can stand.
_SPACED = re.compile(rf" *[+-]?[1-9][0-9]{{0,2}}{_GROUP.format('')} *").fullmatch
#: By decimal sign: a number whose whole part is in groups of three, or not grouped.
_WRITTEN = {
    name: re.compile(
        rf" *([+-]?)([1-9][0-9]{{0,2}}{_GROUP.format(group)}|[0-9]+)"
        rf"(?:{sign}([0-9]+))?([eE][+-]?[0-9]+)? *"
    ).fullmatch
    for name, sign, group in (("point", r"\.", ","), ("comma", ",", "."))
}


def reader(decimal: str | None, *, asks: bool = False) -> Callable[[str], str]:
    """A function like ``canonical`` for numbers with this decimal sign: point, comma, or None if unknown.

    ``asks``: without a known sign, a number that can be read in two ways is refused, instead of the point
    being decimal.
    """
    if decimal is None:
        return _sure if asks else canonical
    written = _WRITTEN[decimal]

    def read(text: str) -> str:
        found = written(text)
        if found is None:
            raise Refused(
                "number-other-sign" if _NUMBER(text.strip(" ")) or _GROUPED(text) else "number-malformed"
            )
        sign, whole, _, fraction, exponent = found.groups("")
        digits = whole if whole.isdigit() else "".join(filter(str.isdigit, whole))
        return canonical(f"{sign}{digits}{'.' if fraction else ''}{fraction}{exponent}")

    return read


def _sure(text: str) -> str:
    if _TWO_WAYS(text):
        raise Refused("number-two-ways")
    return canonical(ungrouped(text))


def ungrouped(text: str) -> str:
    """A whole number without the spaces or apostrophes between its groups of three; another text as it is."""
    return "".join(re.findall("[+0-9-]", text)) if _SPACED(text) else text


def typed(text: str, decimal: str | None) -> str:
    """The text of a number that is not a text in its source, so that a ``reader`` reads it in one way.

    ``text`` has a decimal point and no groups.
    """
    if decimal == "comma" and "." in text:
        return text.replace(".", ",")
    return f"{text}0" if decimal is None and text[-4:-3] == "." and _TWO_WAYS(text) else text


def signs(text: str) -> str:
    """What a number's text tells of its decimal sign: point, comma, either, or "" if nothing."""
    if "." not in text and "," not in text:
        return ""
    if _TWO_WAYS(text.replace(",", ".")):
        return "either"
    return next((name for name, written in _WRITTEN.items() if written(text)), "")


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
