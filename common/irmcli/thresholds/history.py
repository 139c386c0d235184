"""Count the rows of the past by indicator, day, person and step, in one pass and in any order.

Promised: memory grows by two bytes for each person, indicator and day, not with the rows. People are numbers
here, by the order in which they come, and what ``History.counts`` returns has no person.
A person's value of a day is the largest of their rows: the service compares a day's count, and whether it
adds rows up is not published. UTC days; weeks begin on Monday.
"""

import datetime
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from irmcore.profile import Profile

from irmcli.thresholds.steps import NONE, step_of


class Tail:
    """How many values reach a step."""

    def __init__(self, steps: Mapping[int, int]) -> None:
        """``steps`` has the number of values by the step that they stand on."""
        self.steps = sorted(step for step in steps if step != NONE)
        self._sums = [*accumulate((steps[step] for step in reversed(self.steps)), initial=0)][::-1]

    def at(self, step: int) -> int:
        """The number of values on this step and above."""
        return self._sums[bisect_left(self.steps, step)]


@dataclass(frozen=True)
class Indicator:
    """The counts of one custom indicator. ``whole``: all its values are whole numbers.

    ``people`` has the people of the whole period by their largest value, ``values`` the largest value of each
    person and day; ``days`` and ``rows`` have the people and the rows of each day that has any, ``weeks`` the
    people of each whole week of the period.
    """

    name: str
    whole: bool
    people: Tail
    values: Tail
    days: Mapping[int, Tail]
    rows: Mapping[int, Tail]
    weeks: Sequence[Tail]


@dataclass(frozen=True)
class Counts:
    """The first and the last day with a row, the Mondays of the whole weeks between, the indicators."""

    first: datetime.date
    last: datetime.date
    mondays: Sequence[datetime.date]
    indicators: Sequence[Indicator]

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


class _Day:
    """A day of one indicator while it is counted: the rows of each step, and the step of each person."""

    def __init__(self, people: int) -> None:
        self.rows: defaultdict[int, int] = defaultdict(int)
        self.people = array("h", [NONE]) * people


class History:
    """Counts rows of a profile. A row that is the same as another must be added once."""

    def __init__(self, profile: Profile) -> None:
        """``profile`` has a threshold column."""
        roles = [column.role for column in profile.columns]
        self._user_at, self._time_at = roles.index("user"), roles.index("time")
        self._source_at = roles.index("source") if "source" in roles else None
        self._thresholds = [at for at, role in enumerate(roles) if role == "threshold"]
        self._headers = [column.header for column in profile.columns]
        self._people: dict[str, int] = {}
        self._steps: dict[str, int] = {}
        self._dates: set[str] = set()
        #: By source value, threshold column and date. One lookup a row is what makes a year fast.
        self._days: dict[tuple[str, str, str], _Day] = {}
        self._parts: set[tuple[str, str]] = set()

    def add(self, fields: Sequence[str]) -> None:
        """Count a row, whose fields are canonical texts."""
        name, date = fields[self._user_at], fields[self._time_at][:10]
        person = self._people.get(name)
        if person is None:
            person = self._people[name] = self._people.setdefault(name.casefold(), len(self._people))
        self._dates.add(date)
        source = fields[self._source_at] if self._source_at is not None else ""
        for at in self._thresholds:
            if (text := fields[at]) == "":
                continue
            if (step := self._steps.get(text)) is None:
                step = self._steps[text] = step_of(text)
            indicator = source, self._headers[at], date
            if (day := self._days.get(indicator)) is None:
                day = self._days[indicator] = _Day(len(self._people))
            if "." in text:
                self._parts.add(indicator[:2])
            day.rows[step] += 1
            people = day.people
            if person >= len(people):
                people.extend([NONE] * (len(self._people) - len(people)))
            if people[person] < step:  # noqa: PLR1730 - max() takes twice as long
                people[person] = step

    def counts(self) -> Counts:
        """What was counted. At least one row must have been added."""
        day_of = {date: datetime.date.fromisoformat(date).toordinal() for date in self._dates}
        first, last = min(day_of.values()), max(day_of.values())
        monday = first + -(first - 1) % 7  # the ordinal of a Monday is 1, 8, …
        mondays = range(monday, last - 5, 7)
        one = len(self._thresholds) == 1
        found: defaultdict[tuple[str, str], dict[int, _Day]] = defaultdict(dict)
        for (source, header, date), day in self._days.items():
            found[source, header][day_of[date]] = day
            day.people.extend([NONE] * (len(self._people) - len(day.people)))
        return Counts(
            datetime.date.fromordinal(first),
            datetime.date.fromordinal(last),
            [datetime.date.fromordinal(day) for day in mondays],
            [
                _counted(
                    source if source and one else f"{source} {header}".strip(),
                    days,
                    mondays,
                    whole=(source, header) not in self._parts,
                )
                for (source, header), days in sorted(found.items())
            ],
        )

    def __bool__(self) -> bool:
        """Whether any row had a value of a threshold column."""
        return bool(self._days)


def _counted(name: str, counted: Mapping[int, _Day], mondays: range, *, whole: bool) -> Indicator:
    steps = {day: Counter(one.people) for day, one in counted.items()}
    values: Counter[int] = Counter()
    for of_day in steps.values():
        values.update(of_day)
    weeks = [
        _largest([counted[day].people for day in range(monday, monday + 7) if day in counted])
        for monday in mondays
    ]
    edges = [
        one.people for day, one in counted.items() if not mondays or not mondays[0] <= day < mondays[-1] + 7
    ]
    return Indicator(
        name=name,
        whole=whole,
        people=Tail(Counter(_largest([*filter(None, weeks), *edges]))),
        values=Tail(values),
        days={day: Tail(of_day) for day, of_day in steps.items()},
        rows={day: Tail(one.rows) for day, one in counted.items()},
        weeks=[Tail(Counter(week)) for week in weeks],
    )


def _largest(days: Sequence[Sequence[int]]) -> Sequence[int]:
    """The largest step of each person; empty without a day."""
    return list(map(max, *days)) if len(days) > 1 else days[0] if days else ()
