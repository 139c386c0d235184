"""What the scenario of a row says about its cells, and what dates the row.

A row without a date says what is true now, so it is dated with the beginning of the current *refresh period*.
The periods follow each other without gaps from 1970 on, so all runs agree on them. The period is part of the
row's key: an unchanged row is a duplicate until the period ends, and is then sent once more, before the
service deletes what it was told before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from irmcore.profile.kinds import KINDS, Scenario
from irmcore.profile.model import Profile
from irmcore.reasons import Refused
from irmcore.shaping import times

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND


def refresh_period(profile: Profile, now: float) -> str:
    """The date on which the current refresh period of the profile's rows began; "" if all have dates.

    ``now`` is in seconds since 1970.
    """
    scenarios = map(KINDS[profile.connector.kind].scenarios.__getitem__, profile.scenarios)
    began = [_beginning(scenario, int(now * _SECOND)) for scenario in scenarios if scenario.date is None]
    return times.canonical(max(began))[:10] if began else ""


def _beginning(scenario: Scenario, now: int) -> int:
    return now - now % (scenario.refresh_days * _DAY)


class _Rule(NamedTuple):
    """Positions of the columns that a scenario needs and does not use, and of its date.

    ``period`` is the beginning of the refresh period, in µs, if there is no date.
    """

    required: Sequence[int]
    unused: Sequence[int]
    date: int | None
    period: int


class ScenarioRows:
    """The rules of the scenarios of one profile, at one time."""

    def __init__(self, profile: Profile, now: float) -> None:
        """``now`` is in seconds since 1970."""
        scenarios = KINDS[profile.connector.kind].scenarios
        self._now = int(now * _SECOND)
        self._at = {column.maps_to: at for at, column in enumerate(profile.columns) if column.maps_to}
        roles = [column.role for column in profile.columns]
        self._scenario_at = roles.index("scenario") if "scenario" in roles else None
        self._rules = {value: self._rule(scenarios[name]) for name, value in profile.scenarios.items()}

    def _rule(self, scenario: Scenario) -> _Rule:
        return _Rule(
            [self._at[name] for name in scenario.required],
            [at for name, at in self._at.items() if name not in scenario.fields],
            self._at[scenario.date] if scenario.date else None,
            0 if scenario.date else _beginning(scenario, self._now),
        )

    def _rule_of(self, fields: Sequence[str]) -> _Rule:
        if self._scenario_at is None:
            return next(iter(self._rules.values()))
        return self._rules[fields[self._scenario_at]]

    def refusal(self, fields: Sequence[str]) -> tuple[int, str] | None:
        """The first column that its scenario refuses, and the reason code. ``fields`` are canonical texts."""
        rule = self._rule_of(fields)
        for at in rule.required:
            if not fields[at]:
                return at, "missing-value"
        return next(((at, "not-of-scenario") for at in rule.unused if fields[at]), None)

    def date(self, fields: Sequence[str]) -> tuple[int, int]:
        """What dates a row (µs), and the time at which its user is looked up."""
        rule = self._rule_of(fields)
        if rule.date is None:
            return rule.period, self._now
        found = times.parse(fields[rule.date], zone=None)
        return found, found

    def dates(self, columns: Sequence[Sequence[str]]) -> tuple[list[int], list[int]]:
        """The same for rows given column by column. Raises Refused if a row is refused."""
        found = []
        for fields in zip(*columns):
            refused = self.refusal(fields)
            if refused is not None:
                raise Refused(refused[1])
            found.append(self.date(fields))
        return [date for date, _ in found], [moment for _, moment in found]

    def periods(self, columns: Sequence[Sequence[str]], micros: Sequence[int]) -> list[str]:
        """What the keys of the rows have besides their fields: the period of a row without a date."""
        return [
            times.canonical(micro) if self._rule_of(fields).date is None else ""
            for fields, micro in zip(zip(*columns), micros)
        ]
