"""The directory on disk: dated versions, replaced as a whole, read without a lock."""

from __future__ import annotations

import os
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from irmcore.errors import ConfigurationError, DamageError, UnknownFormat, WaitError
from irmcore.identity.directory import Directory
from irmcore.identity.person import Version

from tests.common.irmcore.identity.people import FIRST, day, person, write

SARA = replace(
    person(1, "Sara@contoso.com", "sara@contoso.com"),
    account_names=("CONTOSO\\sara", "sara"),
    sid="S-1-5-21-7",
    employee_id="7",
    groups=("Staff", "Berlin"),
    country="DE",
)
LEO = person(2, "leo@contoso.com")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the directory will be."""
    return tmp_path / "new" / "identities.sqlite"


def test_what_is_put_is_read(path: Path) -> None:
    """Everything about a person is there again, with the times of the readings."""
    write(path, {FIRST: [SARA, LEO], day(3): [SARA, LEO]})
    with Directory(path) as directory:
        assert list(directory.people()) == [SARA, LEO]
        assert (directory.first_sync, directory.last_sync) == (FIRST, day(3))
        assert directory.delta_link == f"link of {day(3)}"
        for name in (SARA.object_id, "SARA@contoso.com", "contoso\\SARA", "sara", "s-1-5-21-7", "7 "):
            assert directory.versions_of_name(name) == [Version(SARA, FIRST, None, None)]
        assert directory.versions_of_name("nobody") == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_version_begins_with_each_change(path: Path) -> None:
    """A change of names or state begins a version; groups and country are those of today."""
    moved = replace(SARA, groups=("Staff",), country="FR")
    renamed = replace(moved, upn="sara.d@contoso.com")
    write(path, {FIRST: [SARA], day(3): [SARA], day(4): [moved], day(5): [renamed], day(6): []})
    with Directory(path) as directory:
        assert directory.versions_of_name("sara@contoso.com") == [
            Version(replace(moved, groups=("Staff",)), FIRST, day(5), None),
            Version(renamed, day(5), day(6), day(4)),
            Version(replace(renamed, deleted=True, enabled=False), day(6), None, day(5)),
        ]


def test_many_names_at_once(path: Path) -> None:
    """More names than one query takes give what each gives alone."""
    people = [person(n, f"user{n}@contoso.com", f"mail{n}@contoso.com") for n in range(1_200)]
    write(path, {FIRST: people})
    with Directory(path) as directory:
        names = [f"Mail{n}@contoso.com" for n in range(1_200)]
        found = directory.versions_of_names([*names, "nobody@contoso.com"])
        assert found == {name.lower(): directory.versions_of_name(name) for name in names}


def test_a_sync_that_is_not_committed_changes_nothing(path: Path) -> None:
    """Neither a sync that ends without commit nor one that is killed leaves a trace in the directory."""
    write(path, {FIRST: [SARA]})
    before = path.read_bytes()
    with Directory(path, writable=True) as directory:
        directory.begin(day(3))
        directory.put(LEO, day(3))
    assert path.read_bytes() == before
    assert not path.with_name("identities.sqlite.part").exists()
    path.with_name("identities.sqlite.part").write_bytes(b"left by a sync that was killed")
    write(path, {day(4): [SARA, LEO]})
    with Directory(path) as directory:
        assert list(directory.people()) == [SARA, LEO]


def test_a_reader_keeps_its_state(path: Path) -> None:
    """A run that began before a sync ended sees the directory as it was."""
    write(path, {FIRST: [SARA]})
    with Directory(path) as reader:
        state = reader.state
        write(path, {day(3): [SARA, LEO]})
        assert list(reader.people()) == [SARA]
        with Directory(path) as other:
            assert list(other.people()) == [SARA, LEO]
            assert other.state != state


def test_a_worker_process_reads_the_same_state_or_nothing(path: Path) -> None:
    """After a fork the file is opened again; if it was replaced in the meantime, that is an error."""
    write(path, {FIRST: [SARA]})
    with Directory(path) as directory:

        def in_a_worker() -> int:
            process = os.fork()
            if process == 0:
                try:
                    os._exit(len(list(directory.people())))
                except DamageError:
                    os._exit(77)
            return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

        assert in_a_worker() == 1
        write(path, {day(3): [SARA, LEO]})
        assert in_a_worker() == 77
        assert list(directory.people()) == [SARA]


def test_one_sync_at_a_time(path: Path) -> None:
    """A second sync is told to wait."""
    with Directory(path, writable=True) as first, Directory(path, writable=True) as second:
        first.begin(FIRST)
        with pytest.raises(WaitError, match="another process writes the directory"):
            second.begin(FIRST)


def test_no_directory(path: Path) -> None:
    """A reader of a directory that does not exist is told how to get one."""
    with pytest.raises(ConfigurationError, match="there is no directory of people") as caught:
        Directory(path)
    assert caught.value.next_step == "Run: irmexport identities sync"
    with Directory(path, writable=True) as directory:
        assert (directory.delta_link, directory.first_sync, list(directory.people())) == ("", None, [])


def test_another_file(path: Path) -> None:
    """A file that is no directory, or one of a newer version, is refused."""
    path.parent.mkdir()
    path.write_text("not a database, but long enough to look like one" * 100)
    with pytest.raises(ConfigurationError, match="not a directory of people"):
        Directory(path)
    path.unlink()
    write(path, {FIRST: [SARA]})
    with sqlite3.connect(path) as database:
        database.execute("UPDATE facts SET value = 'irmexport identities 2' WHERE name = 'format'")
    database.close()
    with pytest.raises(UnknownFormat):
        Directory(path)


def test_a_clock_that_went_back(path: Path) -> None:
    """A sync with a time before the last one would falsify all versions: it is refused."""
    write(path, {day(5): [SARA]})
    with (
        Directory(path, writable=True) as directory,
        pytest.raises(ConfigurationError, match="clock is behind"),
    ):
        directory.begin(day(4))


def test_a_damaged_page_is_reported(path: Path) -> None:
    """For readers and writers, with what to do; a writer changes nothing."""
    people = [person(n, f"user{n}@contoso.com") for n in range(300)]
    write(path, {FIRST: people})
    good = path.read_bytes()
    path.write_bytes(good[:8_192] + b"\xff" * (len(good) - 8_192))
    damaged = path.read_bytes()
    with pytest.raises(DamageError, match=r"damaged.*new one.*irmexport identities sync"):
        Directory(path).versions_of_names(f"user{n}@contoso.com" for n in range(300))
    with pytest.raises(DamageError, match="damaged"):
        write(path, {day(3): people})
    assert path.read_bytes() == damaged
    assert not path.with_name("identities.sqlite.part").exists()


def test_who_is_forgotten_is_unknown(path: Path) -> None:
    """Nothing is left of that person, and the next sync continues where it would have."""
    write(path, {FIRST: [SARA, LEO], day(3): [LEO], day(5): [LEO]})
    with Directory(path) as directory:
        assert directory.former(day(3)) == []
        assert directory.former(day(4)) == [SARA.object_id]
        assert set(directory.times()) == {FIRST, day(3), day(5)}
    with Directory(path, writable=True) as directory:
        directory.begin(day(5))
        directory.forget([SARA.object_id])
        directory.commit(directory.delta_link, day(5))
    with Directory(path) as directory:
        assert list(directory.people()) == [LEO]
        assert directory.delta_link == f"link of {day(5)}"
        for name in (SARA.object_id, "sara@contoso.com", "7"):
            assert directory.versions_of_name(name) == []
    content = path.read_bytes()
    assert [name for name in (b"sara", SARA.object_id.encode()) if name in content] == []
