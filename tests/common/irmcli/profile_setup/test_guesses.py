"""What columns are taken for: literal samples, and the role, type and reason that each column gets."""

from __future__ import annotations

import pytest
from irmcli.profile_setup.guesses import Guess, Wishes, guess, headless, look, possible_source

U, T = "sarad@contoso.com", "2026-11-20T08:00:00Z"


def guessed(columns: dict[str, list[str]], **wishes: object) -> list[Guess]:
    """The guesses of a sample given by columns."""
    rows = list(zip(*columns.values(), strict=True))
    return guess(look(list(columns), rows), Wishes(**wishes))  # type: ignore[arg-type]


def roles(columns: dict[str, list[str]], **wishes: object) -> list[str]:
    """Type and role of each column."""
    return [f"{made.type} {made.role}" for made in guessed(columns, **wishes)]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"who": [U], "at": [T], "n": ["4"]}, ["user user", "datetime time", "number threshold"]),
        # Two columns of users, of times: the name decides.
        (
            {"manager": [U], "UPN": [U], "created": [T], "EventTime": [T]},
            ["string information", "user user", "string information", "datetime time"],
        ),
        # Epoch seconds are times where the name says so, else numbers.
        ({"user": [U], "_time": ["1763625600"]}, ["user user", "datetime time"]),
        (
            {"user": [U], "at": [T], "bytes": ["1763625600"]},
            ["user user", "datetime time", "number threshold"],
        ),
        # Digits that name something are no numbers.
        (
            {"user": [U], "at": [T], "EmployeeId": ["4711"], "plant": ["007"], "Count": ["3"]},
            ["user user", "datetime time", "string information", "string information", "number threshold"],
        ),
        # Of several numbers those whose names count or score.
        (
            {"user": [U], "at": [T], "RiskScore": ["1"], "Width": ["2"]},
            ["user user", "datetime time", "number threshold", "number information"],
        ),
        # An empty column is text.
        ({"user": [U], "at": [T], "note": [""]}, ["user user", "datetime time", "string information"]),
        # Names alone, where no value helps.
        ({"UserPrincipalName": ["sarad"], "Date": ["yesterday"]}, ["user user", "datetime time"]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_types_and_roles(columns: dict[str, list[str]], expected: list[str]) -> None:
    """Values decide, then names."""
    assert roles(columns) == expected


def test_a_bad_row_or_two_do_not_change_a_type() -> None:
    """Nine of ten values have the form: it is the column's."""
    columns = {"user": [U] * 9 + ["SARAD"], "at": [T] * 9 + ["?"], "n": ["4"] * 9 + ["n/a"]}
    assert roles(columns) == ["user user", "datetime time", "number threshold"]
    assert roles({"user": [U] * 10, "at": [T] * 10, "n": ["4"] * 8 + ["n/a"] * 2})[2] == "string information"


def test_what_the_administrator_says_stands() -> None:
    """Named columns have their role whatever their values look like."""
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
def test_how_times_are_written(value: str, form: str, *, zoneless: bool) -> None:
    """The form that the profile must name, and whether a time zone is missing."""
    made = guessed({"user": [U], "time": [value]})[1]
    assert (made.role, made.format, made.zoneless) == ("time", form, zoneless)


def test_a_possible_source_column_is_named() -> None:
    """A column of few values whose name says where rows come from; one value or many make no source."""
    rows = [(U, T, w, str(i), "same") for i, w in enumerate(["Salesforce", "Dropbox"] * 15)]
    seen = look(["user", "time", "Source_Workload", "app", "vendor"], rows)
    assert possible_source(seen, guess(seen, Wishes())) == "Source_Workload"
    seen = look(["user", "time", "app"], [(U, T, f"app {i}") for i in range(30)])
    assert possible_source(seen, guess(seen, Wishes())) is None


def test_a_first_line_of_values_is_no_header() -> None:
    """A user, a time or a number among the names: the file has no header."""
    assert headless([U, "b"])
    assert headless(["a", T])
    assert headless(["a", "12"])
    assert not headless(["UserPrincipalName", "PredictionTime", "Score 2"])
