"""The thresholds that are considered, as integers: all numbers above 0 with at most two significant digits.

A value stands on the highest step that it reaches, so counts by step are exact for each of these thresholds
and keep no value as it was. Steps are in the order of their numbers; between 1 and 10 there are 90.
"""

from decimal import Decimal

#: No row, and a value that reaches no threshold: 0 or less. Every step is larger.
NONE, ZERO = -32_768, -32_767


def step_of(text: str) -> int:
    """The highest step that a canonical number reaches; ``ZERO`` if it reaches none."""
    value = Decimal(text)
    if value <= 0:
        return ZERO
    first, second = (*value.as_tuple().digits, 0)[:2]
    return value.adjusted() * 90 + first * 10 + second - 10


def number_of(step: int) -> Decimal:
    """The threshold of a step; 0 for ``ZERO``."""
    if step == ZERO:
        return Decimal(0)
    power, digits = divmod(step, 90)
    return Decimal(digits + 10).scaleb(power - 1)


def text_of(step: int) -> str:
    """The threshold as people write it: 1,200 or 0.85."""
    number = number_of(step)
    return f"{number:,.0f}" if _whole(number) else f"{number.normalize():f}"


def is_whole(step: int) -> bool:
    """Whether the threshold is a whole number."""
    return _whole(number_of(step))


def _whole(number: Decimal) -> bool:
    return number == number.to_integral_value()
