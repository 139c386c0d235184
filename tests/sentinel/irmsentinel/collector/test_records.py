"""An audit record becomes a row: literal records in, literal rows out."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.outbox.on_store.layout import date_text
from irmsentinel.collector.records import (
    MAX_FIELD_BYTES,
    MAX_ROW_BYTES,
    RecordFilter,
    day,
    key_of,
    record_type,
    row,
)
from irmsentinel.content import artefacts as content
from irmsentinel.content import tables, transforms
from irmsentinel.emulators.synthetic_records import alert_record

TABLE = tables.shapes(tables.load(content.root() / "tables"))["Compliance_IRM_AuditGeneral_CL"][""]
COLUMNS = TABLE.columns


def shaped(record: dict[str, Any]) -> dict[str, Any]:
    """The row of a record, read back from its JSON."""
    made: dict[str, Any] = json.loads(row(record, COLUMNS).line)
    return made


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (40, 40),
        ("40", 40),
        ("SecurityComplianceAlerts", 40),
        (307, 307),
        (None, None),
        ("x", None),
        ("٤٠", None),
    ],
)
def test_a_record_type_is_a_number_or_its_name(value: object, number: int | None) -> None:
    """Some answers had the name where a number was expected."""
    assert record_type(value) == number


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        ("1970-01-02T00:00:00Z", "1970-01-02"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31"),
        ("0001-01-01T00:00:00", "0001-01-01"),
        ("yesterday", "1970-01-01"),
    ],
)
def test_the_day_of_a_record_is_one_that_the_row_ledger_can_name(created: str, expected: str) -> None:
    """Also at both ends of a service's calendar: one such record must not stop the collector."""
    assert date_text(day(created)) == expected


@pytest.mark.parametrize(
    ("record", "kept"),
    [
        ({"RecordType": 40, "Category": "InsiderRiskManagement"}, True),
        ({"RecordType": "SecurityComplianceAlerts", "Category": "insiderriskmanagement"}, True),
        ({"RecordType": 40, "Category": "ThreatManagement"}, False),
        ({"RecordType": 40}, False),
        ({"RecordType": 25, "Category": "InsiderRiskManagement"}, False),
        ({"RecordType": 307}, False),
        ({}, False),
        ([], False),
        (None, False),
        ("text", False),
    ],
)
def test_only_insider_risk_alerts_are_kept(record: object, kept: bool) -> None:  # noqa: FBT001
    """Audit.General also has everybody's Teams sessions."""
    assert RecordFilter().accepts(record) is kept


def test_other_types_and_categories_are_opt_in() -> None:
    """An opted-in type is kept in every category."""
    wanted = RecordFilter(frozenset({"threatmanagement"}), frozenset({307}))
    assert wanted.accepts({"RecordType": 307})
    assert wanted.accepts({"RecordType": 40, "Category": "ThreatManagement"})
    assert not wanted.accepts({"RecordType": 40, "Category": "InsiderRiskManagement"})


def test_a_synthetic_alert_as_a_row() -> None:
    """Id is renamed, because the name is reserved; times are UTC; other fields go to AdditionalFields."""
    record = alert_record(1, 1, 1_795_262_400, "t")
    made = shaped(record)
    assert made["RecordId"] == record["Id"]
    assert made["CreationTime"] == "2026-11-21T12:00:00Z"
    assert made["RecordType"] == 40
    assert json.loads(made["Data"])["userPrincipalName"] == "person0001@contoso.com"
    assert made["AlertLinks"] == record["AlertLinks"]
    assert made["AdditionalFields"] == {"Version": 1}
    assert "TimeGenerated" not in made  # the rule sets it: the same record gives the same bytes
    assert {"Id", "Version"}.isdisjoint(made)


@pytest.mark.parametrize(
    ("field", "value", "column", "expected"),
    [
        ("RecordType", "SecurityComplianceAlerts", "RecordType", 40),
        ("UserType", "4", "UserType", 4),
        ("Name", {"a": 1}, "Name", '{"a":1}'),
        ("Data", {"userPrincipalName": "x"}, "Data", '{"userPrincipalName":"x"}'),
        ("AlertLinks", '[{"AlertLinkHref":"h"}]', "AlertLinks", [{"AlertLinkHref": "h"}]),
        ("AlertLinks", "not json", "AlertLinks", "not json"),
        ("Name", "half \ud83d here", "Name", "half ? here"),
        ("CreationTime", "2026-11-21T14:00:00+02:00", "CreationTime", "2026-11-21T12:00:00Z"),
        ("CreationTime", "2026-11-21T12:00:00.1234567", "CreationTime", "2026-11-21T12:00:00.123456Z"),
    ],
)
def test_values_get_their_columns_type(field: str, value: object, column: str, expected: object) -> None:
    """Values that the rule would reject or drop are converted."""
    assert shaped({"Id": "1", field: value})[column] == expected


@pytest.mark.parametrize(
    ("field", "value"), [("UserType", "Admin"), ("UserType", 2**40), ("CreationTime", "yesterday")]
)
def test_a_value_that_does_not_fit_its_column_goes_to_additional_fields(field: str, value: object) -> None:
    """No field of a record is dropped."""
    made = shaped({"Id": "1", field: value})
    assert field not in made
    assert made["AdditionalFields"] == {field: value}


def test_numbers_that_json_lacks_become_null() -> None:
    """1e999 is parsed as infinity, which no upload may contain."""
    made = shaped({"Id": "1", "Odd": [float("inf"), 1.5], "Data": {"x": float("nan")}})
    assert made["AdditionalFields"] == {"Odd": [None, 1.5]}
    assert made["Data"] == '{"x":null}'


def test_a_record_nested_too_deeply_keeps_its_flat_fields() -> None:
    """One odd record must not stop the collector."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    made = shaped({"Id": "1", "Name": "n", "AlertLinks": deep})
    assert (made["RecordId"], made["Name"]) == ("1", "n")
    assert made["AdditionalFields"] == {"CutFields": ["AlertLinks"]}


def test_a_long_data_stays_json_and_keeps_the_user() -> None:
    """Truncated in the middle, it would not be JSON, and the alert would have no user."""
    data = json.dumps({"evidence": "x" * 100_000, "userPrincipalName": "sarad@contoso.com"})
    made = row({"Id": "1", "Data": data}, COLUMNS)
    kept = json.loads(made.line)
    assert json.loads(kept["Data"]) == {"userPrincipalName": "sarad@contoso.com"}
    assert kept["AdditionalFields"] == {"CutFields": ["Data"]}
    assert made.cut == 1


def test_a_long_text_is_cut_between_characters() -> None:
    """The service would cut it too, silently."""
    kept = shaped({"Id": "1", "Comments": "é" * 40_000})
    assert len(kept["Comments"].encode()) == MAX_FIELD_BYTES
    assert kept["AdditionalFields"]["CutFields"] == ["Comments"]


def test_a_row_that_is_still_too_large_is_cut_further() -> None:
    """Every row fits into an upload, and names its shortened fields."""
    record = {column.name: "x" * 70_000 for column in COLUMNS if column.type == "string"}
    made = row({**record, "Id": "1", "Other": "y" * 70_000}, COLUMNS)
    assert len(made.line) <= MAX_ROW_BYTES
    kept = json.loads(made.line)
    assert kept["RecordId"] == "1"
    assert {"Name", "AdditionalFields"} <= set(kept["AdditionalFields"]["CutFields"])


def test_the_key_does_not_depend_on_the_order_of_fields() -> None:
    """The API delivers a record again with its fields in another order."""
    record = alert_record(1, 0, 1_795_262_400, "t")
    turned = dict(reversed(record.items()))
    assert key_of(record) == key_of(turned)
    assert key_of({"Id": "ABC"}) == key_of({"Id": "abc", "Other": 1})
    assert key_of({"A": 1, "B": 2}) == key_of({"B": 2, "A": 1})
    assert key_of({"A": 1}) != key_of({"A": 2})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
NAMES = st.sampled_from([column.name for column in COLUMNS] + ["Id", "Other", ""]) | st.text()


@given(st.dictionaries(NAMES, VALUES, max_size=12))
def test_any_record_becomes_a_row_of_the_stream(record: dict[str, Any]) -> None:
    """Valid JSON within the limit, only declared columns, no value lost."""
    made = row(record, COLUMNS)
    assert len(made.line) <= MAX_ROW_BYTES
    kept = json.loads(made.line, parse_constant=pytest.fail)
    stream = next(t for t in transforms.load(content.root()) if t.table.name == TABLE.name)
    assert kept.keys() <= {column.name for column in stream.columns}
    rest = kept.get("AdditionalFields", {})
    for name, value in record.items():
        if value is not None and not made.cut and name not in {"Id", "RecordType"}:
            clean = name.encode("utf-8", "replace").decode()
            assert clean in kept or clean in rest, name
