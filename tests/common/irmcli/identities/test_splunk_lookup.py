"""The lookup for Splunk says of each name and time what the resolver says."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from irmcli.identities.splunk_lookup import COLUMNS, END, LookupRow, lookup_rows, write_lookup
from irmcore.identity.directory import Directory
from irmcore.identity.person import Person, normal
from irmcore.identity.resolver import UNKNOWN, VALIDITY_UNKNOWN, Resolved, Resolver

DAY = 86_400


def directory_of(path: Path, *days: Iterable[Person]) -> Directory:
    """A directory that was read on each of these days, counted from 1,000 days after 1970."""
    for number, people in enumerate(days):
        at = float((1_000 + number) * DAY)
        with Directory(path, writable=True) as directory:
            directory.begin(at)
            for person in people:
                directory.put(person, at)
            directory.commit("", at)
    return Directory(path)


def person(number: int, upn: str, *mails: str, enabled: bool = True, created: float | None = None) -> Person:
    """A person with a user principal name and addresses."""
    return Person(f"id-{number}", upn, mails=mails, enabled=enabled, created=created)


def rows_of(directory: Directory, name: str) -> list[LookupRow]:
    """The rows of one name."""
    return [row for row in lookup_rows(directory) if row.name == name]


def test_a_name_that_changes_hands_has_a_row_for_each_holder(tmp_path: Path) -> None:
    """Between the two readings that saw the change, the name is nobody's for certain."""
    with directory_of(
        tmp_path / "people.sqlite",
        [person(1, "ana@x.org", "sales@x.org"), person(2, "ben@x.org")],
        [],
        [person(1, "ana@x.org"), person(2, "ben@x.org", "sales@x.org")],
    ) as directory:
        rows = rows_of(directory, "sales@x.org")
    assert rows == [
        LookupRow("sales@x.org", "ana@x.org", "address", 1_000 * DAY, 1_001 * DAY, 1),
        LookupRow("sales@x.org", "ana@x.org", VALIDITY_UNKNOWN, 1_001 * DAY, 1_002 * DAY, 2),
        LookupRow("sales@x.org", "ben@x.org", VALIDITY_UNKNOWN, 1_001 * DAY, 1_002 * DAY, 2),
        LookupRow("sales@x.org", "ben@x.org", "address", 1_002 * DAY, END, 1),
    ]


def test_a_shared_name_has_a_row_for_each_person(tmp_path: Path) -> None:
    """With their number, and the reason."""
    with directory_of(
        tmp_path / "people.sqlite", [person(1, "ana@x.org", "s@x.org"), person(2, "ben@x.org", "S@x.org")]
    ) as directory:
        rows = rows_of(directory, "s@x.org")
    assert {(row.user_principal_name, row.kind, row.holders) for row in rows} == {
        ("ana@x.org", "user-ambiguous", 2),
        ("ben@x.org", "user-ambiguous", 2),
    }


def test_an_object_id_has_one_row_for_all_times(tmp_path: Path) -> None:
    """It never changes hands. The name is the current one."""
    with directory_of(
        tmp_path / "people.sqlite", [person(1, "ana@x.org")], [person(1, "ana2@x.org")]
    ) as directory:
        assert rows_of(directory, "id-1") == [LookupRow("id-1", "ana2@x.org", "object-id", 0, END, 1)]


def test_the_file_has_the_agreed_columns(tmp_path: Path) -> None:
    """The app's macro reads them by name."""
    file = io.StringIO()
    with directory_of(tmp_path / "people.sqlite", [person(1, "Ana@x.org", created=5.0)]) as directory:
        assert write_lookup(directory, file) == 2
    assert COLUMNS == ("name", "user_principal_name", "kind", "valid_from", "valid_to", "holders")
    assert file.getvalue().splitlines() == [
        "name,user_principal_name,kind,valid_from,valid_to,holders",
        f"ana@x.org,Ana@x.org,upn,5,{END},1",
        f"id-1,Ana@x.org,object-id,0,{END},1",
    ]


def test_no_row_holds_longer_than_the_directory_may_be_used(tmp_path: Path) -> None:
    """An old lookup refuses later events. Rows of earlier times stay as they are."""
    first, later = [person(1, "ana@x.org", created=0.0)], [person(1, "ana2@x.org", created=0.0)]
    with directory_of(tmp_path / "people.sqlite", first, later) as directory:
        rows = {row.name: row for row in lookup_rows(directory, 7 * DAY) if row.holders == 1}
    assert rows["id-1"] == LookupRow("id-1", "ana2@x.org", "object-id", 0, 1_008 * DAY, 1)
    assert rows["ana2@x.org"].valid_to == 1_008 * DAY
    assert rows["ana@x.org"].valid_to == 1_001 * DAY


@pytest.mark.parametrize("seed", range(20))
def test_the_lookup_agrees_with_the_resolver(tmp_path: Path, seed: int) -> None:
    """For random directories, at each time of each name: the same person, or refused with the same reason."""
    chance = random.Random(seed)  # noqa: S311 - made-up people
    names = [f"n{number}@x.org" for number in range(6)]

    def some() -> Person:
        number = chance.randrange(4)
        return person(
            number,
            chance.choice(names),
            *chance.sample(names, chance.randrange(3)),
            enabled=chance.random() < 0.8,
            created=chance.choice([None, 500.0 * DAY]),
        )

    days = [{one.object_id: one for one in (some() for _ in range(3))}.values() for _ in range(4)]
    with directory_of(tmp_path / "people.sqlite", *days) as directory:
        rows = list(lookup_rows(directory))
        resolver = Resolver(directory)
        for name in (*names, "id-0", "id-3", "nobody"):
            mine = [row for row in rows if row.name == normal(name)]
            for moment in range(400 * DAY, 1_006 * DAY, DAY // 2):
                answer = resolver.resolve(name, moment)
                fits = [row for row in mine if row.valid_from <= moment < row.valid_to]
                if isinstance(answer, Resolved):
                    assert [(row.user_principal_name, row.kind, row.holders) for row in fits] == [
                        (answer.upn, answer.how, 1)
                    ]
                elif fits:
                    assert {row.kind for row in fits} == {answer.code}
                    assert all(row.holders != 1 for row in fits)
                    assert tuple(row.user_principal_name for row in fits) == answer.candidates
                else:
                    assert answer.code in (VALIDITY_UNKNOWN, UNKNOWN)
