"""Counts of shaped rows: people, and rows from before the look-back."""

from __future__ import annotations

from irmcore.profile import parse, shipped_text
from irmcore.shaping.row_counts import RowCounts
from irmcore.shaping.times import canonical

from tests.common.irmcore.profiles import profile

DAY = 86_400
NOW = 1_770_000_000
PROFILE = parse(shipped_text("hr"), "hr")


def at(days: float) -> str:
    """The canonical time so many days before NOW."""
    return canonical(int((NOW - days * DAY) * 1_000_000))


def test_rows_before_the_look_back_are_counted() -> None:
    """90 days ago is within; a second more is not."""
    counts = RowCounts(profile(), NOW)
    for days in (0, 90, 90 + 1 / DAY, 400):
        counts.add(("sara@contoso.com", at(days), "1", ""))
    assert (counts.rows, counts.old) == (4, 2)
    assert counts.old_text().startswith("2 of 4 rows are older than 90 days")
    assert RowCounts(profile(), NOW).old_text() == ""


def test_an_hr_row_has_the_age_of_its_scenarios_date() -> None:
    """The last working day of a resignation may be long in the future."""
    counts = RowCounts(PROFILE, NOW)
    rest = ("", "", "", "", "")
    counts.add(("Resignation", "s@contoso.com", at(91), at(-30), *rest))
    counts.add(("Job level change", "s@contoso.com", "", "", at(1), *rest[1:]))
    assert counts.old == 1


def test_people_are_counted_once() -> None:
    """Twenty rows of one person bring one person into scope."""
    counts = RowCounts(PROFILE, NOW)
    for number in range(6_001):
        counts.add(("Job level change", f"u{number % 6_000}@contoso.com", "", "", at(1), "", "", "", ""))
    assert {one.limit.name: one.number for one in counts.findings()} == {
        "users: Data leaks by risky users": 6_000,
        "users: Security policy violations by risky users": 6_000,
    }
