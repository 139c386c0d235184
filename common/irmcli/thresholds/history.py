"""Count the rows of the past by indicator, day, person and step, in one pass and in any order.

Promised: memory grows by two bytes for each person, indicator and day, not with the rows. People are numbers
here, by the order in which they come, and what ``History.counts`` returns has no person.
A person's value of a day is the largest of their rows: the service compares a day's count, and whether it
adds rows up is not published. UTC days; weeks begin on Monday.
"""

from __future__ import annotations

import datetime
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
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


class _Days:
    """One indicator while it is counted: by day, the step of each person, and the rows of each step."""

    def __init__(self) -> None:
        self.people: defaultdict[int, array[int]] = defaultdict(lambda: array("h"))
        self.rows: defaultdict[int, Counter[int]] = defaultdict(Counter)
        self.whole = True

    def add(self, day: int, person: int, step: int) -> None:
        self.rows[day][step] += 1
        people = self.people[day]
        if person >= len(people):
            people.extend([NONE] * (person + 1 - len(people)))
        people[person] = max(people[person], step)


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
        self._days: dict[str, int] = {}
        self._steps: dict[str, tuple[int, bool]] = {}
        self._found: defaultdict[tuple[str, str], _Days] = defaultdict(_Days)

    def add(self, fields: Sequence[str]) -> None:
        """Count a row, whose fields are canonical texts."""
        name, date = fields[self._user_at], fields[self._time_at][:10]
        person = self._people.get(name)
        if person is None:
            person = self._people[name] = self._people.setdefault(name.casefold(), len(self._people))
        if (day := self._days.get(date)) is None:
            day = self._days[date] = datetime.date.fromisoformat(date).toordinal()
        source = fields[self._source_at] if self._source_at is not None else ""
        for at in self._thresholds:
            if (text := fields[at]) == "":
                continue
            if (known := self._steps.get(text)) is None:
                known = self._steps[text] = step_of(text), "." not in text
            counted = self._found[source, self._headers[at]]
            counted.add(day, person, known[0])
            counted.whole &= known[1]

    def counts(self) -> Counts:
        """What was counted. At least one row must have been added."""
        first, last = min(self._days.values()), max(self._days.values())
        monday = first + -(first - 1) % 7  # the ordinal of a Monday is 1, 8, …
        weeks = [range(day, day + 7) for day in range(monday, last - 5, 7)]
        one = len(self._thresholds) == 1
        return Counts(
            datetime.date.fromordinal(first),
            datetime.date.fromordinal(last),
            [datetime.date.fromordinal(week[0]) for week in weeks],
            [
                _counted(source if source and one else f"{source} {header}".strip(), days, weeks)
                for (source, header), days in sorted(self._found.items())
            ],
        )

    def __bool__(self) -> bool:
        """Whether any row had a value of a threshold column."""
        return bool(self._found)


def _counted(name: str, counted: _Days, weeks: Sequence[range]) -> Indicator:
    size = max(map(len, counted.people.values()))
    for people in counted.people.values():
        people.extend([NONE] * (size - len(people)))
    days = {day: Counter(people) for day, people in counted.people.items()}
    values: Counter[int] = Counter()
    for steps in days.values():
        values.update(steps)
    return Indicator(
        name=name,
        whole=counted.whole,
        people=_people(counted.people.values()),
        values=Tail(values),
        days={day: Tail(steps) for day, steps in days.items()},
        rows={day: Tail(steps) for day, steps in counted.rows.items()},
        weeks=[_people(counted.people[day] for day in week if day in days) for week in weeks],
    )


def _people(days: Iterable[array[int]]) -> Tail:
    """The people of several days by their largest value."""
    arrays = list(days)
    return Tail(Counter(map(max, *arrays) if len(arrays) > 1 else arrays[0] if arrays else ()))
