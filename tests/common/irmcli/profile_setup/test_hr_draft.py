"""`irmexport profile new --scenario`: HR columns are mapped by name, and the person is never guessed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from irmcli.demo import examples
from irmcli.main import main
from irmcore import profile as profiles

Run = Callable[..., Result]

# Workday names the worker and the manager, SAP SuccessFactors the last date worked; here with names of ours,
# as HR systems let each customer name the columns of an export.
EXPORT = """\
Entered By,Manager,Worker,Notice Date,Last Day of Work,Reason
hr.admin@contoso.com,boss@contoso.com,sara@contoso.com,2026-11-02,2026-12-31,moves
hr.admin@contoso.com,boss@contoso.com,pilar@contoso.com,2026-11-13,2027-01-31,other
"""


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`irmexport profile new` in a directory with the export."""
    monkeypatch.chdir(tmp_path)
    Path("export.csv").write_text(EXPORT)
    return lambda *args: CliRunner().invoke(main, ["profile", "new", *args], catch_exceptions=False)


@pytest.mark.parametrize(
    "name",
    [
        "hr",
        "hr-employee-profiles",
        "hr-improvement-plans",
        "hr-job-level-changes",
        "hr-performance-reviews",
        "hr-resignations",
    ],
)
def test_microsofts_examples_become_profiles_like_the_shipped_ones(new: Run, name: str) -> None:
    """The sample on Microsoft's page gives the columns and scenarios of the shipped profile."""
    shipped = profiles.parse(profiles.shipped_text(name), name)
    scenarios = [word for scenario in shipped.scenarios for word in ("--scenario", scenario)]
    done = new("--from", str(examples.path(name)), *scenarios, "--zone", "UTC")
    assert Path(f"{name}.yaml").exists(), done.output
    made = profiles.read(f"{name}.yaml")
    assert [(c.header, c.type, c.role, c.maps_to) for c in made.columns] == [
        (c.header, c.type, c.role, c.maps_to) for c in shipped.columns
    ]
    assert (made.scenarios, made.connector.kind, made.limits) == (shipped.scenarios, "hr", shipped.limits)


def test_the_employee_is_not_guessed_among_those_who_act(new: Run) -> None:
    """A manager and an HR user have user principal names too: the message lists all, and takes none."""
    done = new("--from", "export.csv", "--scenario", "resignation")
    assert done.exit_code == 2
    assert "no column is named EmailAddress" in done.output
    assert "--user 'Entered By' or --user Manager or --user Worker" in " ".join(done.output.split())
    assert not Path("export.yaml").exists()


def test_an_export_with_names_of_its_own(new: Run) -> None:
    """With --user, --map and --zone all rows are taken; the manager, the HR user and the reason stay out."""
    done = new(
        *("--from", "export.csv", "--scenario", "resignation", "--user", "Worker", "--zone", "Europe/Berlin"),
        *("--map", "Notice Date=ResignationDate", "--map", "Last Day of Work=LastWorkingDate"),
    )
    assert done.exit_code == 0, done.output
    made = profiles.read("export.yaml")
    assert [(c.header, c.maps_to) for c in made.columns] == [
        ("Worker", "EmailAddress"),
        ("Notice Date", "ResignationDate"),
        ("Last Day of Work", "LastWorkingDate"),
    ]
    assert "2 rows read: 2 shaped" in done.output
    assert "3 columns are left out. Take others with --map COLUMN=FIELD" in done.output
    assert made.description == "HR data, as in the sample export.csv."
    assert "contoso.com" not in Path("export.yaml").read_text()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--user", "Worker"), "no column of the sample is ResignationDate or LastWorkingDate"),
        (("--user", "Worker"), "--map COLUMN=ResignationDate --map COLUMN=LastWorkingDate, or add it"),
        (("--user", "Worker", "--columns", "Reason"), "leave out --columns: of HR data, a profile takes"),
        (
            ("--map", "Reason=LastWorkingDate", "--map", "Notice Date=LastWorkingDate"),
            "give each column and each field once: Notice Date=LastWorkingDate",
        ),
        (
            ("--map", "Reason=LastWorkingDate", "--map", "Reason=ResignationDate"),
            "give each column and each field once: Reason=ResignationDate",
        ),
        (
            (
                *("--user", "Worker", "--map", "Notice Date=ResignationDate"),
                *("--map", "Last Day of Work=LastWorkingDate"),
            ),
            "have no offset, so their time zone must be known",
        ),
        (("--map", "Worker=Email"), "write it as COLUMN=FIELD; fields: EmailAddress,"),
        (("--map", "Nobody=EmailAddress"), "'Nobody' is not a column of the sample"),
    ],
)
def test_what_is_missing_is_named(new: Run, args: tuple[str, ...], said: str) -> None:
    """Nothing is written, and the message names the option."""
    done = new("--from", "export.csv", "--scenario", "resignation", *args)
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())
    assert not Path("export.yaml").exists()


def test_a_map_without_a_scenario_is_refused(new: Run) -> None:
    """It would be ignored, and the profile would be one of detections."""
    done = new("--from", "export.csv", "--map", "Worker=EmailAddress")
    assert (done.exit_code, "--map needs --scenario: resignation" in done.output) == (2, True)


def test_dates_in_two_orders_are_asked_about(new: Run) -> None:
    """02/11/2026 is in February or in November."""
    Path("export.csv").write_text("EmailAddress,EffectiveDate\ns@contoso.com,02/11/2026\n")
    done = new("--from", "export.csv", "--scenario", "performance-review", "--zone", "UTC")
    assert done.exit_code == 2
    assert "--dates dmy or --dates mdy" in " ".join(done.output.split())
    done = new("--from", "export.csv", "--scenario", "performance-review", "--zone", "UTC", "--dates", "dmy")
    assert done.exit_code == 0, done.output
    assert profiles.read("export.yaml").columns[1].format == "dmy"


@pytest.mark.parametrize(
    ("spellings", "taken"),
    [
        (("RESIGNATION", "resignation", "Resignation"), "Resignation"),
        (("resignation", "RESIGNATION"), "RESIGNATION"),
    ],
)
def test_of_several_spellings_of_a_scenario_one_is_taken_always(
    new: Run, spellings: tuple[str, ...], taken: str
) -> None:
    """Microsoft's own if the sample has it, whatever the order of the rows and the process's hash seed."""
    rows = [
        f"{spelling},u{at}@contoso.com,2026-11-0{at + 1},2026-12-31" for at, spelling in enumerate(spellings)
    ]
    Path("export.csv").write_text(
        "\n".join(["HRScenario,EmailAddress,ResignationDate,LastWorkingDate", *rows, ""])
    )
    new(
        "--from", "export.csv", "--scenario", "resignation", "--map", "HRScenario=HRScenario", "--zone", "UTC"
    )
    text = Path("export.yaml").read_text()
    assert f"  resignation: {taken}" in text
