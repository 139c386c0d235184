"""The dated store of people: one SQLite file, read by runs and replaced as a whole by each reading of Entra.

A sync writes a copy and renames it over the file, so a reader sees one state of the directory for as long as
it holds the file open, a sync that is killed leaves the old state, and reading needs no lock and no right to
write. The file holds personal data: it has mode 0600.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from irmcore.disk import Lock, make_dirs, system_disk
from irmcore.errors import DamageError, PeopleError, UnknownFormat, WaitError
from irmcore.identity import SYNC
from irmcore.identity.person import Person, Version, is_name, normal
from irmcore.ownership import require_own

_FORMAT = "irmexport identities 1"
#: Bytes of the file that are read without a copy.
_MAPPED = 1 << 30
#: Names in one query; SQLite before 3.32 takes at most 999 values.
_NAMES_AT_ONCE = 500
_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE people (
    number INTEGER PRIMARY KEY, object_id TEXT NOT NULL UNIQUE, created REAL, is_person INTEGER NOT NULL,
    groups TEXT NOT NULL, country TEXT NOT NULL);
CREATE TABLE versions (
    number INTEGER NOT NULL, since REAL NOT NULL, until REAL, after REAL, upn TEXT NOT NULL,
    mails TEXT NOT NULL, account_names TEXT NOT NULL, sid TEXT NOT NULL, employee_id TEXT NOT NULL,
    enabled INTEGER NOT NULL, deleted INTEGER NOT NULL, PRIMARY KEY (number, since)) WITHOUT ROWID;
CREATE TABLE names (name TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (name, number)) WITHOUT ROWID;
CREATE TABLE steady (
    name TEXT PRIMARY KEY, upn TEXT NOT NULL, since INTEGER NOT NULL, number INTEGER NOT NULL) WITHOUT ROWID;
"""
#: Fills `steady`: names that one person has who never changed, as `resolver.History.steady` decides them. All
#: other names are left to it. Sorted, because that is fast to write.
_FILL_STEADY = """
DELETE FROM steady;
CREATE TEMP TABLE unchanged AS
    SELECT number, upn, normal(upn) AS upn_name, normal(sid) AS sid, object_id, since, created, enabled
    FROM versions JOIN people USING (number)
    WHERE is_person AND NOT deleted AND until IS NULL AND after IS NULL;
CREATE TEMP TABLE shared AS SELECT name FROM names GROUP BY name HAVING count(*) > 1;
CREATE UNIQUE INDEX temp.shared_names ON shared (name);
INSERT INTO steady
    SELECT name, upn,
        CASE WHEN name IN (object_id, sid) THEN 0
            WHEN name = upn_name AND created IS NOT NULL THEN CAST(min(created, since) * 1e6 AS INTEGER) + 1
            ELSE CAST(since * 1e6 AS INTEGER) + 1 END,
        number
    FROM names JOIN unchanged USING (number)
    WHERE (enabled OR name IN (object_id, sid, upn_name)) AND upn_name != ''
        AND name NOT IN (SELECT name FROM shared) AND upn_name NOT IN (SELECT name FROM shared)
    ORDER BY name;
DROP TABLE unchanged;
DROP TABLE shared;
"""
_VERSION = (
    "SELECT object_id, upn, mails, account_names, sid, employee_id, enabled, deleted, created, groups,"
    " country, is_person, since, until, after, number FROM versions JOIN people USING (number)"
)
_UPDATE_PERSON = (
    "UPDATE people SET created = coalesce(?, created), is_person = ?, groups = ?, country = ?"
    " WHERE number = ?"
)


class Directory:
    """The directory at ``path``; a context that closes it.

    A reader opens it with ``Directory(path)``, which raises PeopleError if there is none. A writer
    opens it with ``writable=True`` and calls ``begin``, then ``put`` and ``remove``, then ``commit``. Without
    ``commit`` nothing changes. A damaged file raises DamageError.
    """

    def __init__(self, path: str | Path, *, writable: bool = False) -> None:
        self.path = Path(path)
        self._writable = writable
        self._at: float | None = None
        self._before: float | None = None
        self._lock: Lock | None = None
        self._open: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._state = ""
        if writable and not self.path.exists():
            return
        self._open = self._connect(self.path, "mode=ro&immutable=1")
        self._state = self.state

    def __enter__(self) -> Directory:  # noqa: PYI034 - Self is not in Python 3.9's typing
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is not None and _is_damage(error):
            raise self._damaged() from None

    def close(self) -> None:
        """Close the file. What was not committed is lost."""
        if self._open is not None:
            self._open.close()
            self._open = None
        if self._lock is not None:
            self._part.unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    # Reading

    @property
    def delta_link(self) -> str:
        """Where the next reading of Entra continues; "" before the first one."""
        return str(self._fact("delta_link") or "")

    @property
    def first_sync(self) -> float | None:
        """When the directory was first read, in seconds since 1970; None before that."""
        return self._time("first_sync")

    @property
    def last_sync(self) -> float | None:
        """When the directory was last read."""
        return self._time("last_sync")

    @property
    def groups(self) -> frozenset[str] | None:
        """The groups whose members are known, in the normal form of names; None if that is not known."""
        found = self._fact("groups")
        return None if found is None else frozenset(str(found).split("\n"))

    @property
    def state(self) -> str:
        """Identifies this state of the directory: each ``commit`` makes a new one."""
        return str(self._fact("state") or "")

    def versions_of_name(self, name: str) -> list[Version]:
        """All versions of all people who ever had this name, in the order of their times."""
        return self.versions_of_names([name]).get(normal(name), [])

    def versions_of_names(self, names: Iterable[str]) -> dict[str, list[Version]]:
        """The same for many names, by their normal form. A name that nobody ever had is left out."""
        # A directory of an earlier version has placeholders among its names.
        wanted = list(filter(is_name, {normal(name) for name in names}))
        found: dict[str, list[Version]] = {}
        for start in range(0, len(wanted), _NAMES_AT_ONCE):
            some = wanted[start : start + _NAMES_AT_ONCE]
            query = f"SELECT name, number FROM names WHERE name IN ({_marks(some)})"  # noqa: S608 - marks only
            holders = self._rows(query, some)
            versions = self._versions_of_numbers(sorted({number for _, number in holders}))
            for name, number in holders:
                found.setdefault(name, []).extend(versions[number])
        for each in found.values():
            each.sort(key=lambda version: (version.since, version.person.object_id))
        return found

    def steady(self, names: Iterable[str]) -> dict[str, tuple[str, str, int, int]]:
        """Of these names (in their normal form) those that always meant one person who never changed.

        Each with itself, the user principal name, since when (µs since 1970), and the person's number.
        """
        wanted = list(filter(is_name, names))
        found: dict[str, tuple[str, str, int, int]] = {}
        for start in range(0, len(wanted), _NAMES_AT_ONCE):
            some = wanted[start : start + _NAMES_AT_ONCE]
            query = f"SELECT name, upn, since, number FROM steady WHERE name IN ({_marks(some)})"  # noqa: S608
            rows: list[Any] = self._rows(query, some)
            found.update((row[0], row) for row in rows)
        return found

    def numbered(self, numbers: Iterable[int]) -> dict[int, Person]:
        """The latest versions of the people with these numbers."""
        versions = self._versions_of_numbers(sorted(set(numbers)))
        return {number: found[-1].person for number, found in versions.items()}

    def people(self) -> Iterator[Person]:
        """Everybody's latest version, the deleted included."""
        for row in self._rows(f"{_VERSION} WHERE until IS NULL ORDER BY number"):
            yield _version(row).person

    def former(self, before: float) -> list[str]:
        """The object IDs of people who were deleted before this time (seconds since 1970)."""
        query = _VERSION + " WHERE until IS NULL AND deleted AND since < ?"
        return [str(row[0]) for row in self._rows(query, [before])]

    def times(self) -> list[float]:
        """When something changed or was read: the records of the clock that this file has."""
        found = [float(since) for (since,) in self._rows("SELECT DISTINCT since FROM versions")]
        return [*found, *(at for at in (self.first_sync, self.last_sync) if at is not None)]

    def _versions_of_numbers(self, numbers: Sequence[int]) -> dict[int, list[Version]]:
        found: dict[int, list[Version]] = {}
        for start in range(0, len(numbers), _NAMES_AT_ONCE):
            some = numbers[start : start + _NAMES_AT_ONCE]
            query = f"{_VERSION} WHERE number IN ({_marks(some)}) ORDER BY number, since"
            for row in self._rows(query, some):
                found.setdefault(row[-1], []).append(_version(row))
        return found

    # Writing

    def begin(self, at: float) -> None:
        """Start to write what Entra says ``at`` this time (seconds since 1970).

        Raises WaitError if another process writes, and OSError.
        """
        if not self._writable or self._at is not None:
            raise ValueError("this directory is not open for writing, or has begun already")
        if self.last_sync is not None and at < self.last_sync:
            raise PeopleError(
                "the clock is behind the directory's last sync",
                where=str(self.path),
                next_step="Check the system clock, then run the sync again.",
            )
        disk = system_disk()
        make_dirs(disk, str(self.path.absolute().parent))
        self._lock = disk.try_lock(f"{self.path}.lock")
        if self._lock is None:
            raise WaitError(
                "another process writes the directory",
                where=str(self.path),
                next_step="Run this again when it has finished.",
            )
        self._part.unlink(missing_ok=True)
        disk.create(str(self._part), b"")
        if self._open is not None:
            self._open.close()
            shutil.copyfile(self.path, self._part)
            self._open = self._connect(self._part, "mode=rw")
        else:
            self._open = self._connect(self._part, "mode=rw", new=True)
        # The copy is synced once, at its end.
        self._open.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;")
        self._open.execute("BEGIN")
        self._before = self.last_sync
        self._at = at

    def put(self, person: Person, at: float) -> None:
        """Record a person as of ``at``: a new version if a name, the state or an address changed."""
        database = self._writing()
        row = database.execute("SELECT number FROM people WHERE object_id = ?", [normal(person.object_id)])
        found = row.fetchone()
        facts = (person.created, person.is_person, _lines(person.groups), person.country)
        if found is None:
            new = "INSERT INTO people (created, is_person, groups, country, object_id) VALUES (?, ?, ?, ?, ?)"
            number = database.execute(new, (*facts, normal(person.object_id))).lastrowid or 0
            self._add(number, person, at, None)
            return
        (number,) = found
        database.execute(_UPDATE_PERSON, (*facts, number))
        last = self._versions_of_numbers([number])[number][-1]
        if _named(last.person) == _named(person):
            return
        if at < last.since:
            raise ValueError("a version cannot begin before the one it follows")
        if at == last.since:
            database.execute("DELETE FROM versions WHERE number = ? AND since = ?", (number, at))
            gone = [(normal(name), number) for name in names_of(last.person)]
            database.executemany("DELETE FROM names WHERE name = ? AND number = ?", gone)
            for version in self._versions_of_numbers([number]).get(number, ()):
                self._add_names(number, version.person)
            self._add(number, person, at, last.after)
            return
        database.execute("UPDATE versions SET until = ? WHERE number = ? AND until IS NULL", (at, number))
        self._add(number, person, at, self._before if self._before is not None else last.since)

    def remove(self, object_id: str, at: float) -> None:
        """Record that the object was deleted. One that is not known is ignored."""
        query = f"{_VERSION} WHERE object_id = ? AND until IS NULL"
        for row in self._rows(query, [normal(object_id)]):
            values = {**vars(_version(row).person), "deleted": True, "enabled": False}
            self.put(Person(**values), at)

    def forget(self, object_ids: Iterable[str]) -> None:
        """Remove people with all that was known of them: their names may then pass to others unnoticed."""
        for object_id in object_ids:
            for (number,) in self._rows("SELECT number FROM people WHERE object_id = ?", [normal(object_id)]):
                for table in ("names", "versions", "people"):
                    self._writing().execute(f"DELETE FROM {table} WHERE number = ?", [number])  # noqa: S608

    def commit(self, delta_link: str, at: float, groups: Iterable[str] | None = None) -> None:
        """Make all that was put durable, with where the next reading continues. Raises OSError.

        ``groups``: those whose members were read; None if that is not known.
        """
        database = self._writing()
        facts = {"delta_link": delta_link, "last_sync": at, "state": secrets.token_hex(16)}
        if groups is not None:
            facts["groups"] = _lines(sorted(map(normal, groups)))
        if self.first_sync is None:
            facts["first_sync"] = at
        database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())
        database.execute("COMMIT")
        database.create_function("normal", 1, normal, deterministic=True)
        database.executescript(_FILL_STEADY)
        database.close()
        disk = system_disk()
        disk.sync(str(self._part))
        os.replace(self._part, self.path)
        disk.sync_dir(str(self.path.absolute().parent))
        self._open, self._at = self._connect(self.path, "mode=ro&immutable=1"), None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def _part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    def _writing(self) -> sqlite3.Connection:
        if self._open is None or self._at is None:
            raise ValueError("call begin() first")
        return self._open

    def _add(self, number: int, person: Person, since: float, after: float | None) -> None:
        database = self._writing()
        database.execute(
            "INSERT INTO versions VALUES (?, ?, NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(number, since, after, person.upn, _lines(person.mails), _lines(person.account_names)),
                *(person.sid, person.employee_id, person.enabled, person.deleted),
            ),
        )
        self._add_names(number, person)

    def _add_names(self, number: int, person: Person) -> None:
        names = {normal(name) for name in names_of(person)}
        rows = [(name, number) for name in names]
        self._writing().executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", rows)

    def _connect(self, path: Path, how: str, *, new: bool = False) -> sqlite3.Connection:
        """The open database. Raises PeopleError and UnknownFormat."""
        # Whoever writes here decides to whom a row is attributed.
        require_own(path, "directory of people", PeopleError, link=True)
        try:
            database = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
            if new:
                database.executescript(_SCHEMA)
                database.execute("INSERT INTO facts VALUES ('format', ?)", [_FORMAT])
            database.execute(f"PRAGMA mmap_size={_MAPPED}")
            form = database.execute("SELECT value FROM facts WHERE name = 'format'").fetchone()
        except sqlite3.Error:
            if not path.exists():
                raise PeopleError(
                    "there is no directory of people", where=str(path), next_step=SYNC
                ) from None
            raise PeopleError(
                "the file is not a directory of people, or this user may not read it",
                where=str(path),
                next_step=f"Check its permissions, or delete it. {SYNC}",
            ) from None
        if form != (_FORMAT,):
            raise UnknownFormat(
                "the directory of people was written by a newer version",
                where=str(path),
                next_step="Update irmexport, or name another file as `identity.directory`.",
            )
        return database

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        if self._open is None:
            return []
        if self._process != os.getpid():
            self._reopen()
        try:
            return self._open.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                raise self._damaged() from None
            raise

    def _damaged(self) -> DamageError:
        return DamageError(
            "the directory of people is damaged",
            where=str(self.path),
            next_step="Restore the file from a backup, or rename it and read everybody into a new one, "
            f"whose history begins then. {SYNC}",
        )

    def _reopen(self) -> None:
        """In a worker process: a connection must not be used after a fork. Raises DamageError.

        If the file has been replaced since, the two processes would answer differently.
        """
        before, self._process = self._state, os.getpid()
        self._open = self._connect(self.path, "mode=ro&immutable=1")
        if self.state != before:
            raise DamageError(
                "the directory was replaced while it was read",
                where=str(self.path),
                next_step="Run this again.",
            )

    def _fact(self, name: str) -> object:
        rows = self._rows("SELECT value FROM facts WHERE name = ?", [name])
        return rows[0][0] if rows else None

    def _time(self, name: str) -> float | None:
        value = self._fact(name)
        return float(value) if isinstance(value, (int, float)) else None


def names_of(person: Person) -> tuple[str, ...]:
    """Everything that a person can be called, without placeholders."""
    names = (
        *(person.object_id, person.upn, person.sid, person.employee_id),
        *(*person.mails, *person.account_names),
    )
    return tuple(name for name in names if is_name(normal(name)))


def _is_damage(error: BaseException) -> bool:
    """SQLite found a page that it did not write. Its other errors, such as a full disk, are subclasses."""
    return type(error) is sqlite3.DatabaseError


def _named(person: Person) -> tuple[object, ...]:
    """What makes a new version if it changes."""
    mails, accounts = sorted(person.mails), sorted(person.account_names)
    return (
        *(person.upn, person.sid, person.employee_id, person.enabled, person.deleted),
        *(mails, accounts),
    )


def _lines(texts: Sequence[str]) -> str:
    return "\n".join(texts)


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _version(row: Sequence[Any]) -> Version:
    object_id, upn, mails, accounts, sid, employee, enabled, deleted, created, groups, country, person = row[
        :12
    ]
    since, until, after = row[12:15]
    return Version(
        Person(
            object_id=object_id,
            upn=upn,
            mails=tuple(mails.split("\n")) if mails else (),
            account_names=tuple(accounts.split("\n")) if accounts else (),
            sid=sid,
            employee_id=employee,
            enabled=bool(enabled),
            deleted=bool(deleted),
            created=created,
            groups=tuple(groups.split("\n")) if groups else (),
            country=country,
            is_person=bool(person),
        ),
        since,
        until,
        after,
    )
