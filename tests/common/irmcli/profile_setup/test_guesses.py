"""Guesses: literal samples, and the type and role that each column gets."""

from __future__ import annotations

import pytest
from irmcli.profile_setup.column_stats import count_values, lacks_header
from irmcli.profile_setup.guesses import Guess, Roles, guess, possible_source

U, T = "sarad@contoso.com", "2026-11-20T08:00:00Z"


def guessed(columns: dict[str, list[str]], **options: object) -> list[Guess]:
    """The guesses for a sample, given column by column."""
    rows = list(zip(*columns.values(), strict=True))
    return guess(count_values(list(columns), rows), Roles(**options)).columns  # type: ignore[arg-type]


def roles(columns: dict[str, list[str]], **options: object) -> list[str]:
    """Type and role of each column."""
    return [f"{made.type} {made.role}" for made in guessed(columns, **options)]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"who": [U], "at": [T], "n": ["4"]}, ["user user", "datetime time", "number threshold"]),
        # Of two user columns or two time columns, the name decides.
        (
            {"manager": [U], "UPN": [U], "created": [T], "EventTime": [T]},
            ["string information", "user user", "string information", "datetime time"],
        ),
        # Epoch seconds are times if the name says so, otherwise numbers.
        ({"user": [U], "_time": ["1763625600"]}, ["user user", "datetime time"]),
        (
            {"user": [U], "at": [T], "bytes": ["1763625600"]},
            ["user user", "datetime time", "number threshold"],
        ),
        # Digits that identify something are not numbers.
        (
            {"user": [U], "at": [T], "EmployeeId": ["4711"], "plant": ["007"], "Count": ["3"]},
            ["user user", "datetime time", "string information", "string information", "number threshold"],
        ),
        # Of several number columns, those named like a count or score are thresholds.
        (
            {"user": [U], "at": [T], "RiskScore": ["1"], "Width": ["2"]},
            ["user user", "datetime time", "number threshold", "number information"],
        ),
        # One number column is a threshold, unless its number says which or how bad, not how much.
        (
            {"user": [U], "at": [T], "http_status": ["200"]},
            ["user user", "datetime time", "string information"],
        ),
        ({"user": [U], "at": [T], "Severity": ["3"]}, ["user user", "datetime time", "string information"]),
        (
            {"user": [U], "at": [T], "geo.latitude": ["52.5"]},
            ["user user", "datetime time", "string information"],
        ),
        # An empty column is text.
        ({"user": [U], "at": [T], "note": [""]}, ["user user", "datetime time", "string information"]),
        # If no value helps, the name decides.
        ({"UserPrincipalName": ["sarad"], "Date": ["yesterday"]}, ["user user", "datetime time"]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_types_and_roles(columns: dict[str, list[str]], expected: list[str]) -> None:
    """Values decide first, then names."""
    assert roles(columns) == expected


def test_a_bad_row_or_two_do_not_change_a_type() -> None:
    """A column has a type if nine of ten values have its form."""
    columns = {"user": [U] * 9 + ["SARAD"], "at": [T] * 9 + ["?"], "n": ["4"] * 9 + ["n/a"]}
    assert roles(columns) == ["user user", "datetime time", "number threshold"]
    assert roles({"user": [U] * 10, "at": [T] * 10, "n": ["4"] * 8 + ["n/a"] * 2})[2] == "string information"


def test_options_take_precedence() -> None:
    """A column named in an option has its role, whatever its values look like."""
    columns = {"a": [U], "b": [U], "c": [T], "d": [T], "e": ["x"], "f": ["1"], "g": ["2"]}
    assert roles(columns, user="b", time="d", source="e", thresholds=("g",)) == [
        "string information",
        "user user",
        "string information",
        "datetime time",
        "string source",
        "number information",
        "number threshold",
    ]


@pytest.mark.parametrize(
    ("value", "form", "zoneless"),
    [
        (T, "auto", False),
        ("2026-11-20 08:00:00", "auto", True),
        ("1763625600.123", "epoch", False),
        ("1763625600123", "epoch_ms", False),
    ],
)
def test_time_formats(value: str, form: str, *, zoneless: bool) -> None:
    """The format that the profile needs, and whether a time zone is missing."""
    made = guessed({"user": [U], "time": [value]})[1]
    assert (made.role, made.format, made.zoneless) == ("time", form, zoneless)


def test_a_number_that_few_rows_have_is_no_threshold() -> None:
    """A row without a threshold is refused; a key misspelt in some rows would refuse all."""
    columns = {
        "user": [U] * 4,
        "time": [T] * 4,
        "risk score": ["1.5", "", "2.5", "3"],
        "risk scroe": ["", "2", "", ""],
    }
    made = {column.header: column for column in guessed(columns)}
    assert (made["risk score"].role, made["risk scroe"].role) == ("threshold", "information")


def test_a_possible_source_column_is_found() -> None:
    """A column with a few values and a name such as workload; neither one value nor many will do."""
    rows = [(U, T, w, str(i), "same") for i, w in enumerate(["Salesforce", "Dropbox"] * 15)]
    seen = count_values(["user", "time", "Source_Workload", "app", "vendor"], rows)
    assert possible_source(seen, guess(seen, Roles()).columns) == "Source_Workload"
    seen = count_values(["user", "time", "app"], [(U, T, f"app {i}") for i in range(30)])
    assert possible_source(seen, guess(seen, Roles()).columns) is None


def test_a_first_line_with_values_is_not_a_header() -> None:
    """A user, a time or a number among the names means that the file has no header."""
    assert lacks_header([U, "b"])
    assert lacks_header(["a", T])
    assert lacks_header(["a", "12"])
    assert not lacks_header(["UserPrincipalName", "PredictionTime", "Score 2"])
