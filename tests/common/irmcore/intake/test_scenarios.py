"""A run with HR rows: checked by scenario, dated by it, and sent once, or once in each refresh period."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from irmcore.identity.directory import Directory
from irmcore.intake.accept import accept
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Outbox
from irmcore.profile import Profile, parse, shipped_text
from irmcore.shaping.readers import csv_table

from tests.common.irmcore.identity.people import day, person, write
from tests.common.irmcore.intake.test_accept import ORIGIN, WHERE, outbox_in, payloads

DAY = 86_400
HR_HEADER = (
    "HRScenario,EmailAddress,ResignationDate,LastWorkingDate,EffectiveDate,Remarks,Rating,OldLevel,NewLevel"
)
PROFILE_HEADER = (
    "EmailAddress,EmployeeFirstName,EmployeeLastName,EmployeeAddLine1,EmployeeAddLine2,EmployeeCity,"
    "EmployeeState,EmployeeZipCode,EmployeeDept,EmployeeType,EmployeeRole"
)
JACK = "jackq@contoso.com,jack,qualtz,50 Oakland Ave,#206,City,Florida,32104,Orthopaedic,Regular,Nurse"


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """An outbox that does not exist yet."""
    return outbox_in(tmp_path)


def shipped(name: str, more: str = "", folder: str | None = None) -> Profile:
    """A shipped profile with ``more`` keys behind it."""
    return parse(shipped_text(name) + more, f"{name}.yaml", folder=folder)


def run(outbox: Outbox, of: Profile, header: str, *rows: str) -> RunResult:
    """Accept these rows."""
    data = "\n".join([header, *rows, ""]).encode("utf-8", "surrogateescape")
    table = csv_table(io.BufferedReader(io.BytesIO(data)), name="in.csv")
    return accept(table, of, outbox, ORIGIN, destination=WHERE, name="in.csv")


def sent(outbox: Outbox, done: RunResult) -> list[list[str]]:
    """The rows of a run's batches, without headers."""
    return [row for text in payloads(outbox, done) for row in list(csv.reader(io.StringIO(text)))[1:]]


def refusals(outbox: Outbox, name: str, header: str, *rows: str) -> dict[tuple[str, str], int]:
    """Column and reason of each refused row."""
    return run(outbox, shipped(name), header, *rows).reasons


def test_rows_of_one_person_and_time_are_all_sent_as_they_are(outbox: Outbox) -> None:
    """No published rule of the HR connector drops rows of one user and time, so no time is moved."""
    done = run(
        outbox,
        shipped("hr"),
        HR_HEADER,
        "Resignation,Sara@contoso.com,2026-11-02T09:00:00+01:00,2026-12-31T00:00:00Z,,,,,",
        "Job level change,sara@contoso.com,,,2026-11-02T08:00:00Z,,,Level 61,Level 60",
        "Performance review,sara@contoso.com,,,2026-11-02T08:00:00Z,Met expectations,2-Below,,",
    )
    at = "2026-11-02T08:00:00.000000+00:00"
    assert sent(outbox, done) == [
        ["Resignation", "sara@contoso.com", at, "2026-12-31T00:00:00.000000+00:00", "", "", "", "", ""],
        ["Job level change", "sara@contoso.com", "", "", at, "", "", "Level 61", "Level 60"],
        ["Performance review", "sara@contoso.com", "", "", at, "Met expectations", "2-Below", "", ""],
    ]


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("Resignation,s@contoso.com,2026-11-02T09:00:00Z,,,,,,", "LastWorkingDate", "missing-value"),
        ("Job level change,s@contoso.com,,,,,,Level 61,Level 60", "EffectiveDate", "missing-value"),
        (
            "Job level change,s@contoso.com,2026-11-02T09:00:00Z,,2026-11-02T09:00:00Z,,,,",
            "ResignationDate",
            "not-of-scenario",
        ),
        ("Retirement,s@contoso.com,,,2026-11-02T09:00:00Z,,,,", "HRScenario", "value-not-allowed"),
        (",s@contoso.com,,,2026-11-02T09:00:00Z,,,,", "HRScenario", "missing-value"),
        (
            f"Performance review,s@contoso.com,,,2026-11-02T09:00:00Z,{'x' * 201},,,",
            "Remarks",
            "text-too-long",
        ),
        (
            f"Performance review,s@contoso.com,,,2026-11-02T09:00:00Z,,{'x' * 26},,",
            "Rating",
            "text-too-long",
        ),
        (
            "Performance review,s@contoso.com,,,2026-11-02T09:00:00Z,na\udcefve,,,",
            "Remarks",
            "invalid-utf8",
        ),
        ("Resignation,s@contoso.com,2026-11-02,2026-12-31,,,,,", "ResignationDate", "time-without-zone"),
    ],
)
def test_a_row_that_does_not_fit_its_scenario_is_refused(
    outbox: Outbox, row: str, column: str, reason: str
) -> None:
    """The refusal names the column; the good row beside it is sent."""
    good = f"Performance review,t@contoso.com,,,2026-11-02T09:00:00Z,{'x' * 200},{'x' * 25},,"
    done = run(outbox, shipped("hr"), HR_HEADER, row, good)
    assert done.reasons == {(column, reason): 1}
    assert len(sent(outbox, done)) == 1


def test_a_date_alone_begins_in_the_zone_of_the_profile(outbox: Outbox) -> None:
    """HR systems write dates: with `input.zone`, one is the beginning of that day there."""
    made = shipped("hr-resignations", "input: {zone: Europe/Berlin}\n")
    done = run(
        outbox, made, "EmailAddress,ResignationDate,LastWorkingDate", "s@contoso.com,2026-07-01,2026-12-31"
    )
    assert sent(outbox, done) == [
        ["s@contoso.com", "2026-06-30T22:00:00.000000+00:00", "2026-12-30T23:00:00.000000+00:00"]
    ]


def test_a_dated_row_is_sent_once_for_ever(outbox: Outbox) -> None:
    """However much later a resignation comes again, it is a duplicate; a corrected last day is a new row."""
    made, header = shipped("hr-resignations"), "EmailAddress,ResignationDate,LastWorkingDate"
    row = "s@contoso.com,2026-11-02T09:00:00Z,2026-12-31T00:00:00Z"
    assert run(outbox, made, header, row, row).counts.as_dict()["merged"] == 1
    outbox.clock.sleep(60 * DAY)
    assert run(outbox, made, header, row).counts.skipped == 1
    assert run(outbox, made, header, row.replace("12-31", "12-30")).counts.shaped == 1


def test_a_profile_is_sent_again_before_it_lapses(outbox: Outbox) -> None:
    """A daily run sends an unchanged employee profile once in 15 days, so never 30 days go by."""
    made = shipped("hr-employee-profiles")
    sent_on = []
    for number in range(46):
        if run(outbox, made, PROFILE_HEADER, JACK, JACK).counts.shaped:
            sent_on.append(number)
        outbox.clock.sleep(DAY)
    gaps = [after - before for before, after in zip(sent_on, sent_on[1:])]
    assert gaps[0] <= 15
    assert gaps[1:] == [15, 15]


def test_a_changed_profile_is_sent_at_once(outbox: Outbox) -> None:
    """Somebody who moves is not told to the service only after the period."""
    made = shipped("hr-employee-profiles")
    run(outbox, made, PROFILE_HEADER, JACK)
    done = run(outbox, made, PROFILE_HEADER, JACK, JACK.replace("50 Oakland Ave", "7 Elm Street"))
    assert (done.counts.skipped, done.counts.shaped) == (1, 1)


def test_a_profile_needs_each_mandatory_cell(outbox: Outbox) -> None:
    """The service reads no record without a mandatory value."""
    row = JACK.replace("32104", "")
    assert refusals(outbox, "hr-employee-profiles", PROFILE_HEADER, row) == {
        ("EmployeeZipCode", "missing-value"): 1
    }


def test_more_rows_than_a_file_may_have_make_two_batches(outbox: Outbox) -> None:
    """Each file has at most 500 rows."""
    rows = [f"u{n}@contoso.com,2026-11-02T09:00:00Z,A,B" for n in range(501)]
    done = run(outbox, shipped("hr-job-level-changes"), "EmailAddress,EffectiveDate,OldLevel,NewLevel", *rows)
    assert done.sizes == (500, 1)


def test_the_person_is_the_employee_and_not_who_entered_the_row(outbox: Outbox) -> None:
    """The page's EmailAddress is "the user's email address"; a manager beside it is read by nothing."""
    header = "Manager,EmailAddress,EnteredBy,EffectiveDate,OldLevel,NewLevel"
    row = "boss@contoso.com,sara@contoso.com,hr.admin@contoso.com,2026-11-02T09:00:00Z,A,B"
    done = run(outbox, shipped("hr-job-level-changes"), header, row)
    assert [fields[0] for fields in sent(outbox, done)] == ["sara@contoso.com"]
    text = "".join(payloads(outbox, done))
    assert "boss" not in text
    assert "hr.admin" not in text


def test_a_profile_is_looked_up_as_of_now(outbox: Outbox, tmp_path: Path) -> None:
    """Who joined after the refresh period began is known; the period's beginning is no time of the row."""
    outbox.clock.sleep(day(5) - outbox.clock.now())
    joined = person(7, "jackq@contoso.com", "jack@contoso.com")
    write(tmp_path / "people.sqlite", {day(4): [joined]})
    with Directory(tmp_path / "people.sqlite"):
        made = shipped("hr-employee-profiles", "identity: {directory: people.sqlite}\n", str(tmp_path))
        done = run(outbox, made, PROFILE_HEADER, JACK.replace("jackq@", "jack@"))
    assert [fields[0] for fields in sent(outbox, done)] == ["jackq@contoso.com"]
