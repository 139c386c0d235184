"""Rules and hunting queries whose rows arrive late, early, twice and out of order."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from irmsentinel.content import rules

from tests.sentinel.fixtures import Case, cases, holds, run

FIRING = [case for case in cases() if case.rows and case.file.parent.name in {rules.ANALYTIC, rules.HUNTING}]
#: The firing case of each rule and query with the most rows in its tables.
WIDEST = {
    case.file.stem: case
    for case in sorted(FIRING, key=lambda case: sum(len(rows) for rows in case.tables.values()))
}
#: The first firing case of each rule that reports the rows of an hour.
HOURLY = {
    case.call: case
    for case in reversed(FIRING)
    if case.call
    in {
        "IRMAlertAndRiskySignin",
        "IRMAlertEscalatedOrReopened",
        "IRMAlertThenSensitiveChange",
        "IRMNewHighSeverityAlert",
    }
}
LATE = timedelta(minutes=90)


def arriving(row: Mapping[str, Any], after: timedelta) -> dict[str, Any]:
    """The row, ingested that long after its time."""
    time: datetime = row["TimeGenerated"]
    return {**row, "_IngestionTime": row.get("_IngestionTime", time) + after}


def delivered(case: Case, after: timedelta) -> Case:
    """The case with every row ingested that long after its time."""
    return replace(
        case, tables={name: [arriving(row, after) for row in rows] for name, rows in case.tables.items()}
    )


@pytest.mark.parametrize("case", WIDEST.values(), ids=list(WIDEST))
def test_rows_delivered_twice_and_out_of_order_change_nothing(case: Case) -> None:
    """A second delivery of every row a day later, all rows in reverse order, gives the same result."""
    again = replace(
        case,
        tables={
            name: [*(arriving(row, timedelta(days=1)) for row in reversed(rows)), *reversed(rows)]
            for name, rows in case.tables.items()
        },
    )
    given = run(again)
    assert holds(again, given), given


@pytest.mark.parametrize("case", HOURLY.values(), ids=list(HOURLY))
def test_a_late_row_is_reported_once_when_it_arrives(case: Case) -> None:
    """Rows 90 minutes late are reported in the hour in which they arrive, and neither earlier nor again."""
    ids = replace(case, columns=["AlertId"])
    late = delivered(ids, LATE)
    expected = sorted(run(ids))
    assert sorted(run(replace(late, now=case.now + LATE))) == expected
    for other in (timedelta(0), LATE + timedelta(hours=1)):
        reported = run(replace(late, now=case.now + other))
        assert not [row for row in reported if row in expected]


@pytest.mark.parametrize("case", HOURLY.values(), ids=list(HOURLY))
def test_a_row_of_the_future_is_reported_when_its_time_comes(case: Case) -> None:
    """Rows ingested half an hour before their own time are reported as if they had come in time."""
    early = delivered(case, -timedelta(minutes=30))
    given = run(early)
    assert holds(early, given), given
