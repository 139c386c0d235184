"""What each threshold of an indicator would bring, and which ones we would start with. Pure functions.

The rule is ours: Microsoft publishes none for custom indicators. *high* is the least threshold that at most
``people`` people reach in an average week, *medium* the same for three times as many, *low* for ten times.

No figure is about fewer than ``FEWEST`` people: a threshold that fewer reach in the whole period is left out,
and a count of a day or a week is None where fewer stand behind it.
"""

import datetime
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from irmcli.thresholds.history import Counts, Indicator, Tail
from irmcli.thresholds.steps import ZERO, is_whole

#: The fewest people that a figure may be about.
FEWEST = 5

#: The people who may reach a level in an average week, as a multiple of those for the highest level.
LEVELS = {"low": 10, "medium": 3, "high": 1}
_QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Reached:
    """What a threshold brings: people who reach it, and the rows that do on the day with the most of them.

    Averages are over all days and all whole weeks of the period; None if there is no whole week.
    """

    step: int
    people: int
    a_day: float
    most_a_day: int | None
    rows_a_day: int | None
    a_week: float | None
    most_a_week: int | None


@dataclass(frozen=True)
class Advice:
    """``levels`` has the advised step of each level, ``weeks`` the least and the largest by single weeks.

    Both are empty if there is no whole week, or fewer than ``FEWEST`` people: ``few``. ``until`` is the
    last day of the first whole week, None if the rows have one. ``quantiles``: the step of a
    person's day, by share of the days with a row; None where too few people reach it. ``by_week`` has the
    people who reach *low* in each whole week. ``least``: the rule would allow more people for *low* than
    there are.
    """

    indicator: Indicator
    quantiles: Mapping[float, int | None]
    levels: Mapping[str, int]
    weeks: Mapping[str, tuple[int, int]]
    least: bool
    thresholds: Sequence[Reached]
    by_week: Sequence[int | None]
    few: bool
    until: datetime.date | None


def advise(indicator: Indicator, counts: Counts, people: int, more: Iterable[int] = ()) -> Advice:
    """The advice for one indicator of ``counts``; ``more`` are steps to show beside the usual ones."""
    grid = _grid(indicator)
    levels: dict[str, int] = {}
    weeks: dict[str, tuple[int, int]] = {}
    few = not grid or indicator.people.at(grid[0]) < FEWEST
    if indicator.weeks and not few:
        levels = _levels(indicator.weeks, grid, people)
        alone = [_levels([week], grid, people) for week in indicator.weeks]
        weeks = {name: (min(one[name] for one in alone), max(one[name] for one in alone)) for name in LEVELS}
    # 1, 2 and 5 of each power of ten, besides what was asked for.
    series = (step for step in grid if step % 90 in (0, 10, 40))
    shown = sorted({*series, *levels.values(), *more})
    return Advice(
        indicator=indicator,
        quantiles={share: _quantile(indicator, share) for share in _QUANTILES},
        levels=levels,
        weeks=weeks,
        least=bool(levels) and levels["low"] == grid[0],
        thresholds=[
            _reached(indicator, step, counts.days) for step in shown if indicator.people.at(step) >= FEWEST
        ],
        by_week=[_enough(week.at(levels["low"])) for week in indicator.weeks] if levels else [],
        few=few,
        until=None if counts.mondays else counts.first + datetime.timedelta(-counts.first.weekday() % 7 + 6),
    )


def _reached(indicator: Indicator, step: int, days: int) -> Reached:
    by_day = [tail.at(step) for tail in indicator.days.values()]
    rows, behind = max((tail.at(step), indicator.days[day].at(step)) for day, tail in indicator.rows.items())
    weeks = [week.at(step) for week in indicator.weeks]
    return Reached(
        step=step,
        people=indicator.people.at(step),
        a_day=sum(by_day) / days,
        most_a_day=_enough(max(by_day)),
        rows_a_day=rows if behind >= FEWEST else None,
        a_week=sum(weeks) / len(weeks) if weeks else None,
        most_a_week=_enough(max(weeks)) if weeks else None,
    )


def rows_together(advice: Sequence[Advice], level: str) -> int | None:
    """The rows of all indicators that reach this level on the day with the most of them.

    None if no indicator has ``FEWEST`` people there: all rows may then be of fewer.
    """
    chosen = [(one.indicator, one.levels[level]) for one in advice if level in one.levels]
    found = (
        [(one.rows[day].at(step), one.days[day].at(step)) for one, step in chosen if day in one.rows]
        for day in {day for one, _ in chosen for day in one.rows}
    )
    rows, behind = max(((sum(n for n, _ in day), max(p for _, p in day)) for day in found), default=(0, 0))
    return rows if behind >= FEWEST or not rows else None


def _enough(people: int) -> int | None:
    return people if people >= FEWEST or people == 0 else None


def _grid(indicator: Indicator) -> list[int]:
    """The steps that may be advised, in order: from the least value above 0 to some beyond the largest."""
    steps = [step for step in indicator.values.steps if step > ZERO]
    if not steps:
        return []
    # A decade beyond: whole numbers below 10 are up to 27 steps apart, and three levels need three.
    return [step for step in range(steps[0], steps[-1] + 91) if not indicator.whole or is_whole(step)]


def _levels(weeks: Sequence[Tail], grid: Sequence[int], people: int) -> dict[str, int]:
    """The step of each level by the rule, each above the one before it."""
    levels: dict[str, int] = {}
    at = -1
    for name, times in LEVELS.items():
        most = people * times * len(weeks)
        found = bisect_left(grid, -most, key=lambda step: -sum(week.at(step) for week in weeks))
        at = max(at + 1, found)
        levels[name] = grid[at]
    return levels


def _quantile(indicator: Indicator, share: float) -> int | None:
    """The nearest rank, by steps."""
    values = indicator.values
    total = values.at(values.steps[0])
    rank = math.ceil(share * total)
    at = bisect_left(values.steps, rank, key=lambda step: total - values.at(step + 1))
    step = values.steps[at]
    return step if indicator.people.at(step) >= FEWEST else None
