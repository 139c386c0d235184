"""The macro irmexport_user(1): a name becomes one certain person, or is refused with its candidates."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from irmcore.reasons import Refused
from irmcore.shaping.upn import canonical

from tests.splunk_app import spl, spl_run
from tests.splunk_app.test_content import DAY, LOOKUPS, lookup_of, macros

LATER = DAY + 30 * 86_400
NOON = DAY + 12 * 3600
ES = {"irmexport_directory": "`irmexport_from_es`"}
#: A directory that was first read long before DAY: name, person, kind, from, to, holders.
LINES = (
    ("ana@contoso.com", "ana@contoso.com", "upn", 0, LATER, 1),
    ("a.kova@contoso.com", "ana@contoso.com", "address", 0, LATER, 1),
    ("contoso\\ana", "ana@contoso.com", "account-name", 0, LATER, 1),
    ("ana", "ana@contoso.com", "account-name", 0, LATER, 1),
    ("4711", "ana@contoso.com", "account-name", 0, LATER, 1),
    ("8d7e0a2c-51a8-4c36-9c9a-6a1d7c0b4f11", "ana@contoso.com", "object-id", 0, LATER, 1),
    ("s-1-5-21-1004336348-1177238915-682003330-1104", "ana@contoso.com", "sid", 0, LATER, 1),
    # Jane's second address is J.'s user principal name.
    ("j.smith@contoso.com", "j.smith@contoso.com", "upn", 0, LATER, 1),
    ("j.smith@contoso.com", "jane.smith@contoso.com", "address", 0, LATER, 1),
    # A team's address that two people have, once with a line each and once with one that only counts them.
    ("sales@contoso.com", "ana@contoso.com", "address", 0, LATER, 2),
    ("sales@contoso.com", "ben@contoso.com", "address", 0, LATER, 2),
    ("team@contoso.com", "ana@contoso.com", "address", 0, LATER, 2),
    # Passed from Ben to Eva at noon.
    ("b@contoso.com", "ben@contoso.com", "address", 0, NOON, 1),
    ("b@contoso.com", "eva@contoso.com", "address", NOON, LATER, 1),
    # The same local part in another domain.
    ("ana@fabrikam.com", "ana.f@fabrikam.com", "address", 0, LATER, 1),
    ("guest_gmail.com#ext#@contoso.com", "guest_gmail.com#ext#@contoso.com", "upn", 0, LATER, 1),
    ("guest@gmail.com", "guest_gmail.com#ext#@contoso.com", "address", 0, LATER, 1),
    # Renamed at noon; the old name stayed as an address.
    ("mia.old@contoso.com", "mia.new@contoso.com", "upn", 0, NOON, 1),
    ("mia.old@contoso.com", "mia.new@contoso.com", "address", NOON, LATER, 1),
    # First seen the day after, so nobody knows who had it before.
    ("new@contoso.com", "cem@contoso.com", "address", DAY + 2 * 86_400, LATER, 1),
    # First seen at noon.
    ("noon@contoso.com", "cem@contoso.com", "address", NOON, LATER, 1),
    # The directory was not read while it changed hands.
    ("gap@contoso.com", "ana@contoso.com", "address", 0, NOON, 1),
    ("gap@contoso.com", "ana@contoso.com", "user-validity-unknown", NOON, NOON + 60, 2),
    ("gap@contoso.com", "ben@contoso.com", "user-validity-unknown", NOON, NOON + 60, 2),
    ("gap@contoso.com", "ben@contoso.com", "address", NOON + 60, LATER, 1),
    # Left at noon, and left long ago: an address needs an active account, a user principal name does not.
    ("leaver.alias@contoso.com", "leaver@contoso.com", "address", 0, NOON, 1),
    ("leaver.alias@contoso.com", "leaver@contoso.com", "user-unknown", NOON, LATER, 0),
    ("gone.alias@contoso.com", "gone@contoso.com", "user-unknown", 0, LATER, 0),
    ("gone@contoso.com", "gone@contoso.com", "upn", 0, LATER, 1),
    # The user principal name of one until noon, then the address of another.
    ("eva@contoso.com", "eva@contoso.com", "upn", 0, NOON, 1),
    ("eva@contoso.com", "cem@contoso.com", "address", NOON, LATER, 1),
)


def table(lines: Iterable[tuple[object, ...]], **reading: Any) -> spl_run.Lookup:
    """The lookup irmexport_identities with these lines."""
    return lookup_of(
        "irmexport_identities", "".join(",".join(map(str, line)) + "\n" for line in lines), **reading
    )


def resolved(
    name: str,
    directory: spl_run.Lookup | None = None,
    accounts: str = "",
    day: int = DAY,
    others: dict[str, spl_run.Lookup] | None = None,
    **switched: str,
) -> str:
    """What a name becomes on a day."""
    search = spl.expanded(
        "index=t | `irmexport_user(user)` | table user, UserPrincipalName", macros(**switched)
    )
    lookups = {
        **LOOKUPS,
        **(others or {}),
        "irmexport_accounts": lookup_of("irmexport_accounts", accounts),
        "irmexport_identities": directory or table(LINES),
    }
    (row,) = spl_run.run(search, [{"index": "t", "_time": day, "user": name}], lookups)
    assert row["user"] == name
    return str(row["UserPrincipalName"])


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("ana@contoso.com", "ana@contoso.com"),
        (" ANA@Contoso.com ", "ana@contoso.com"),
        ("A.Kova@contoso.com", "ana@contoso.com"),
        ("CONTOSO\\Ana", "ana@contoso.com"),
        ("Ana", "ana@contoso.com"),
        ("4711", "ana@contoso.com"),
        ("8D7E0A2C-51A8-4C36-9C9A-6A1D7C0B4F11", "ana@contoso.com"),
        ("S-1-5-21-1004336348-1177238915-682003330-1104", "ana@contoso.com"),
        ("j.smith@contoso.com", "j.smith@contoso.com"),
        ("ana@fabrikam.com", "ana.f@fabrikam.com"),
        ("guest@gmail.com", "guest_gmail.com#ext#@contoso.com"),
        ("mia.old@contoso.com", "mia.new@contoso.com"),
        ("sales@contoso.com", "?ambiguous sales@contoso.com: ana@contoso.com, ben@contoso.com"),
        ("team@contoso.com", "?ambiguous team@contoso.com: ana@contoso.com"),
        ("b@contoso.com", "?ambiguous b@contoso.com: ben@contoso.com, eva@contoso.com"),
        ("new@contoso.com", "?validity-unknown new@contoso.com: cem@contoso.com"),
        ("noon@contoso.com", "?validity-unknown noon@contoso.com: cem@contoso.com"),
        ("gap@contoso.com", "?validity-unknown gap@contoso.com: ana@contoso.com, ben@contoso.com"),
        ("leaver.alias@contoso.com", "leaver@contoso.com"),
        ("gone.alias@contoso.com", "?unknown gone.alias@contoso.com: gone@contoso.com"),
        ("gone@contoso.com", "gone@contoso.com"),
        ("eva@contoso.com", "?ambiguous eva@contoso.com: cem@contoso.com, eva@contoso.com"),
        ("ben@contoso.com", "?unknown ben@contoso.com"),
        ("FABRIKAM\\ana", "?unknown fabrikam\\ana"),
        ("00000003-0000-0000-c000-000000000000", "?unknown 00000003-0000-0000-c000-000000000000"),
        ("NT AUTHORITY\\SYSTEM", "?unknown nt authority\\system"),
    ],
)
def test_a_name_resolves_to_one_certain_person_or_is_refused(name: str, user: str) -> None:
    """By identifier or exact user principal name, then by what one person has; never by a local part."""
    assert resolved(name) == user


@pytest.mark.parametrize(
    ("day", "user"),
    [
        (DAY - 86_400, "ben@contoso.com"),
        (DAY, "?ambiguous b@contoso.com: ben@contoso.com, eva@contoso.com"),
        (DAY + 86_400, "eva@contoso.com"),
        (LATER, "?validity-unknown b@contoso.com: ben@contoso.com, eva@contoso.com"),
    ],
)
def test_an_address_that_was_passed_on_resolves_by_the_day(day: int, user: str) -> None:
    """On the day itself both had it; after the file is too old, nobody is certain."""
    assert resolved("b@contoso.com", day=day) == user


@pytest.mark.parametrize("keeps_empty", [True, False])
@pytest.mark.parametrize("column", range(1, 6))
def test_a_line_with_an_empty_cell_never_decides(column: int, *, keeps_empty: bool) -> None:
    """Whichever way Splunk reads an empty cell, and alone or next to another line of the name."""
    line: list[object] = ["x", "ana@contoso.com", "address", 0, LATER, 1]
    line[column] = ""
    other = ("x", "ben@contoso.com", "address", LATER, LATER + 1, 1)
    for lines in ([tuple(line)], [tuple(line), other], [other, tuple(line)]):
        assert resolved("x", table(lines, keeps_empty=keeps_empty)).startswith("?")


def test_without_a_directory_a_name_with_a_domain_is_the_user() -> None:
    """As before there was one. Once it is required, an empty lookup refuses every name."""
    empty = table([])
    assert resolved("CONTOSO\\Ana@contoso.com", empty) == "ana@contoso.com"
    assert resolved("CONTOSO\\ana", empty) == "ana"
    append = 'eval UserPrincipalName=lower(replace(\'$user$\', "^.*\\\\\\\\", "")) . "@contoso.com"'
    switched = {"irmexport_upn(1)": append}
    assert resolved("CONTOSO\\Ana", empty, **switched) == "ana@contoso.com"
    required = {"irmexport_directory_required": "true()"}
    assert resolved("ana@contoso.com", empty, **required) == "?unknown ana@contoso.com"
    assert resolved("CONTOSO\\Ana", **switched, **required) == "ana@contoso.com"
    assert resolved("FABRIKAM\\Ana", **switched) == "?unknown fabrikam\\ana"


def test_the_administrators_mapping_comes_first() -> None:
    """It names the user or excludes the name; a name that it lists twice is refused."""
    accounts = "J.Smith@contoso.com,Jane.Smith@contoso.com\nbot,\ngithub/ana-x,ana@contoso.com\n"
    for directory in (table([]), table(LINES)):
        assert resolved("j.smith@contoso.com", directory, accounts) == "jane.smith@contoso.com"
        assert resolved("github/ana-x", directory, accounts) == "ana@contoso.com"
        assert resolved("BOT", directory, accounts) == "?excluded bot"
    twice = "x,ana@contoso.com\nx,ben@contoso.com\ny,\ny,ben@contoso.com\n"
    assert resolved("x", accounts=twice) == "?ambiguous x: ana@contoso.com, ben@contoso.com"
    assert resolved("y", accounts=twice).startswith("?ambiguous y: ")


def identities(*aliases_and_address: tuple[str, str]) -> dict[str, spl_run.Lookup]:
    """Enterprise Security's lookup: one line for each alias of an identity."""
    rows = [{"identity": alias, "email": address} for alias, address in aliases_and_address]
    return {"identity_lookup_expanded": spl_run.Lookup(rows, case_sensitive=False)}


def test_enterprise_security_resolves_by_alias() -> None:
    """An exact user principal name comes first, several identities are ambiguous, and others are unknown."""
    es = identities(
        ("ana", "Ana@contoso.com"),
        ("contoso\\ana", "Ana@contoso.com"),
        ("j.smith@contoso.com", "jane.smith@contoso.com"),
        ("j.smith@contoso.com", "j.smith@contoso.com"),
        ("jan", "jan.k@contoso.com"),
        ("jan", "jan.s@contoso.com"),
        ("printer", ""),
    )
    for name, user in (
        ("CONTOSO\\Ana", "ana@contoso.com"),
        ("j.smith@contoso.com", "j.smith@contoso.com"),
        ("jan", "?ambiguous jan: jan.k@contoso.com, jan.s@contoso.com"),
        ("cem@contoso.com", "?unknown cem@contoso.com"),
    ):
        assert resolved(name, table([]), others=es, **ES) == user
    assert resolved("jan", accounts="jan,jan.k@contoso.com\n", others=es, **ES) == "jan.k@contoso.com"
    with pytest.raises(KeyError):  # without Enterprise Security the search fails, hence the switch
        resolved("jan", **ES)


def test_another_field_of_enterprise_security_may_have_the_user() -> None:
    """A custom field, where the address is not the user principal name."""
    rows = [{"identity": "ana", "email": "a.kova@contoso.com", "upn": "ana@contoso.com"}]
    es = {"identity_lookup_expanded": spl_run.Lookup(rows, case_sensitive=False)}
    assert resolved("ana", others=es, irmexport_es_upn="upn", **ES) == "ana@contoso.com"


@pytest.mark.parametrize("name", ["sales@contoso.com", "new@contoso.com", "ben@contoso.com", "contoso\\x"])
def test_what_does_not_resolve_is_refused_by_irmexport(name: str) -> None:
    """A marker is no user principal name."""
    marker = resolved(name)
    assert marker.startswith("?")
    with pytest.raises(Refused):
        canonical(marker)


KINDS = ("upn", "address", "account-name", "object-id", "sid")
TIMES = st.integers(-3, 3).map(lambda days: DAY + days * 86_400 + 7 * 3600)


@st.composite
def directories(draw: st.DrawFn) -> list[tuple[object, ...]]:
    """Lines of one name, each with the number of people who have it as this kind at any moment of it."""
    spans = draw(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.sampled_from(KINDS), TIMES, TIMES).filter(
                lambda span: span[2] < span[3]
            ),
            min_size=1,
            max_size=5,
        )
    )
    lines: list[tuple[object, ...]] = []
    for person, kind, start, end in spans:
        holders = {
            other
            for other, of_kind, since, until in spans
            if of_kind == kind and since < end and start < until
        }
        lines.append(("x", f"{person}@contoso.com", kind, start, end, len(holders)))
    return lines


@given(directories(), st.integers(-4, 4))
@settings(max_examples=300, deadline=None)
def test_a_name_never_becomes_somebody_else(lines: list[tuple[object, ...]], days: int) -> None:
    """Against the rule written out anew: who may have had the name at some moment of the day?"""
    day = DAY + days * 86_400
    exact, having = set(), set()
    for _, person, kind, start, end, holders in lines:
        had = [int(str(start)) <= day + minute * 60 < int(str(end)) for minute in range(25 * 60)]
        if all(had) and holders == 1 and kind in ("upn", "object-id", "sid"):
            exact.add((person, holders))
        if any(had):
            having.add((person, holders))
    having = exact or having
    if all(int(str(start)) > day for _, _, _, start, _, _ in lines):
        having = set()  # the day begins before the name was first seen
    people = {person for person, _ in having}
    answer = resolved("x", table(lines), day=day)
    if len(people) == 1 and {holders for _, holders in having} == {1}:
        assert {answer} == people
    else:
        assert answer.startswith("?ambiguous x: " if having else "?validity-unknown x: ")


def test_the_order_of_the_lines_decides_nothing() -> None:
    """Several lines of one name give the same answer in any order."""
    lines = [
        line for line in LINES if line[0] in ("j.smith@contoso.com", "sales@contoso.com", "b@contoso.com")
    ]
    for name in ("j.smith@contoso.com", "sales@contoso.com", "b@contoso.com"):
        answers = {resolved(name, table(order)) for order in itertools.permutations(lines)}
        assert len(answers) == 1
