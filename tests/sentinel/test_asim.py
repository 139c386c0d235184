"""The ASIM parsers of alerts, by the published schema: its fields, their types and values, its parameters."""

import json
from typing import Any

import pytest
from irmsentinel.kql.engine import Engine

from tests.sentinel.fixtures import HERE, cases, our_content, plain, table_shapes

SCHEMA = {
    field["Name"]: field
    for field in json.loads((HERE / "asim" / "alert_event.json").read_text(encoding="utf-8"))["Properties"]
}
FILTERING, PLAIN = (our_content().named(f"{kind}AlertEventMicrosoftInsiderRisk") for kind in ("vim", "ASim"))
#: "Filtering parser parameters" of the schema, in the order in which the unifying parser passes them.
FILTERS = [
    *("starttime", "endtime", "ipaddr_has_any_prefix", "hostname_has_any", "username_has_any"),
    *("attacktactics_has_any", "attacktechniques_has_any", "threatcategory_has_any"),
    *("alertverdict_has_any", "eventseverity_has_any"),
]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """What the parser gives for its fixture, which names an actor and a target."""
    case = next(case for case in cases() if case.file.stem == FILTERING.name)
    with Engine(our_content().local_functions()) as engine:
        for name, given in case.tables.items():
            table = table_shapes(our_content().root)[name][""]
            engine.insert(table, [{key: plain(value) for key, value in row.items()} for row in given])
        result = engine.run(f"{FILTERING.name}()", now=case.now)
    return [dict(zip((column.name for column in result.columns), row, strict=True)) for row in result.rows]


def test_it_has_the_mandatory_and_recommended_fields_and_no_unknown_one() -> None:
    """Each has the schema's type. The parser without parameters has the same fields."""
    returned = {column.name: column.type for column in FILTERING.returns}
    assert PLAIN.returns == FILTERING.returns
    needed = {"Mandatory", "Recommended"}
    assert {name for name, field in SCHEMA.items() if field["Class"] in needed} <= returned.keys()
    assert returned.items() <= {name: field["Type"] for name, field in SCHEMA.items()}.items()


def test_its_parameters_are_the_schemas() -> None:
    """In their order, each with a default, and last the switch with which a workspace disables a parser."""
    assert [parameter.name for parameter in FILTERING.parameters or ()] == [*FILTERS, "disabled"]
    assert [parameter.name for parameter in PLAIN.parameters or ()] == ["disabled"]
    for parameter in FILTERING.parameters or ():
        assert parameter.default == {"datetime": "datetime(null)", "bool": "false"}.get(
            parameter.type, "dynamic([])"
        )


def test_every_row_keeps_to_the_schema(rows: list[dict[str, Any]]) -> None:
    """Mandatory fields have a value, enumerated ones a published value or none, an alias what it repeats."""
    assert len(rows) == 4
    for row in rows:
        for name, value in row.items():
            field = SCHEMA[name]
            assert field["Class"] != "Mandatory" or value not in {None, ""}, name
            assert "Values" not in field or value in {"", *field["Values"]}, name
            assert "Of" not in field or value == row[field["Of"]], name
        # A conditional field says what kind of value the other has.
        assert (row["UserIdType"] != "") == (row["UserId"] != "")
        assert (row["UsernameType"] != "") == (row["Username"] != "")
        assert row["EventStartTime"] <= row["EventEndTime"]


def test_the_target_of_an_alert_is_not_its_user(rows: list[dict[str, Any]]) -> None:
    """The alert about Sara also names her manager, who is in no row."""
    assert [row["Username"] for row in rows if row["EventUid"] == "a1"] == ["sara@contoso.com"]
    assert "boss@contoso.com" not in json.dumps(rows, default=str)
