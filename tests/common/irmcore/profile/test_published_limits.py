"""Published limits: those of Microsoft's pages, what comes near to them, and that nothing else is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from irmcore.profile import Profile, parse, shipped_names, shipped_text
from irmcore.profile.published_limits import (
    LIMITS,
    Finding,
    counted_twice,
    indicators,
    of_age,
    of_profiles,
    of_rows,
    of_users,
    triggers,
)

from tests.common.irmcore.profiles import TEXT

DAY = 86_400
SHIPPED = [parse(shipped_text(name), name) for name in shipped_names()]
HR = parse(shipped_text("hr"), "hr")
PROFILES = parse(shipped_text("hr-employee-profiles"), "hr-employee-profiles")


def made(sources: int = 0, *, columns: int = 0, name: str = "demo", kind: str = "indicator") -> Profile:
    """A profile with so many source values, and so many more columns."""
    text = TEXT.replace("name: demo", f"name: {name}\nkind: {kind}")
    values = ", ".join(f"S{number}" for number in range(sources))
    if sources:
        text += f"  - {{header: source, type: string, role: source, related_values: [{values}]}}\n"
    text += "".join(f"  - {{header: c{number}, type: string}}\n" for number in range(columns))
    return parse(text, name)


def told(found: Iterable[Finding]) -> list[tuple[str, int, bool]]:
    """The limit, the count, and whether it is passed."""
    return [(one.limit.name, one.number, one.passed) for one in found]


def test_the_limits_are_those_of_the_pages() -> None:
    """Each number is the one of Microsoft's page, and says where and when it was read."""
    assert {name: limit.most for name, limit in LIMITS.items()} == {
        "custom indicators": 10,
        "indicator fields": 20,
        "indicator variants": 3,
        "custom triggers": 15_000,
        "HR signals": 15_000,
        "triggers": 50_000,
        "look-back": 90,
        "users: Data leaks": 15_000,
        "users: Data leaks by priority users": 1_000,
        "users: Data leaks by risky users": 7_500,
        "users: Data theft by departing users": 20_000,
        "users: Security policy violations by departing users": 15_000,
        "users: Security policy violations by risky users": 7_500,
        "users: Patient data misuse": 5_000,
        "rows: insider-risk-indicators": 5_000,
        "rows: hr": 500,
        "Remarks": 200,
        "Rating": 25,
        "Employee profile": 30,
    }
    for limit in LIMITS.values():
        assert limit.source.startswith("https://")
        assert len(limit.read) == len("2026-11-30")


@pytest.mark.parametrize("profile", SHIPPED, ids=shipped_names())
def test_a_shipped_profile_passes_no_limit(profile: Profile) -> None:
    """What we ship can be created in a tenant that has no custom indicator yet."""
    assert not [one for one in of_profiles([profile]) if one.passed]
    assert indicators(profile) <= 10
    assert len(profile.columns) <= 20


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (7, []),
        (8, [("custom indicators", 8, False)]),
        (10, [("custom indicators", 10, False)]),
        (11, [("custom indicators", 11, True)]),
    ],
)
def test_a_profile_may_need_ten_indicators(sources: int, expected: list[tuple[str, int, bool]]) -> None:
    """There is one for each source value and threshold."""
    assert told(of_profiles([made(sources)])) == expected


def test_all_connectors_share_ten_indicators() -> None:
    """Profiles of two connectors add up; two profiles of one connector with the same values do not."""
    six, other = made(6), made(6, name="other")
    assert told(of_profiles([six, other])) == []  # one job id: one connector, the same indicators
    elsewhere = other.at(replace(other.connector, job_id="99999999-9999-4999-8999-999999999999"))
    found = of_profiles([six, elsewhere, HR])
    assert told(found) == [("custom indicators", 12, True)]
    assert found[0].text.startswith(
        "2 profiles together: 12 of at most 10 custom indicators of a tenant (https:"
    )


@pytest.mark.parametrize(("columns", "passed"), [(11, None), (12, False), (16, False), (17, True)])
def test_an_indicator_has_twenty_fields(columns: int, *, passed: bool | None) -> None:
    """Four columns and so many more."""
    found = told(of_profiles([made(columns=columns)]))
    assert found == ([] if passed is None else [("indicator fields", 4 + columns, passed)])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(made(kind="trigger"), 11_999)], []),
        ([(made(kind="trigger"), 12_000)], [("custom triggers", 12_000, False)]),
        ([(made(kind="trigger"), 8_000), (made(kind="trigger"), 7_001)], [("custom triggers", 15_001, True)]),
        ([(made(), 100_000)], []),
        ([(HR, 15_001)], [("HR signals", 15_001, True)]),
        (
            [(HR, 20_000), (made(kind="trigger"), 20_000)],
            [("custom triggers", 20_000, True), ("HR signals", 20_000, True), ("triggers", 40_000, False)],
        ),
    ],
    ids=["few", "near", "two connectors", "indicators", "hr", "organization"],
)
def test_a_days_rows(rows: list[tuple[Profile, int]], expected: list[tuple[str, int, bool]]) -> None:
    """Triggers and HR data are counted apart and together; a row of an indicator triggers nothing."""
    assert told(of_rows(rows)) == expected
    assert any(triggers(profile) for profile, _ in rows) or not expected


@pytest.mark.parametrize(
    ("profile", "users", "expected"),
    [
        (made(kind="trigger"), 799, []),
        (made(kind="trigger"), 1_001, ["Data leaks by priority users"]),
        (made(kind="trigger"), 15_001, ["Data leaks", "Data leaks by priority users"]),
        (made(), 100_000, []),
        (PROFILES, 5_001, ["Patient data misuse"]),
        (
            HR,
            12_000,
            [
                "Security policy violations by departing users",
                "Data leaks by risky users",
                "Security policy violations by risky users",
            ],
        ),
    ],
    ids=["few", "priority", "leaks", "indicators", "profiles", "hr"],
)
def test_the_templates_that_people_come_into_scope_of(
    profile: Profile, users: int, expected: list[str]
) -> None:
    """The number of people is compared with each template that the rows may serve."""
    assert [one.limit.name.removeprefix("users: ") for one in of_users(profile, users)] == expected


@pytest.mark.parametrize(("days", "passed"), [(14, None), (15, False), (30, False), (31, True)])
def test_employee_profiles_that_lapse(days: int, *, passed: bool | None) -> None:
    """After 15 days without a run a refresh is due, after 30 days the records are gone."""
    found = told(of_age(PROFILES, 1_000_000, 1_000_000 + days * DAY))
    assert found == ([] if passed is None else [("Employee profile", days, passed)])
    assert of_age(PROFILES, 0, 1e9) == []  # no run is on record
    assert of_age(HR, 1_000_000, 1e9) == []  # nothing of it lapses


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("BoxDownload, USB", ("Box",)),
        ("Dropbox, Inbound", ("Dropbox",)),
        ("GoogleDriveDownload, Google", ("Google Drive",)),
        ("Google Drive share", ("Google Drive",)),
        ("AwsSecretRead", ("Amazon S3",)),
        ("S3", ("Amazon S3",)),
        ("AZURE_BLOB", ("Azure",)),
        ("Mailbox, Sandboxed, Driven", ()),
    ],
)
def test_products_with_indicators_of_microsofts_own(values: str, expected: tuple[str, ...]) -> None:
    """A source value names the product as a word of its own."""
    text = TEXT + f"  - {{header: source, type: string, role: source, related_values: [{values}]}}\n"
    assert counted_twice(parse(text, "demo")) == expected
