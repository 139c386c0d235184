"""The rule, case by case: who is meant by a name at a time."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from irmcore.identity.directory import Directory
from irmcore.identity.person import Person
from irmcore.identity.resolver import Answer, Refusal, Resolved, Resolver

from tests.common.irmcore.identity.people import FIRST, LONG_AGO, Reading, day, disabled, person, write

JANE = person(1, "jane.smith@contoso.com", "jane.smith@contoso.com", "j.smith@contoso.com")
JOHN = person(2, "j.smith@contoso.com", "john@contoso.com")
ANA = person(3, "ana.k@contoso.com", "ana.k@contoso.com")
ADMIN = person(4, "adm-ana@contoso.com", "ana.k@contoso.com")
ON_PREMISES = replace(
    person(5, "sarad@contoso.com", "sarad@contoso.com", "sara.davis@contoso.com"),
    account_names=("CONTOSO\\sarad", "sarad"),
    sid="S-1-5-21-1-2-3-1105",
    employee_id="00042",
)
GUEST = person(6, "kim_fabrikam.com#EXT#@contoso.onmicrosoft.com", "kim@fabrikam.com")
ROBOT = replace(person(7, "robot@contoso.com"), is_person=False)
KIM_ABROAD = person(8, "kim@contoso.de", "kim@contoso.de")
KIM = person(9, "kim@contoso.com", "kim@contoso.com")
EVERYBODY = [JANE, JOHN, ANA, ADMIN, ON_PREMISES, GUEST, ROBOT, KIM_ABROAD, KIM]


def answer(path: Path, readings: Reading, name: str, at: float, end: float | None = None) -> Answer:
    """What the directory of these readings says; the answer for all times must agree."""
    with Directory(write(path / "identities.sqlite", readings)) as directory:
        resolver = Resolver(directory)
        found = resolver.resolve(name, at, end)
        steady = resolver.history(name).steady()
        if steady is not None and at >= steady[1]:
            assert isinstance(found, Resolved)
            assert replace(steady[0], how=found.how) == found
        return found


def meant(found: Answer) -> str:
    """The user principal name, or the reason code and the candidates."""
    if isinstance(found, Resolved):
        return found.upn
    return " ".join([found.code, *found.candidates])


@pytest.mark.parametrize(
    ("name", "user", "how"),
    [
        ("J.Smith@Contoso.com", JOHN, "upn"),
        ("  jane.smith@contoso.com ", JANE, "upn"),
        ("ana.k@contoso.com", ANA, "upn"),
        ("adm-ana@contoso.com", ADMIN, "upn"),
        ("john@contoso.com", JOHN, "address"),
        ("sara.davis@contoso.com", ON_PREMISES, "address"),
        ("contoso\\SARAD", ON_PREMISES, "account-name"),
        ("sarad", ON_PREMISES, "account-name"),
        ("00042", ON_PREMISES, "account-name"),
        ("s-1-5-21-1-2-3-1105", ON_PREMISES, "sid"),
        ("00000000-0000-0000-0000-000000000003", ANA, "object-id"),
        ("KIM_fabrikam.com#ext#@contoso.onmicrosoft.com", GUEST, "upn"),
        ("kim@fabrikam.com", GUEST, "address"),
        ("kim@contoso.de", KIM_ABROAD, "upn"),
        ("kim@contoso.com", KIM, "upn"),
    ],
)
def test_who_is_meant(tmp_path: Path, name: str, user: Person, how: str) -> None:
    """Object id and SID come first, then an exact user principal name, then a name that one person has."""
    found = answer(tmp_path, {FIRST: EVERYBODY}, name, day(5, 9.1))
    assert found == Resolved(user.upn, user.object_id, how)


def test_two_letters_are_never_one(tmp_path: Path) -> None:
    """`ß` is not `ss`, nor the sign of kelvin a `k`: no user principal name has them, other names may."""
    sharp = person(1, "strauss.a@contoso.com", "strauß@contoso.com")
    double = person(2, "strauss.b@contoso.com", "strauss@contoso.com")
    both = {FIRST: [sharp, double, KIM]}
    for name, user in (
        ("STRAUß@contoso.com", sharp),
        ("STRAUẞ@contoso.com", sharp),
        ("Strauss@contoso.com", double),
    ):
        assert meant(answer(tmp_path, both, name, day(5, 9.1))) == user.upn
    alone = answer(tmp_path / "one", {FIRST: [sharp]}, "strauss@contoso.com", day(5, 9.1))
    assert meant(alone) == "user-unknown"
    for kelvin, kim in (("\u212aim@contoso.com", "kim@contoso.com"), ("\u212aürt", "kürt")):
        one = {FIRST: [replace(KIM, account_names=(kim,))]}
        assert meant(answer(tmp_path / kim, one, kelvin, day(5, 9.1))) == "user-unknown"
        assert meant(answer(tmp_path / kim, one, kim.upper(), day(5, 9.1))) == KIM.upn
    assert meant(answer(tmp_path, both, "KIM@contoso.com", day(5, 9.1))) == KIM.upn


@pytest.mark.parametrize(
    "name", ["robot@contoso.com", ROBOT.object_id, "kim", "42", "nobody@contoso.com", ""]
)
def test_nobody_is_meant(tmp_path: Path, name: str) -> None:
    """A service principal is nobody, and a name is never matched in part."""
    assert answer(tmp_path, {FIRST: EVERYBODY}, name, day(5, 9.1)) == Refusal("user-unknown")


def test_a_name_of_several_people(tmp_path: Path) -> None:
    """A mail address that two active people have is refused with both."""
    people = [JANE, replace(JOHN, upn="john.s@contoso.com", mails=("j.smith@contoso.com",))]
    assert answer(tmp_path, {FIRST: people}, "j.smith@contoso.com", day(5, 9.1)) == Refusal(
        "user-ambiguous", ("jane.smith@contoso.com", "john.s@contoso.com")
    )


def test_a_disabled_second_account(tmp_path: Path) -> None:
    """Of two people with an address, only one of whom is active, the active one is meant."""
    people = [disabled(ADMIN), person(10, "ana@contoso.com", "ana.k@contoso.com")]
    assert meant(answer(tmp_path, {FIRST: people}, "ana.k@contoso.com", day(5, 9.1))) == "ana@contoso.com"
    both = [disabled(each) for each in people]
    assert meant(answer(tmp_path / "b", {FIRST: both}, "ana.k@contoso.com", day(5, 9.1))) == (
        "user-ambiguous adm-ana@contoso.com ana@contoso.com"
    )


def test_a_disabled_person(tmp_path: Path) -> None:
    """An exact user principal name means a person who is disabled, too; an address does not."""
    people = {FIRST: [JOHN], day(4): [disabled(JOHN)]}
    assert meant(answer(tmp_path, people, "j.smith@contoso.com", day(5, 9.1))) == "j.smith@contoso.com"
    found = answer(tmp_path / "b", people, "john@contoso.com", day(5, 9.1))
    assert found == Refusal("user-unknown", ("j.smith@contoso.com",))
    assert meant(answer(tmp_path / "c", people, "john@contoso.com", day(3, 9.1))) == "j.smith@contoso.com"


LEAVER = person(11, "li@contoso.com", "finance@contoso.com")
HIRED = person(12, "mo@contoso.com", "finance@contoso.com", created=day(6, 8))
PASSED_ON = {
    FIRST: [LEAVER],
    day(4): [LEAVER],
    day(5): [LEAVER],
    day(6): [LEAVER],
    day(7): [HIRED],
    day(8): [HIRED],
}


@pytest.mark.parametrize(
    ("at", "end", "expected"),
    [
        (day(3, 9.1), None, "li@contoso.com"),
        (day(6, 7.9), None, "li@contoso.com"),
        # Between two readings it is not known when the address passed on.
        (day(6, 9.1), None, "user-validity-unknown li@contoso.com mo@contoso.com"),
        (day(7), None, "mo@contoso.com"),
        (day(9, 9.1), None, "mo@contoso.com"),
        # A row that only knows the day.
        (day(5), day(6), "li@contoso.com"),
        (day(6), day(7), "user-validity-unknown li@contoso.com mo@contoso.com"),
        (day(6, 12), day(7, 12), "user-ambiguous li@contoso.com mo@contoso.com"),
        (day(7), day(8), "mo@contoso.com"),
    ],
)
def test_an_address_that_passes_on(tmp_path: Path, at: float, end: float | None, expected: str) -> None:
    """An address of a leaver and then of a new hire resolves by the time of the row, or is refused."""
    assert meant(answer(tmp_path, PASSED_ON, "finance@contoso.com", at, end)) == expected


def test_a_user_principal_name_that_passes_on(tmp_path: Path) -> None:
    """Rows of a leaver whose name somebody else has now are refused: they would become the other's."""
    first, second = person(13, "max@contoso.com"), person(14, "max@contoso.com", created=day(8))
    people = {FIRST: [first], day(6): [], day(9): [second]}
    assert meant(answer(tmp_path, people, "max@contoso.com", day(3, 9.1))) == "user-ambiguous max@contoso.com"
    assert answer(tmp_path / "b", people, "max@contoso.com", day(10, 9.1)) == Resolved(
        "max@contoso.com", second.object_id, "upn"
    )


def test_a_renamed_user(tmp_path: Path) -> None:
    """A row of the old name's time is sent under the new name; the old name means nobody afterwards."""
    old = person(15, "mia.old@contoso.com")
    people = {FIRST: [old], day(6): [replace(old, upn="mia.new@contoso.com")]}
    assert answer(tmp_path, people, "mia.old@contoso.com", day(3, 9.1)) == Resolved(
        "mia.new@contoso.com", old.object_id, "upn"
    )
    assert meant(answer(tmp_path / "b", people, "mia.old@contoso.com", day(7, 9.1))) == (
        "user-validity-unknown mia.new@contoso.com"
    )
    assert meant(answer(tmp_path / "c", people, "mia.new@contoso.com", day(7, 9.1))) == "mia.new@contoso.com"
    by_id = answer(tmp_path / "d", people, old.object_id, day(3, 9.1))
    assert by_id == Resolved("mia.new@contoso.com", old.object_id, "object-id")


def test_a_renamed_user_who_keeps_the_address(tmp_path: Path) -> None:
    """As Exchange does, the old name stays an address: it means the same person throughout."""
    old = person(15, "mia.old@contoso.com")
    new = replace(old, upn="mia.new@contoso.com", mails=("mia.old@contoso.com",))
    for number, at in enumerate((day(3, 9.1), day(5, 9.1), day(7, 9.1))):
        found = answer(tmp_path / str(number), {FIRST: [old], day(6): [new]}, "mia.old@contoso.com", at)
        assert meant(found) == "mia.new@contoso.com"


@pytest.mark.parametrize(
    ("people", "name", "expected"),
    [
        ([JOHN], "j.smith@contoso.com", "j.smith@contoso.com"),
        ([JOHN], JOHN.object_id, "j.smith@contoso.com"),
        ([ON_PREMISES], "S-1-5-21-1-2-3-1105", "sarad@contoso.com"),
        ([JOHN], "john@contoso.com", "user-validity-unknown j.smith@contoso.com"),
        ([ON_PREMISES], "CONTOSO\\sarad", "user-validity-unknown sarad@contoso.com"),
        # Somebody else has it in another form, and may have had it as a user principal name.
        (
            [JOHN, JANE],
            "j.smith@contoso.com",
            "user-validity-unknown j.smith@contoso.com jane.smith@contoso.com",
        ),
        (
            [replace(JOHN, created=None)],
            "j.smith@contoso.com",
            "user-validity-unknown j.smith@contoso.com",
        ),
        (
            [replace(JOHN, created=day(1, 12))],
            "j.smith@contoso.com",
            "user-validity-unknown j.smith@contoso.com",
        ),
        # A person who was deleted before the first reading.
        (
            [JOHN, replace(person(20, "j.smith@contoso.com"), deleted=True, enabled=False)],
            "j.smith@contoso.com",
            "user-validity-unknown j.smith@contoso.com",
        ),
    ],
)
def test_before_the_first_reading(tmp_path: Path, people: list[Person], name: str, expected: str) -> None:
    """Only what cannot have changed hands resolves."""
    assert meant(answer(tmp_path, {FIRST: people}, name, day(1, 9.1))) == expected


def test_the_day_of_the_first_reading(tmp_path: Path) -> None:
    """A row that only knows its day may be from before the first reading, so an address is refused."""
    people = {day(2, 10): [JOHN]}
    assert meant(answer(tmp_path, people, "john@contoso.com", day(2), day(3))) == (
        "user-validity-unknown j.smith@contoso.com"
    )
    questions = (
        ("john@contoso.com", day(2, 11.1), None),
        ("john@contoso.com", day(3), day(4)),
        ("j.smith@contoso.com", day(2), day(3)),
    )
    for name, at, end in questions:
        assert meant(answer(tmp_path, people, name, at, end)) == "j.smith@contoso.com"


def test_a_person_created_between_two_readings(tmp_path: Path) -> None:
    """A new user principal name that nobody else ever had resolves from the creation on."""
    new = person(21, "new@contoso.com", "new.address@contoso.com", created=day(5, 8))
    people = {FIRST: [JOHN], day(5): [JOHN], day(6): [JOHN, new]}
    expected = {
        (day(5, 7.9), "new@contoso.com"): "user-validity-unknown new@contoso.com",
        (day(5, 8.1), "new@contoso.com"): "new@contoso.com",
        (day(5, 8.1), "new.address@contoso.com"): "user-validity-unknown new@contoso.com",
        (day(6, 8.1), "new.address@contoso.com"): "new@contoso.com",
    }
    for number, ((at, name), user) in enumerate(expected.items()):
        assert meant(answer(tmp_path / str(number), people, name, at)) == user


def test_an_account_that_was_created_again(tmp_path: Path) -> None:
    """Of two objects with one SID the one that exists is meant; the SID is of one account."""
    before = replace(person(22, "pat@contoso.com"), sid="S-1-5-21-1-2-3-9")
    again = replace(before, object_id=person(23, "").object_id, upn="pat2@contoso.com", created=day(6))
    people = {FIRST: [before], day(6, 1): [again]}
    assert meant(answer(tmp_path, people, "S-1-5-21-1-2-3-9", day(3, 9.1))) == "pat2@contoso.com"
    assert meant(answer(tmp_path / "b", {FIRST: [before, again]}, "S-1-5-21-1-2-3-9", day(3, 9.1))) == (
        "user-ambiguous pat2@contoso.com pat@contoso.com"
    )


def test_an_explanation(tmp_path: Path) -> None:
    """An explanation has everybody who ever had the name, and since when."""
    with Directory(write(tmp_path / "identities.sqlite", PASSED_ON)) as directory:
        found = Resolver(directory).history("Finance@contoso.com")
    holders = found.holders(day(6, 9.1))
    assert [(each.person.upn, each.held, each.maybe) for each in holders] == [
        ("li@contoso.com", "address", ""),
        ("mo@contoso.com", "", "address"),
    ]
    assert [(each.person.upn, each.person.deleted, each.since, each.until) for each in found.versions] == [
        ("li@contoso.com", False, FIRST, day(7)),
        ("li@contoso.com", True, day(7), None),
        ("mo@contoso.com", False, day(7), None),
    ]
    assert found.versions[0].person.created == LONG_AGO


@pytest.mark.parametrize("name", ["0", "-", "Unknown", "n/a", "NULL", "none", "...", ""])
def test_a_placeholder_means_nobody(tmp_path: Path, name: str) -> None:
    """A directory that has it as a number, an account or an address does not make it somebody's name."""
    nobody = person(1, "ana@contoso.com", name)
    people = [replace(nobody, account_names=(name, "ana"), employee_id=name, sid=name)]
    path = write(tmp_path / "people.sqlite", {FIRST: people})
    stored = sqlite3.connect(path)
    assert stored.execute("SELECT count(*) FROM names").fetchone() == (3,)
    for table in ("names (name, number)", "steady (name, number, upn, since)"):  # an earlier version's
        values = "?, 1" if table.startswith("names") else "?, 1, 'ana@contoso.com', 0"
        stored.execute(f"INSERT INTO {table} VALUES ({values})", [name.lower()])  # noqa: S608
    stored.commit()
    stored.close()
    with Directory(path) as directory:
        resolver = Resolver(directory)
        assert isinstance(resolver.resolve(name, day(3)), Refusal)
        assert not resolver.steady([name.lower()])
        assert isinstance(resolver.resolve("ana", day(3)), Resolved)
