"""Kinds of connector: what a profile of the kind hr must have, and what one without scenarios cannot have."""

from __future__ import annotations

import pytest
from irmcore.errors import ProfileError
from irmcore.profile import Collisions, Profile, parse, shipped_names, shipped_text
from irmcore.profile.kinds import KINDS
from irmcore.profile.load import PROFILE

from tests.common.irmcore.profiles import TEXT

HR = shipped_text("hr")
RESIGNATIONS = shipped_text("hr-resignations")


def hr(old: str = "", new: str = "", text: str = RESIGNATIONS) -> Profile:
    """A shipped profile with a part of its text replaced."""
    assert old in text
    return parse(text.replace(old, new, 1), "p.yaml")


def message(old: str, new: str, text: str = RESIGNATIONS) -> str:
    """Why the changed profile is refused."""
    with pytest.raises(ProfileError) as caught:
        hr(old, new, text)
    return str(caught.value)


def test_the_published_columns_of_each_scenario() -> None:
    """Names and mandatory columns are those of Microsoft's page, the names of its examples included."""
    kind = KINDS["hr"]
    assert {name: scenario.required for name, scenario in kind.scenarios.items()} == {
        "resignation": ("EmailAddress", "ResignationDate", "LastWorkingDate"),
        "job-level-change": ("EmailAddress", "EffectiveDate"),
        "performance-review": ("EmailAddress", "EffectiveDate"),
        "performance-improvement-plan": ("EmailAddress", "EffectiveDate"),
        "employee-profile": (
            "EmailAddress",
            "EmployeeFirstName",
            "EmployeeLastName",
            "EmployeeAddressLine1",
            "EmployeeZipCode",
        ),
    }
    for name in ("employeeaddline1", "EmployeeAddressLine1"):
        found = kind.field(name)
        assert found is not None
        assert found.name == "EmployeeAddressLine1"


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_consistent(name: str) -> None:
    """Scenarios use declared fields, each is dated or refreshed before it lapses, and its source is told."""
    kind = KINDS[name]
    assert kind.name == name
    assert kind.source.startswith("https://")
    declared = {field.name for field in kind.fields}
    for scenario in kind.scenarios.values():
        assert set(scenario.fields) <= declared
        assert kind.user in scenario.required
        assert scenario.date in scenario.required or 0 < 2 * scenario.refresh_days <= scenario.lapse_days


def test_the_schema_names_what_is_declared() -> None:
    """The kinds and scenarios of the published schema are those of the modules; none has more rows."""
    properties = PROFILE.schema["properties"]
    connector = PROFILE.schema["definitions"]["connector"]["properties"]
    assert set(connector["kind"]["enum"]) == set(KINDS)
    assert set(properties["scenarios"]["properties"]) == {
        name for kind in KINDS.values() for name in kind.scenarios
    }
    rows = PROFILE.schema["properties"]["limits"]["properties"]["rows"]["maximum"]
    assert rows == max(kind.rows for kind in KINDS.values())


def test_each_scenario_ships() -> None:
    """There is a shipped profile of each scenario alone, and one with a column that tells four apart."""
    shipped = [parse(shipped_text(name), name) for name in shipped_names()]
    alone = {next(iter(one.scenarios)) for one in shipped if len(one.scenarios) == 1}
    assert alone == set(KINDS["hr"].scenarios)
    together = hr(text=HR)
    assert [column.role for column in together.columns][:2] == ["scenario", "user"]
    assert together.columns[0].allowed == (
        "Resignation",
        "Job level change",
        "Performance review",
        "Performance improvement plan",
    )


def test_the_limits_follow_the_kind() -> None:
    """An HR file has at most 500 rows and keeps rows of one user and time."""
    assert hr().limits.rows == 500
    assert hr().collisions == Collisions("none", 1)
    assert hr("scenarios:", "limits: {rows: 100}\nscenarios:").limits.rows == 100
    assert "at most 500 rows" in message("scenarios:", "limits: {rows: 501}\nscenarios:")
    assert parse(TEXT, "p.yaml").limits.rows == 5_000


def test_a_column_with_a_name_of_its_own_is_mapped() -> None:
    """`maps_to` names the data type; the user column needs none, whatever its header is."""
    made = hr("{header: ResignationDate", "{header: Notice given, maps_to: ResignationDate")
    assert made.columns[1].maps_to == "ResignationDate"
    assert hr("{header: EmailAddress", "{header: Worker").columns[0].maps_to == "EmailAddress"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "{header: LastWorkingDate, ",
            "{header: LastDate, ",
            "Did you mean `LastWorkingDate`? Set `maps_to`",
        ),
        ("  - {header: LastWorkingDate, type: datetime}\n", "", "require a column LastWorkingDate"),
        ("LastWorkingDate, type: datetime", "LastWorkingDate, type: string", "must have the type datetime"),
        (
            "{header: LastWorkingDate,",
            "{header: Again, maps_to: ResignationDate,",
            "columns 2 and 3 are both ResignationDate",
        ),
        ("scenarios:\n  resignation: Resignation\n", "", "names its `scenarios`. Add, for example,"),
        ("LastWorkingDate, type", "LastWorkingDate, role: time, type", "cannot have the role time"),
        ("  resignation: Resignation", "  termination: Resignation", "unknown key `termination`"),
        ("kind: hr\n", "kind: hq\n", "Did you mean `hr`?"),
        ("  kind: hr\n", "", "a connector of the kind insider-risk-indicators has no `scenarios`"),
        (
            "  resignation: Resignation",
            "  resignation: Resignation\n  performance-review: Review",
            "a file with 2 scenarios needs one column with the role scenario; this one has 0",
        ),
    ],
)
def test_a_profile_that_the_wizard_could_not_map(old: str, new: str, said: str) -> None:
    """The message names the column or key, and what to write."""
    assert said in message(old, new)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Job level change\n", "Resignation\n", "two scenarios have the same value"),
        ("role: scenario}", "role: scenario, allowed: [A]}", "whose values are those of `scenarios`"),
        ("role: scenario}", "role: scenario, required: false}", "the scenario column cannot be optional"),
        ("role: scenario}", "role: scenario, map: {Left: Gone}}", "maps to a value that is not allowed"),
    ],
)
def test_a_scenario_column_that_tells_nothing_apart(old: str, new: str, said: str) -> None:
    """Each scenario has one value of its own, which the column always has."""
    assert said in message(old, new, HR)


@pytest.mark.parametrize("more", ["maps_to: Remarks", "role: scenario"])
def test_other_kinds_have_no_scenarios(more: str) -> None:
    """Keys of the kind hr are refused in a profile of insider risk indicators."""
    with pytest.raises(ProfileError, match="has no such column"):
        parse(TEXT.replace("note, type: string", f"note, type: string, {more}"), "p.yaml")
