"""An indicator's figures as a person reads them, the same on the page and on the terminal."""

from collections.abc import Mapping
from typing import Any

from irmcli.thresholds.advice import FEWEST, Advice, Reached
from irmcli.thresholds.steps import number_of, text_of

COLUMNS = (
    *("Threshold", "Level", "People a day", "Highest day", "Rows that day"),
    *("People a week", "Highest week", "People in all"),
)


def count(value: int | None) -> str:
    """A count of people or rows."""
    return f"<{FEWEST}" if value is None else f"{value:,}"


def _average(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def cells(one: Reached, marks: Mapping[int, str]) -> tuple[str, ...]:
    """A threshold's line, for ``COLUMNS``. ``marks`` names the levels by their steps."""
    return (
        text_of(one.step),
        marks.get(one.step, ""),
        _average(one.a_day),
        count(one.most_a_day),
        count(one.rows_a_day),
        _average(one.a_week),
        "-" if one.a_week is None else count(one.most_a_week),
        count(one.people),
    )


def marks(advice: Advice, now: Mapping[str, int]) -> dict[int, str]:
    """The names of the advised levels and of those that are set ``now``, by their steps."""
    named: dict[int, list[str]] = {}
    for name, step in advice.levels.items():
        named.setdefault(step, []).append(name)
    for name, step in now.items():
        named.setdefault(step, []).append(f"{name} now")
    return {step: ", ".join(names) for step, names in named.items()}


def _advised(advice: Advice) -> str:
    """The advised levels and how stable they are, or why there are none."""
    if not advice.levels:
        missing = [f"{FEWEST} people with a value above 0"] if advice.few else []
        if advice.until is not None:
            missing.insert(0, f"a whole week, Monday to Sunday: there is one with rows up to {advice.until}")
        return f"No advice yet. Missing: {', and '.join(missing)}."
    parts = []
    for name, step in advice.levels.items():
        low, high = advice.weeks[name]
        weeks = f" ({text_of(low)} to {text_of(high)} by single weeks)" if low != high else ""
        parts.append(f"{name} {text_of(step)}{weeks}")
    least = " The rule would allow more people for low than there are." if advice.least else ""
    return f"Advised: {', '.join(parts)}.{least}"


def _values(advice: Advice) -> str:
    """How a person's day is distributed."""
    known = [f"{share:.0%}: {text_of(step)}" for share, step in advice.quantiles.items() if step is not None]
    return f"Largest row of a person's day, by share of days: {', '.join(known)}" if known else ""


def changes(advice: Advice, now: Mapping[str, int]) -> list[str]:
    """What the advised levels would change, a sentence for each level."""
    by_step = {one.step: one for one in advice.thresholds}

    def week(step: int) -> str:
        found = by_step.get(step)
        if found is None:
            return f"fewer than {FEWEST} people in all"
        return f"{_average(found.a_week)} people a week"

    return [
        f"{name} {text_of(step)} instead of {text_of(set_now)}: {week(step)} instead of {week(set_now)}"
        for name, step in advice.levels.items()
        if (set_now := now.get(name, step)) != step
    ]


def sentences(advice: Advice, now: Mapping[str, int]) -> list[str]:
    """The distribution, the advice, and what it would change."""
    return [text for text in (_values(advice), _advised(advice), *changes(advice, now)) if text]


def document(advice: Advice, now: Mapping[str, int]) -> dict[str, Any]:
    """The same as JSON values, with thresholds as numbers."""
    return {
        "indicator": advice.indicator.name,
        "advised": {name: _number(step) for name, step in advice.levels.items()},
        "single_weeks": {name: [_number(step) for step in steps] for name, steps in advice.weeks.items()},
        "quantiles": {f"{share:.0%}": _number(step) for share, step in advice.quantiles.items()},
        "too_few_people": advice.few,
        "whole_week_with_rows_up_to": advice.until and str(advice.until),
        "low_is_the_least_value": advice.least,
        "thresholds": [
            {"threshold": _number(one.step), **{k: v for k, v in vars(one).items() if k != "step"}}
            for one in advice.thresholds
        ],
        "people_reaching_low_by_week": advice.by_week,
        "changes": changes(advice, now),
    }


def _number(step: int | None) -> float | None:
    return None if step is None else float(number_of(step))
