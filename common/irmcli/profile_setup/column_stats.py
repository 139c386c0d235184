"""Counts of what the values of a sample's columns look like. Pure; keeps only a few distinct values."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC

from irmcore.reasons import Refused
from irmcore.shaping import numbers, times, upn, written_times
from irmcore.shaping.json_records import Number

#: The number of rows to read: the guesses do not improve with more.
ROWS = 10_000
#: The share of a column's values that must have a form, because a sample may have a few bad rows.
NEARLY_ALL = 0.9
#: A source column has few distinct values, because each is typed into the wizard.
MOST_SOURCES = 20

_LEADING_ZERO = re.compile(r"0[0-9]+").fullmatch
_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?([ \u202f]?[AaPp]\.?[Mm]\.?)?").fullmatch
_GUID = re.compile(r"\{?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?").fullmatch
_DAY = re.compile(r"[0-9./-]{6,10}([T ]0?0:00(:00([.,]0+)?)?)?").fullmatch
_NUMBERS: dict[str, Callable[[str], str]] = {
    **{sign: numbers.reader(sign) for sign in ("point", "comma")},
    "": numbers.reader(None, asks=True),
    "either": str,
}
#: Values of a column that are remembered, to show how they are read.
EXAMPLES = 3
# Numbers of this width in every row are identifiers; narrower ones are if nearly every row has its own.
_SURE_WIDTH = 6
_LIKELY_WIDTH = 4
_ENOUGH_ROWS = 3


@dataclass
class ColumnStats:
    """Counts of what the values of one column are; ``distinct`` is None for more than 20 different values."""

    header: str
    filled: int = 0
    users: int = 0
    numbers: int = 0
    labels: int = 0  # digits with leading zeros, which a number would lose
    forms: dict[str, int] = field(default_factory=dict)  # the number of times in each form
    only: dict[str, int] = field(default_factory=dict)  # the first line of a date in this order alone
    local: int = 0  # times without an offset
    days: int = 0  # dates without a time of day
    clocks: int = 0  # times of day without a date
    signs: dict[str, int] = field(default_factory=dict)  # the first line that tells this decimal sign
    examples: list[str] = field(default_factory=list)  # the first different values
    distinct: set[str] | None = field(default_factory=set)
    widths: set[int] = field(default_factory=set)  # of values that are only digits; 0 for any other value
    hashes: set[int] = field(default_factory=set)  # of values that are only digits
    digest: int = 0  # of all values in their order, ignoring case

    def add(self, value: str, line: int) -> None:
        self.digest = hash((self.digest, value.strip().casefold()))
        if not value:
            return
        self.filled += 1
        self.users += _good(upn.canonical, value)
        if value not in self.examples and len(self.examples) < EXAMPLES:
            self.examples.append(value)
        typed = isinstance(value, Number)
        sign = "" if typed else numbers.signs(value)
        if sign:
            self.signs.setdefault(sign, line)
        self.numbers += _good(numbers.canonical if typed else _NUMBERS[sign], value)
        digits = numbers.ungrouped(value.strip())
        self.clocks += _CLOCK(digits) is not None
        self.days += _DAY(digits) is not None
        self.labels += _LEADING_ZERO(digits) is not None
        if digits.isdecimal():
            self.widths.add(len(digits))
            self.hashes.add(hash(digits))
        else:
            self.widths.add(0)
        forms, local = _time_forms(value)
        self.local += local
        for form in forms:
            self.forms[form] = self.forms.get(form, 0) + 1
        if len(forms) == 1:
            self.only.setdefault(forms[0], line)
        if self.distinct is not None:
            self.distinct.add(value)
            if len(self.distinct) > MOST_SOURCES:
                self.distinct = None

    def nearly_all(self, number: int) -> bool:
        return self.filled > 0 and number >= NEARLY_ALL * self.filled

    @property
    def iso_times(self) -> int:
        return self.forms.get("iso8601", 0) + self.forms.get("iso8601-local", 0)

    @property
    def epoch_times(self) -> int:
        return max(self.forms.get(form, 0) for form in _EPOCHS.values())

    @property
    def written_times(self) -> int:
        """Dates with the order of their numbers, as spreadsheets write them."""
        return max(self.forms.get(order, 0) for order in written_times.ORDERS)

    @property
    def orders(self) -> list[str]:
        """The orders of day, month and year that the dates allow; more than one if nothing tells."""
        most = self.written_times
        found = [order for order in written_times.ORDERS if most and self.forms.get(order) == most]
        return found + [order for order in written_times.ORDERS if order not in found and order in self.only]

    @property
    def looks_like_identifiers(self) -> bool:
        """Whether the numbers have leading zeros, or all have one width that amounts hardly ever have."""
        if self.labels:
            return True
        width = next(iter(self.widths)) if len(self.widths) == 1 else 0
        own = self.filled >= _ENOUGH_ROWS and self.nearly_all(len(self.hashes))
        return width >= _SURE_WIDTH or (width >= _LIKELY_WIDTH and own)


def count_values(
    header: Sequence[str], rows: Iterable[Sequence[str]], lines: Iterable[int] = range(ROWS)
) -> list[ColumnStats]:
    """Counts of what the values of each column are, over at most ``ROWS`` rows; ``lines`` are the rows'."""
    found = [ColumnStats(name) for name in header]
    for line, row, _ in zip(lines, rows, range(ROWS), strict=False):
        for column, value in zip(found, row, strict=False):
            column.add(value, line)
    return found


def lacks_header(header: Sequence[str]) -> bool:
    """Whether the first line is a row instead of a header; its values would become column names."""
    return any(
        _good(upn.canonical, cell)
        or "\\" in cell
        or "://" in cell
        or _CLOCK(cell)
        or _GUID(cell)
        or _time_forms(cell)[0]
        or numbers.signs(cell)
        or _good(numbers.canonical, cell)
        for cell in header
    )


def _good(convert: Callable[[str], object], value: str) -> bool:
    try:
        convert(value)
    except Refused:
        return False
    return True


#: Forms of times that are only digits, by their number.
_EPOCHS = {10: "epoch", 13: "epoch_ms", 16: "epoch_us"}


def _time_forms(value: str) -> tuple[list[str], bool]:
    """The time formats that ``value`` matches, and whether it is a time without an offset."""
    value = value.strip(" ")
    if value.replace(".", "", 1).isdigit():
        form = _EPOCHS.get(len(value.partition(".")[0]))
        found = [form] if form and _good(lambda v: times.parse(v, zone=None, form=form), value) else []
        return found, False
    if _good(lambda v: times.parse(v, zone=None, form="iso8601"), value):
        return ["iso8601"], False
    if _good(lambda v: times.parse(v, zone=UTC, form="iso8601"), value):
        return ["iso8601-local"], True
    orders = [order for order in written_times.orders(value) if not ("." in value[:3] and order == "mdy")]
    local = any(not _good(lambda v: times.parse(v, zone=None, form=order), value) for order in orders[:1])  # noqa: B023
    return orders, local
