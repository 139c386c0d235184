"""Columns: a cell's canonical text or its refusal, by the column's type and allowed values."""

from __future__ import annotations

from typing import Any

import pytest
from irmcore.profile import Column
from irmcore.reasons import Refused
from irmcore.shaping.columns import Given, Memo, converter

ALLOWED: dict[str, Any] = {"allowed": ("Low", "High"), "mapping": {"low": "Low", "": "Low"}}
OTHERWISE: dict[str, Any] = {**ALLOWED, "otherwise": "High"}
SWAPPED: dict[str, Any] = {"allowed": ("Low", "High"), "mapping": {"Low": "High"}}
SOURCE: dict[str, Any] = {"role": "source", "related_values": ("Salesforce", "Drop box")}


def column(kind: str, **changes: Any) -> Column:
    """An optional column of this type."""
    values: dict[str, Any] = {
        "header": "h",
        "field": "f",
        "type": kind,
        "role": "information",
        "required": False,
        "format": "auto",
        "allowed": (),
        "mapping": {},
        "otherwise": None,
        "related_values": (),
    }
    return Column(**{**values, **changes})


def outcome(of: Column, cell: str, zone: str | None = None) -> str:
    """The canonical text, or the reason code in angle brackets."""
    try:
        return converter(of, Given(zone))(cell)
    except Refused as refused:
        return f"<{refused.code}>"


@pytest.mark.parametrize(
    ("of", "zone", "cell", "expected"),
    [
        (column("user"), None, "SaraD@Contoso.com", "sarad@contoso.com"),
        (column("user"), None, "sarad", "<upn-without-domain>"),
        (column("number"), None, "1.50", "1.5"),
        (column("number"), None, "1,5", "<number-grouped>"),
        (column("datetime"), None, "2023-04-24T05:52:56Z", "2023-04-24T05:52:56.000000+00:00"),
        (column("datetime"), None, "2023-04-24 05:52:56", "<time-without-zone>"),
        (column("datetime"), "UTC", "2023-04-24 05:52:56", "2023-04-24T05:52:56.000000+00:00"),
        (column("datetime"), "Europe/Berlin", "2023-04-24 05:52:56", "2023-04-24T03:52:56.000000+00:00"),
        (column("datetime"), None, "1682315576.962686", "2023-04-24T05:52:56.962686+00:00"),
        (column("datetime"), None, "1682315576962", "<time-epoch-milliseconds>"),
        (column("datetime", format="epoch"), None, "7", "1970-01-01T00:00:07.000000+00:00"),
        (column("datetime", format="epoch_ms"), None, "1682315576962", "2023-04-24T05:52:56.962000+00:00"),
        (column("datetime", format="iso8601"), None, "1682315576", "<time-malformed>"),
        (column("string"), None, "  as it is, ", "  as it is, "),
        (column("string"), None, "bell\x07", "<control-character>"),
        (column("string", **ALLOWED), None, "Low", "Low"),
        (column("string", **ALLOWED), None, "low", "Low"),
        (column("string", **ALLOWED), None, "LOW", "<value-not-allowed>"),
        (column("string", **ALLOWED), None, "Low ", "<value-not-allowed>"),
        (column("string", **ALLOWED), None, "\udcff", "<value-not-allowed>"),
        (column("string", **ALLOWED), None, "", ""),
        (column("string", **OTHERWISE), None, "LOW", "High"),
        (column("string", **OTHERWISE), None, "low", "Low"),
        (column("string", **OTHERWISE), None, "", ""),
        (column("string", **SWAPPED), None, "Low", "High"),
        (column("string", **SOURCE), None, "Salesforce", "Salesforce"),
        (column("string", **SOURCE), None, "Drop box", "Drop box"),
        (column("string", **SOURCE), None, "salesforce", "<source-not-related>"),
        (column("string", **SOURCE), None, "Salesforce ", "<source-not-related>"),
        (column("string", **SOURCE, mapping={"SFDC": "Salesforce"}), None, "SFDC", "Salesforce"),
    ],
)
def test_a_cell(of: Column, zone: str | None, cell: str, expected: str) -> None:
    """A cell becomes the canonical text of its column's type, or is refused by it."""
    assert outcome(of, cell, zone) == expected


@pytest.mark.parametrize("kind", ["user", "number", "datetime", "string"])
@pytest.mark.parametrize(("required", "expected"), [(True, "<missing-value>"), (False, "")])
def test_an_empty_cell(kind: str, required: bool, expected: str) -> None:  # noqa: FBT001
    """An empty cell is refused where a value is required and stays empty elsewhere, whatever the type."""
    assert outcome(column(kind, required=required), "") == expected


@pytest.mark.parametrize("cell", ["SaraD@Contoso.com", "sarad"])
def test_a_cell_that_comes_again(cell: str) -> None:
    """Converting a cell again gives the same result, also for a refusal."""
    convert = converter(column("user"), Given(None))
    answers = []
    for _ in range(2):
        try:
            answers.append(convert(cell))
        except Refused as refused:
            answers.append(refused.code)
    assert answers[0] == answers[1]


def test_a_memo_asks_once_and_never_grows_over_its_limit() -> None:
    """A memo converts each key once while it remembers it, and starts anew when it is full."""
    asked: list[str] = []

    def convert(key: str) -> int:
        asked.append(key)
        return len(key)

    memo = Memo(convert)
    assert [memo["a"], memo["a"], memo["bb"]] == [1, 1, 2]
    assert asked == ["a", "bb"]
    for number in range(20_000 - 2):
        assert memo[f"key {number}"] == len(f"key {number}")
    assert len(memo) == 20_000
    assert memo["last"] == 4
    assert len(memo) == 1
    assert memo["a"] == 1
    assert asked.count("a") == 2


def test_a_memo_does_not_remember_a_refusal() -> None:
    """Refused cells take no memory, however many there are."""
    convert = converter(column("user"), Given(None))
    for number in range(3):
        assert outcome(column("user"), f"bad {number}") == "<upn-without-domain>"
        with pytest.raises(Refused):
            convert(f"bad {number}")
    assert len(convert.__self__) == 0  # type: ignore[attr-defined]
