"""`irmexport thresholds`: numbers as of a plain count, advice by the rule, and nobody in the output."""

from __future__ import annotations

import csv
import datetime
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from irmcli.main import main
from irmcli.thresholds.steps import ZERO, number_of, step_of, text_of
from irmcore.profile import shipped_text

FIRST = datetime.date(2025, 11, 26)  # a Wednesday: the first and the last week are not whole
JOB = "b8be4a7d-e338-43eb-a69e-c513cd458eb1"
HEADER = ("UserPrincipalName", "ActivityDate", "Activity", "ActivityCount", "VolumeMB", "Details")
Row = tuple[str, datetime.date, str, float]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in a directory of its own."""
    monkeypatch.setenv("IRMEXPORT_PROFILES", str(tmp_path))
    monkeypatch.setenv("IRMEXPORT_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(main, ["thresholds", *args], catch_exceptions=False)


def year(people: int = 120, days: int = 365) -> list[Row]:
    """Few active days for each person, most of them small; several rows of a day now and then."""
    draw = random.Random(29)  # noqa: S311 - made-up rows
    rows: list[Row] = []
    for person in range(people):
        for activity in ("BoxDownload", "WebUpload", "UsbCopy"):
            for day in range(days):
                while draw.random() < 0.06:
                    value = round(draw.paretovariate(0.9) * (1 + person % 7))
                    date = FIRST + datetime.timedelta(days=day)
                    rows.append((f"person{person}@contoso.com", date, activity, value))
    return sorted(set(rows), key=lambda row: (row[1], row[0], row[2], row[3]))


def write(path: str, rows: list[Row]) -> str:
    """A file of the profile daily-activities."""
    with Path(path).open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(HEADER)
        lines.writerows(
            (person, f"{day}T00:00:00Z", activity, value, "", "") for person, day, activity, value in rows
        )
    return path


def document(run: Callable[..., Result], *args: str) -> dict[str, Any]:
    """The JSON document of a command that succeeds."""
    done = run(*args, "--json")
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def of(found: dict[str, Any], name: str) -> dict[str, Any]:
    """The document of one indicator."""
    return next(one for one in found["indicators"] if one["indicator"] == name)


def shown(count: int) -> int | None:
    """A count of people as the document has it."""
    return count if count == 0 or count >= 5 else None


def test_the_numbers_of_a_year_are_those_of_a_plain_count(run: Callable[..., Result]) -> None:
    """Each figure of each threshold, the quantiles and the limit's rows, counted here from the rows alone."""
    rows = year()
    half = len(rows) // 2
    write("first.csv", rows[: half + 50])
    write("second.csv", rows[half:])  # 50 rows are in both files
    found = document(run, "daily-activities", "first.csv", "second.csv")
    last = max(row[1] for row in rows)
    first = min(row[1] for row in rows)
    assert (found["rows"], found["first"], found["last"]) == (len(rows), str(first), str(last))
    mondays = [
        day
        for day in (first + datetime.timedelta(days=n) for n in range((last - first).days - 5))
        if day.weekday() == 0
    ]
    assert found["weeks"] == len(mondays) == 51
    assert len(found["indicators"]) == 3
    for one in found["indicators"]:
        mine = [row for row in rows if row[2] == one["indicator"]]
        assert len(one["thresholds"]) > 8
        for line in one["thresholds"]:
            over = [row for row in mine if row[3] >= line["threshold"]]
            by_day = {day: {row[0] for row in over if row[1] == day} for day in {row[1] for row in mine}}
            most = max((sum(row[1] == day for row in over), len(people)) for day, people in by_day.items())
            weeks = [
                len({row[0] for row in over if monday <= row[1] < monday + datetime.timedelta(days=7)})
                for monday in mondays
            ]
            assert line == {
                "threshold": line["threshold"],
                "people": len({row[0] for row in over}),
                "a_day": pytest.approx(sum(map(len, by_day.values())) / ((last - first).days + 1)),
                "most_a_day": shown(max(map(len, by_day.values()))),
                "rows_a_day": most[0] if most[1] >= 5 else None,
                "a_week": pytest.approx(sum(weeks) / len(weeks)),
                "most_a_week": shown(max(weeks)),
            }
            if line["threshold"] == one["advised"]["low"]:
                assert one["people_reaching_low_by_week"] == [shown(week) for week in weeks]
        largest: dict[tuple[str, datetime.date], float] = {}
        for person, day, _, value in mine:
            largest[person, day] = max(value, largest.get((person, day), 0))
        ordered = sorted(largest.values())
        for name, value in one["quantiles"].items():
            rank = -(-len(ordered) * int(name[:-1]) // 100)
            exact = f"{ordered[rank - 1]:.0f}"
            assert value == float(exact[:2] + "0" * (len(exact) - 2))
    assert len(found["limits"]) >= 2
    for limit in found["limits"]:
        level = limit["about"].split(",")[0]
        low = {one["indicator"]: one["advised"][level] for one in found["indicators"]}
        counted = [
            sum(row[1] == day and row[3] >= low[row[2]] for row in rows) for day in {r[1] for r in rows}
        ]
        assert (limit["count"], limit["most"]) == (max(counted), 15_000)


def test_the_advice_is_the_least_threshold_that_keeps_to_the_rule(run: Callable[..., Result]) -> None:
    """At the advised threshold an average week has at most 5, 15, 50 people; at the next one below, more."""
    rows = year()
    write("rows.csv", rows)
    found = document(run, "daily-activities", "rows.csv", "--people", "5")
    monday = datetime.date(2025, 12, 1)
    starts = [monday + datetime.timedelta(weeks=n) for n in range(51)]

    def average(name: str, threshold: float, weeks: list[datetime.date]) -> float:
        over = {
            (row[0], (row[1] - monday).days // 7) for row in rows if row[2] == name and row[3] >= threshold
        }
        return sum((start - monday).days // 7 == week for _, week in over for start in weeks) / len(weeks)

    for one in found["indicators"]:
        name, advised = one["indicator"], one["advised"]
        assert 0 < advised["low"] < advised["medium"] < advised["high"]
        for level, most in (("low", 50), ("medium", 15), ("high", 5)):
            below = float(number_of(step_of(str(advised[level])) - 1))
            assert average(name, advised[level], starts) <= most
            if level != "low":
                assert average(name, below, starts) > most
                least, largest = one["single_weeks"][level]
                assert least <= advised[level] <= largest
                assert all(average(name, largest, [start]) <= most for start in starts)


def test_thresholds_of_the_portal_are_compared(run: Callable[..., Result]) -> None:
    """--now is shown in the table, and what the advice would change in a sentence with both numbers."""
    write("rows.csv", year())
    done = run("daily-activities", "rows.csv", "--now", "10,20,30", "--now", "UsbCopy=1,2,300")
    assert done.exit_code == 0
    found = document(run, "daily-activities", "rows.csv", "--now", "10,20,30", "--now", "UsbCopy=1,2,300")
    downloads = of(found, "BoxDownload")
    weeks = {line["threshold"]: f"{line['a_week']:,.1f} people a week" for line in downloads["thresholds"]}
    advised = downloads["advised"]["high"]
    sentence = f"high {advised:.0f} instead of 30: {weeks[advised]} instead of {weeks[30.0]}"
    assert sentence in downloads["changes"]
    assert sentence in done.output
    assert re.search(r"^ +300 +high now ", done.output, re.MULTILINE)


@pytest.mark.parametrize("value", ["10,20", "10,125,300", "0,1,2", "a,b,c", "nan,1,2"])
def test_other_thresholds_are_refused(run: Callable[..., Result], value: str) -> None:
    """Thresholds have at most two significant digits, so that the counts are exact."""
    done = run("daily-activities", "rows.csv", "--now", value)
    assert done.exit_code == 2
    assert "two significant digits" in " ".join(done.output.split())


def test_an_indicator_without_rows_is_refused(run: Callable[..., Result]) -> None:
    """The message names the indicators that have rows."""
    write("rows.csv", year(6, 20))
    done = run("daily-activities", "rows.csv", "--now", "Box=1,2,3")
    assert done.exit_code == 2
    message = "no row has the indicator 'Box'; there are: BoxDownload, UsbCopy, WebUpload"
    assert message in " ".join(done.output.split())


def test_nobody_is_in_the_output(run: Callable[..., Result]) -> None:
    """No name and no large value of one person, in text, JSON and the page; four people have no figures."""
    day = datetime.date(2026, 3, 2)
    rows: list[Row] = []
    for number in range(14):
        date = day + datetime.timedelta(days=number)
        rows += [(f"person{n}@contoso.com", date, "BoxDownload", 10 + n) for n in range(9)]
        rows += [(f"person{n}@contoso.com", date, "UsbCopy", 70 + n) for n in range(4)]
    rows.append(("person3@contoso.com", day, "BoxDownload", 98_765))
    write("rows.csv", rows)
    text = run("daily-activities", "rows.csv", "--output", "page.html")
    found = document(run, "daily-activities", "rows.csv")
    page = Path("page.html").read_text()
    for output in (text.output, json.dumps(found), page):
        assert not re.search(r"person\d|contoso", output)
        assert not re.search(r"98[,.]?000|98[,.]?765|\b7[0-3]\b", output)
    assert of(found, "UsbCopy") == {
        "indicator": "UsbCopy",
        "too_few_people": True,
        "whole_week_with_rows_up_to": None,
        "low_is_the_least_value": False,
        "advised": {},
        "single_weeks": {},
        "quantiles": {"50%": None, "75%": None, "90%": None, "95%": None, "99%": None},
        "thresholds": [],
        "people_reaching_low_by_week": [],
        "changes": [],
    }
    downloads = of(found, "BoxDownload")
    assert max(line["threshold"] for line in downloads["thresholds"]) <= 14
    assert all(line["people"] >= 5 for line in downloads["thresholds"])


def test_days_with_few_people_are_not_counted_out(run: Callable[..., Result]) -> None:
    """Six people who are never active on the same day: each day has fewer, and no count is shown."""
    rows: list[Row] = [
        (f"person{n}@contoso.com", datetime.date(2026, 3, 2) + datetime.timedelta(days=n * 7), "UsbCopy", 20)
        for n in range(6)
    ]
    write("rows.csv", rows)
    done = run("daily-activities", "rows.csv", "--now", "20,30,40")
    found = document(run, "daily-activities", "rows.csv", "--now", "20,30,40")
    line = next(line for line in of(found, "UsbCopy")["thresholds"] if line["threshold"] == 20)
    assert (line["people"], line["most_a_day"], line["rows_a_day"], line["most_a_week"]) == (
        6,
        None,
        None,
        None,
    )
    assert set(of(found, "UsbCopy")["people_reaching_low_by_week"]) == {None}
    assert [limit["count"] for limit in found["limits"]] == [0, 0]  # medium and high
    assert "low, all indicators, if a policy has them as triggers, highest day: <5 of" in done.output
    assert "The rule would allow more people for low than there are." in done.output
    assert re.search(r"20 +low, low now +0\.2 +<5 +<5 +1\.0 +<5 +6", done.output)


def test_a_limit_that_is_passed_is_a_warning(run: Callable[..., Result]) -> None:
    """15,001 rows of a day reach the level: the warning has the limit, its page and the date."""
    day = datetime.date(2026, 3, 2)
    with Path("rows.csv").open("w") as file:
        file.write("UserPrincipalName,PredictionTime,PredictionScore,ModelInfo\n")
        file.writelines(f"person{n}@contoso.com,{day}T00:00:00Z,0.9,m\n" for n in range(15_001))
        file.write(f"person1@contoso.com,{day + datetime.timedelta(days=8)}T00:00:00Z,0.1,m\n")
    done = run("leaver-prediction", "rows.csv", "--people", "5000")
    assert "low, all indicators, highest day: 15,001 of at most 15,000 triggers by custom" in done.output
    assert "insider-risk-management-limits, read on 2026-11-30" in done.stderr


def test_less_than_a_week_has_no_advice(run: Callable[..., Result]) -> None:
    """The table is there, levels are not, and the reason is."""
    write("rows.csv", year(40, 5))
    done = run("daily-activities", "rows.csv", "--output", "page.html")
    missing = "a whole week, Monday to Sunday: there is one with rows up to 2025-12-07"
    assert f"No advice yet. Missing: {missing}." in done.output
    assert "of 1 file, from 2025-11-26 to 2025-11-30 (UTC); 0 whole weeks" in done.output
    assert "of at most 15,000" not in done.output, "no level, no rows that reach it"
    assert document(run, "daily-activities", "rows.csv")["limits"] == []
    assert "What each threshold brings" in done.output
    assert "<svg" not in Path("page.html").read_text()


def test_few_people_have_no_advice(run: Callable[..., Result]) -> None:
    """Their number is not in the output; the limit's rows are those of the indicators that have advice."""
    rows = [row for row in year(40, 20) if row[2] == "BoxDownload"]
    rows += [(f"person{n}@contoso.com", FIRST, "UsbCopy", 70) for n in range(4)]
    write("rows.csv", rows)
    done = run("daily-activities", "rows.csv")
    assert "No advice yet. Missing: 5 people with a value above 0." in done.output
    assert "low, the 1 of 2 with advice, if a policy has them as triggers, highest day: " in done.output


def test_the_profile_may_be_an_option(run: Callable[..., Result]) -> None:
    """As with `check` and `send`; then each word is a file."""
    write("rows.csv", year(20, 20))
    by_option = run("rows.csv", "--profile", "daily-activities")
    assert by_option.exit_code == 0
    assert by_option.output == run("daily-activities", "rows.csv").output
    assert run().exit_code == 2


def test_without_a_file_the_rows_of_the_outbox_count(run: Callable[..., Result]) -> None:
    """The numbers are those of the files that were sent. A batch whose rows were deleted has none."""
    Path("mine.yaml").write_text(
        shipped_text("daily-activities").replace("00000000-0000-0000-0000-000000000000", JOB)
    )
    write("rows.csv", year(40, 20))
    write("more.csv", year(60, 20)[-100:])
    done = run("mine")
    assert done.exit_code == 1
    assert "irmexport thresholds mine FILE" in " ".join(done.output.split())
    for file in ("rows.csv", "more.csv"):
        sent = CliRunner().invoke(main, ["send", file, "--profile", "mine", "--queue-only"])
        assert sent.exit_code == 0, sent.output
    assert "of the outbox, from" in run("mine").output
    assert document(run, "mine") == document(run, "mine", "rows.csv", "more.csv")
    assert document(run, "mine")["rows"] > document(run, "mine", "rows.csv")["rows"]
    (first,) = (
        path for path in Path("outbox").glob("*/ready/*/payload") if b"person59" not in path.read_bytes()
    )
    first.unlink()
    assert 0 < document(run, "mine")["rows"] <= 100


def test_an_outbox_on_a_store_is_not_read(run: Callable[..., Result]) -> None:
    """Before anything is looked for there; the next step names the command with files."""
    words = ["--outbox", "az://account/container/outbox", "thresholds", "daily-activities"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "irmexport thresholds daily-activities FILE" in " ".join(done.output.split())


def test_the_page_has_its_charts_and_numbers(run: Callable[..., Result]) -> None:
    """One file that loads nothing: for each indicator a chart of thresholds, one of weeks, and the table."""
    write("rows.csv", year(60, 60))
    assert run("daily-activities", "rows.csv", "-o", "page.html").exit_code == 0
    text = Path("page.html").read_text()
    assert text.count("<svg") == 6
    assert not re.search(r"<script|src=|href=", text)
    downloads = of(document(run, "daily-activities", "rows.csv"), "BoxDownload")
    assert f"high {downloads['advised']['high']:.0f}" in text
    high = next(line for line in downloads["thresholds"] if line["threshold"] == downloads["advised"]["high"])
    assert f'<td data-name="People a week" class=n>{high["a_week"]:,.1f}</td>' in text


def test_a_profile_without_thresholds(run: Callable[..., Result]) -> None:
    """It is refused before the file is read."""
    done = run("leavers", "none.csv")
    assert done.exit_code == 2
    assert "the profile has no threshold column" in done.output


def test_a_file_whose_rows_are_refused(run: Callable[..., Result]) -> None:
    """The next step is the command that names the reasons."""
    Path("old rows.csv").write_text(
        "UserPrincipalName,ActivityDate,Activity,ActivityCount,VolumeMB,Details\nx,y,z,1,,\n"
    )
    done = run("daily-activities", "old rows.csv")
    assert done.exit_code == 1
    assert "irmexport check 'old rows.csv' --profile daily-activities" in done.output


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", "1"), ("9.99", "9.9"), ("10", "10"), ("129", "120"), ("0.857", "0.85"), ("0.29", "0.29"),
     ("99999", "99,000"), ("0.0012", "0.0012"), ("100000000000000", "100,000,000,000,000")],
)  # fmt: skip
def test_a_value_stands_on_the_highest_step_that_it_reaches(text: str, number: str) -> None:
    """Two digits remain; the next step is larger."""
    assert text_of(step_of(text)) == number
    assert number_of(step_of(text) + 1) > number_of(step_of(text))


@pytest.mark.parametrize("text", ["0", "-3"])
def test_zero_reaches_no_threshold(text: str) -> None:
    """Nor does a negative number."""
    assert step_of(text) == ZERO
