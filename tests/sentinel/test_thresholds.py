"""The advice of the workbook and of Splunk's macro is that of `irmexport thresholds` on the same rows.

The local engine runs the KQL, the tests' interpreter the SPL. Neither was run in Azure or Splunk.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from irmcli.main import main
from irmsentinel.content import artefacts, tables, workbooks
from irmsentinel.kql.engine import Engine

from tests.splunk_app import spl, spl_run
from tests.splunk_app.test_settings import APP, conf

FIRST = datetime(2026, 10, 7, tzinfo=UTC)  # a Wednesday: the first and the last week are not whole
NOW = (10, 20, 50)
#: (person, day) → events, at most a few dozen, since the engine gets each of them.
Counts = dict[tuple[str, datetime], int]
#: By threshold: the level, people a day, highest day, people a week, highest week, people in all.
Lines = dict[int, tuple[Any, ...]]


def counts(people: int, days: int, busy: float) -> Counts:
    """Few active days for each person, and many events on some of them."""
    draw = random.Random(29)  # noqa: S311 - made-up events
    return {
        (f"P{person}@contoso.com", FIRST + timedelta(days=day)): min(
            120, round(draw.paretovariate(0.8) * (1 + person % 5))
        )
        for person in range(people)
        for day in range(days)
        if draw.random() < busy
    }


def of_command(made: Counts, people: int, folder: Path) -> tuple[Lines, dict[str, int]]:
    """What the command counts, and the advised levels."""
    with (folder / "rows.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(
            ["UserPrincipalName", "ActivityDate", "Activity", "ActivityCount", "VolumeMB", "Details"]
        )
        lines.writerows((n, day.isoformat(), "UsbCopy", value, "", "") for (n, day), value in made.items())
    words = ["--outbox", str(folder), "thresholds", "daily-activities", str(folder / "rows.csv"), "--json"]
    words += ["--people", str(people), "--now", ",".join(map(str, NOW))]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    (found,) = json.loads(done.stdout)["indicators"]

    def few(count: int | None) -> str:
        return "<5" if count is None else str(count)

    return {
        int(line["threshold"]): (
            line["a_day"],
            few(line["most_a_day"]),
            line["a_week"],
            few(line["most_a_week"]) if line["a_week"] is not None else None,
            str(line["people"]),
        )
        for line in found["thresholds"]
    }, {level: int(step) for level, step in found["advised"].items()}


def of_workbook(made: Counts, people: int, now: Sequence[int] = NOW) -> list[tuple[Any, ...]]:
    """The rows of the workbook's tab."""
    draw = random.Random(1)  # noqa: S311 - made-up times
    events = [
        {
            "TimeGenerated": (day + timedelta(seconds=draw.randrange(86_400))).isoformat(),
            "Operation": "FileDownloaded",
            "UserId": name if draw.random() < 0.5 else name.upper(),
        }
        for (name, day), number in made.items()
        for _ in range(number)
    ]
    (table,) = (each for each in tables.load(artefacts.root() / "tables") if each.name == "OfficeActivity")
    (book,) = (each for each in workbooks.load() if each.name == "IRMExportHealth")
    chosen = {
        "People": str(people),
        "Now": ",".join(map(str, now)),
        "TimeRange:startISO": "2026-08-22T12:00Z",
    }
    with Engine() as engine:
        engine.insert(table, events)
        query = workbooks.filled(book.queries["thresholds"], chosen)
        return [tuple(row) for row in engine.run(query, now=datetime(2026, 11, 20, 12, tzinfo=UTC)).rows]


def of_macro(made: Counts, people: int, now: Sequence[int] = NOW) -> list[tuple[Any, ...]]:
    """The rows of Splunk's macro behind rows of a daily search."""
    macros = {name: dict(stanza) for name, stanza in conf(APP / "default" / "macros.conf").items()}
    rows = [
        {
            "UserPrincipalName": n,
            "ActivityDate": int(day.timestamp()),
            "Activity": "x",
            "ActivityCount": value,
        }
        for (n, day), value in made.items()
    ]
    text = f"Activity=x | `irmexport_thresholds({people}, {'/'.join(map(str, now))})`"
    return [tuple(row.values())[1:] for row in spl_run.run(spl.expanded(text, macros), rows)]


@pytest.mark.parametrize(
    ("people", "days", "busy", "limit"),
    [
        pytest.param(60, 30, 0.1, 10, id="weeks"),
        pytest.param(25, 30, 0.1, 5, id="fewer-people"),
        pytest.param(12, 30, 0.2, 10, id="levels-beyond-the-values"),
        pytest.param(30, 9, 0.3, 10, id="no-whole-week"),
        pytest.param(4, 30, 0.3, 10, id="four-people"),
    ],
)
def test_all_three_count_and_advise_the_same(
    people: int, days: int, busy: float, limit: int, tmp_path: Path
) -> None:
    """Each figure and each level; what fewer than five people reach is a level without figures."""
    made = counts(people, days, busy)
    expected, advised = of_command(made, limit, tmp_path)
    assert bool(advised) == (people >= 5 and days > 9)
    for rows in (of_workbook(made, limit), of_macro(made, limit)):
        levels = {part: int(row[0]) for row in rows for part in row[1].split(", ") if part}
        named = {level: step for level, step in levels.items() if not level.endswith(" now")}
        assert named == advised
        assert {levels.get(f"{name} now") for name in ("low", "medium", "high")} == set(NOW)
        shown = {int(row[0]): row[2:] for row in rows if row[-1] != "<5"}
        assert set(shown) == set(expected)
        for threshold, (a_day, highest, a_week, week, in_all) in shown.items():
            line = expected[threshold]
            assert abs(float(a_day) - line[0]) <= 0.051
            assert (str(highest), str(in_all)) == (line[1], line[4])
            if line[2] is not None:
                assert abs(float(a_week) - line[2]) <= 0.051
                assert str(week) == line[3]
        for row in rows:
            assert row[-1] != "<5" or {row[3], row[5]} <= {"<5"}


def test_a_threshold_that_is_on_no_step_has_no_line() -> None:
    """A value of 120 is on the step 120, and one of 1,249 on 1,200: neither tells who reaches 125 or 1,230.

    The command refuses such a threshold.
    """
    made = counts(6, 9, 0.3)
    for rows in (of_workbook(made, 10, (10, 125, 1230)), of_macro(made, 10, (10, 125, 1230))):
        named = {row[1]: int(row[0]) for row in rows if row[1]}
        assert named == {"low now": 10}
