"""The HR connector's rules for a file: which records are saved, dropped or refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from irmemulator.file_rules import Outcome, Refusal, Table, read_table
from irmemulator.hr_rules import REQUIRED, apply_hr_rules
from irmemulator.settings import Job

RESIGNATIONS = Job(
    "55555555-5555-4555-8555-555555555555",
    "22222222-2222-4222-8222-222222222222",
    "Resignations",
    kind="hr",
    scenarios={"": "resignation"},
    mapping={name: name for name in REQUIRED["resignation"]},
)
SEVERAL = replace(
    RESIGNATIONS,
    source_column="HRScenario",
    scenarios={"Resignation": "resignation", "Review": "performance-review"},
    mapping={
        name: name
        for name in (
            "EmailAddress",
            "ResignationDate",
            "LastWorkingDate",
            "EffectiveDate",
            "Remarks",
            "Rating",
        )
    },
)
HEADER = "EmailAddress,ResignationDate,LastWorkingDate\n"
SEVERAL_HEADER = "HRScenario,EmailAddress,ResignationDate,LastWorkingDate,EffectiveDate,Remarks,Rating\n"
DATE = "2019-04-23T15:18:02.4675041+05:30"


def outcome(text: str, job: Job = RESIGNATIONS) -> Outcome | Refusal:
    """The rules' outcome for a file."""
    table = read_table(text.encode())
    assert isinstance(table, Table)
    return apply_hr_rules(table, job)


def dropped(rows: str, header: str = HEADER, job: Job = RESIGNATIONS) -> dict[str, int]:
    """How many records are dropped, by reason; the good one beside them is kept."""
    good = f"sarad@contoso.com,{DATE},{DATE}\n"
    done = outcome(header + rows + (good if job is RESIGNATIONS else f"Resignation,{good[:-1]},,,\n"), job)
    assert isinstance(done, Outcome)
    assert len(done.kept) == 1
    return dict(done.dropped)


def test_a_pair_of_user_and_time_may_repeat() -> None:
    """Only the page of insider risk indicators says that such records are dropped."""
    done = outcome(HEADER + f"sarad@contoso.com,{DATE},{DATE}\n" * 2)
    assert isinstance(done, Outcome)
    assert len(done.kept) == 2


def test_a_ragged_row_ends_in_an_internal_server_error() -> None:
    """As reported for Microsoft's own example, nothing of the file is kept."""
    done = outcome(HEADER + f"sarad@contoso.com,{DATE}\n")
    assert isinstance(done, Refusal)
    assert (done.status, done.code) == (500, "ragged_row")
    assert "internal server error" in done.message


def test_a_missing_mandatory_column_voids_the_file() -> None:
    """The message names the column, and the names are compared without their case."""
    done = outcome(f"emailaddress,ResignationDate\nsarad@contoso.com,{DATE}\n")
    assert done == Refusal("column_missing", "line 1: a mandatory column is missing: LastWorkingDate")
    done = outcome(HEADER.lower() + f"sarad@contoso.com,{DATE},{DATE}\n")
    assert isinstance(done, Outcome)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f",{DATE},{DATE}\n", "user_empty"),
        (f"sarad@contoso.com,{DATE},\n", "value_missing"),
        (f"sarad@contoso.com,2019-04-23,{DATE}\n", "time_not_iso"),
        (f"sarad@contoso.com,{DATE},2019-04-29T15:18:02.7117540\n", "time_not_iso"),
    ],
)
def test_a_record_without_what_it_must_have(row: str, reason: str) -> None:
    """It is dropped and counted, and its neighbour is kept."""
    assert dropped(row) == {reason: 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"Retirement,sarad@contoso.com,{DATE},{DATE},,,\n", "scenario_unknown"),
        (f"Review,sarad@contoso.com,,,{DATE},{'x' * 201},\n", "value_too_long"),
        (f"Review,sarad@contoso.com,,,{DATE},,{'x' * 26}\n", "value_too_long"),
        (f"Review,sarad@contoso.com,{DATE},,,,\n", "value_missing"),
    ],
)
def test_a_record_that_its_scenario_does_not_allow(row: str, reason: str) -> None:
    """The identifier column chooses the rules."""
    assert dropped(row, SEVERAL_HEADER, SEVERAL) == {reason: 1}


def test_the_identifier_column_is_needed() -> None:
    """Without it the connector cannot tell the scenarios apart."""
    done = outcome(
        SEVERAL_HEADER.replace("HRScenario", "Other") + f"Review,s@contoso.com,,,{DATE},,\n", SEVERAL
    )
    assert isinstance(done, Refusal)
    assert done.code == "no_scenario_column"


def test_a_file_without_records_is_refused() -> None:
    """As for the other kind."""
    done = outcome(HEADER)
    assert isinstance(done, Refusal)
    assert done.code == "no_records"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scenarios": {}}, "goes with"),
        ({"kind": "insider-risk-indicators"}, "goes with"),
        ({"scenarios": {"a": "resignation", "b": "performance-review"}}, "several need"),
    ],
)
def test_a_job_that_the_portal_would_not_save(change: dict[str, object], said: str) -> None:
    """Scenarios belong to the kind hr, and several need a column that tells them apart."""
    with pytest.raises(ValueError, match=said):
        replace(RESIGNATIONS, **change)  # type: ignore[arg-type]
