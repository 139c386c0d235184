"""A CSV file as the directory of people."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from irmcli.identities.people_file import import_people
from irmcore.errors import ConfigurationError, InputError
from irmcore.identity.directory import Directory
from irmcore.identity.resolver import Refusal, Resolved, Resolver

DAY = 86_400.0
START = 1_770_000_000.0
ANA = "00000000-0000-0000-0000-00000000000A"
FILE = f"""\
User_Principal_Name,object_id,mails,account_names,employee_id,enabled,created,groups,country
ana@contoso.com,{ANA},ana.k@contoso.com; ak@contoso.com,CONTOSO\\ana;ana,7,yes,2020-01-01T00:00Z,g1;g2,DE
ben@contoso.com,,,,8,no,,,
"""


def written(tmp_path: Path, text: str) -> Path:
    """The text as a file."""
    file = tmp_path / "people.csv"
    file.write_text(text, encoding="utf-8-sig")
    return file


def test_all_columns_are_read(tmp_path: Path) -> None:
    """Names are found by any of a person's names, in any letter case."""
    path = tmp_path / "people.sqlite"
    assert import_people(written(tmp_path, FILE), path, START) == (2, 0)
    with Directory(path) as directory:
        ana, ben = directory.people()
        resolver = Resolver(directory)
        for name in ("AK@contoso.com", "contoso\\ANA", "ana", "7", "ana@contoso.com", ana.object_id):
            assert isinstance(resolver.resolve(name, START + DAY), Resolved), name
        assert isinstance(resolver.resolve("8", START + DAY), Refusal)
        assert isinstance(resolver.resolve("ben@contoso.com", START + DAY), Resolved)
    assert (ana.groups, ana.country, ana.created) == (("g1", "g2"), "DE", 1_577_836_800)
    assert (ben.enabled, ben.created) == (False, None)


def test_who_is_missing_from_the_next_file_was_deleted(tmp_path: Path) -> None:
    """The file is the whole directory; the names of those who left stay known."""
    path = tmp_path / "people.sqlite"
    import_people(written(tmp_path, FILE), path, START)
    smaller = written(tmp_path, "user_principal_name\nben@contoso.com\n")
    assert import_people(smaller, path, START + DAY, accept_removals=True) == (1, 1)
    with Directory(path) as directory:
        assert {person.upn: person.deleted for person in directory.people()} == {
            "ana@contoso.com": True,
            "ben@contoso.com": False,
        }


@pytest.mark.parametrize(("before", "after"), [(2, 1), (10, 5), (12, 6), (100, 50)])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, before: int, after: int) -> None:
    """Half of the people or more are missing: nothing changes unless the administrator confirms it."""
    lines = ["user_principal_name\n", *(f"user{number}@contoso.com\n" for number in range(before))]
    path = tmp_path / "people.sqlite"
    import_people(written(tmp_path, "".join(lines)), path, START)
    state, file = path.read_bytes(), written(tmp_path, "".join(lines[: 1 + after]))
    message = f"{before - after} of the directory's {before} people are missing .*--accept-removals"
    with pytest.raises(InputError, match=message):
        import_people(file, path, START + DAY)
    assert path.read_bytes() == state
    more = written(tmp_path, "".join(lines[: 2 + after]))
    assert import_people(more, path, START + DAY) == (after + 1, before - after - 1)


def test_a_user_principal_name_that_passed_on_is_another_person(tmp_path: Path) -> None:
    """Without object ids: rows of the person who left are not the new person's, who stays one person."""
    path, header = tmp_path / "people.sqlite", "user_principal_name,mails\n"
    files = (
        "kim@contoso.com,kim.a@contoso.com",
        "zed@contoso.com,",
        *["kim@contoso.com,kim.b@contoso.com"] * 2,
    )
    for day, line in enumerate(files):
        file = written(tmp_path, f"{header}{line}\n")
        import_people(file, path, START + day * DAY, accept_removals=True)
    with Directory(path) as directory:
        assert sorted(person.upn for person in directory.people()) == ["kim@contoso.com"] * 2 + [
            "zed@contoso.com"
        ]
        resolver = Resolver(directory)
        for name in ("kim.a@contoso.com", "kim@contoso.com"):
            assert isinstance(resolver.resolve(name, START + 60), Refusal), name
        for name in ("kim.b@contoso.com", "kim@contoso.com"):
            assert isinstance(resolver.resolve(name, START + 4 * DAY), Resolved), name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,user_principal_name\nx,ana@contoso.com\n", r"people\.csv:1: the columns .*`identity\.map`"),
        ("mails\nx\n", "user_principal_name is required"),
        (
            "user_principal_name\n\nana@contoso.com\n\nana@contoso.com\n",
            r":5: the person is in the file twice",
        ),
        ("user_principal_name,sid\nana@contoso.com\n", ":2: the row has another number of cells"),
        ('user_principal_name\n"ana@contoso.com\n', "the quotes do not match"),
        ("user_principal_name,created\nana@contoso.com,yesterday\n", "`created` is not a date"),
        ("user_principal_name,enabled\nana@contoso.com,FALSCH\n", "`enabled` is neither true nor false"),
        ("user_principal_name,object_id\nx@contoso.com,ben@contoso.com\n", ":2: `object_id` is not a GUID"),
        ("user_principal_name,object_id\nx@contoso.com,user:x\n", "or leave the cell empty"),
        ("user_principal_name,sid\n,S-1\n", "the user principal name is empty"),
    ],
)
def test_a_wrong_file_changes_nothing(tmp_path: Path, text: str, message: str) -> None:
    """The message has file and line, and no value."""
    path = tmp_path / "people.sqlite"
    import_people(written(tmp_path, FILE), path, START)
    before = path.read_bytes()
    with pytest.raises(InputError, match=message) as refused:
        import_people(written(tmp_path, text), path, START + DAY)
    assert "ana" not in str(refused.value)
    assert path.read_bytes() == before


def test_a_time_in_the_future_is_refused(tmp_path: Path) -> None:
    """The directory would not become old; a clock that is a little behind does no harm."""
    path, file = tmp_path / "people.sqlite", written(tmp_path, FILE)
    with pytest.raises(ConfigurationError, match=r"in the future.*Correct --at"):
        import_people(file, path, time.time() + DAY + 60)
    assert not path.exists()
    assert import_people(file, path, time.time() + DAY - 60) == (2, 0)


def test_a_directory_read_from_entra_is_not_overwritten(tmp_path: Path) -> None:
    """Both would delete each other's people."""
    path = tmp_path / "people.sqlite"
    with Directory(path, writable=True) as directory:
        directory.begin(START)
        directory.commit("https://graph.microsoft.com/v1.0/users/delta?$deltatoken=x", START)
    with pytest.raises(ConfigurationError, match="read from Microsoft Entra ID"):
        import_people(written(tmp_path, FILE), path, START + DAY)


@pytest.mark.usefixtures("csvs_own_limit")
def test_a_person_may_have_many_groups(tmp_path: Path) -> None:
    """They are one cell, which may have more characters than csv reads by itself."""
    groups = ";".join(f"group {number:06}" for number in range(15_000))
    file = written(tmp_path, f"user_principal_name,groups\nana@contoso.com,{groups}\n")
    assert import_people(file, tmp_path / "people.sqlite") == (1, 0)
