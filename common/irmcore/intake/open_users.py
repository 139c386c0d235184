"""Open what a profile names under `identity` and `scope`: the directory of people, the map, the lists.

A directory that is missing or too old is an error before any row is read.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from irmcore.clock import iso
from irmcore.errors import PeopleError
from irmcore.identity import SYNC
from irmcore.identity.person import normal
from irmcore.identity.resolver import Resolver, by_person
from irmcore.ownership import require_own_stat
from irmcore.profile import Profile
from irmcore.profile.model import DEFAULT_DIRECTORY, Identity, Selection
from irmcore.reasons import Refused
from irmcore.shaping import upn
from irmcore.shaping.csv_cells import allow_long_fields
from irmcore.shaping.users import EXCLUDED, People, Users

if TYPE_CHECKING:
    from irmcore.identity.directory import Directory

_NAME, _USER = "SearchKey", "UserPrincipalName"
_OBJECT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_HOUR, _DAY = 3_600, 86_400


@contextmanager
def open_users(profile: Profile, now: float) -> Iterator[Users | None]:
    """The resolver of the user column, or None if the profile asks for none. Raises PeopleError."""
    identity, scope = profile.identity, profile.scope
    if identity is None and scope is None:
        yield None
        return
    mapping: dict[str, str] = {}
    if identity is not None and identity.map is not None:
        mapping = _read_map(identity.map, ids=identity.directory is not None)
    include = _people(scope.include) if scope is not None else None
    exclude = _people(scope.exclude) if scope is not None else None
    if identity is None or identity.directory is None:
        yield Users(None, mapping, include=include, exclude=exclude)
        return
    with _open(identity.directory) as directory:
        warning = _age_warning(directory, identity, now)
        _check_groups(directory, include, exclude)
        lists = [part.list for part in (scope.include, scope.exclude) if part and part.list] if scope else []
        unknown = [_unknown_warning(directory, path) for path in dict.fromkeys(lists)]
        warning = "; ".join(filter(None, [warning, *unknown]))
        exclude = _under_other_names(directory, exclude)
        yield Users(Resolver(directory), mapping, include=include, exclude=exclude, warning=warning)


def _open(path: str) -> Directory:
    if path == DEFAULT_DIRECTORY:
        raise PeopleError(
            "this host has no default directory of people",
            next_step="Set `identity.directory` in the profile to a path, or use only `identity.map`.",
        )
    from irmcore.identity.directory import Directory  # noqa: PLC0415 - loads SQLite

    return Directory(path)


def _age_warning(directory: Directory, identity: Identity, now: float) -> str:
    """A warning if half of the time is over. Raises PeopleError if all of it is, or none has begun."""
    last = directory.last_sync
    age = now - last if last is not None else None
    if last is not None and age is not None and age < -_DAY:
        raise PeopleError(
            f"the directory of people was last read at {iso(last)}, which is in the future",
            where=str(directory.path),
            next_step="Check the system clock. If it is right, delete the directory of people. "
            f"{SYNC}. Then run this again; nothing was taken.",
        )
    if last is None or age is None or age > identity.max_age:
        read = f"was last read at {iso(last)}" if last is not None else "was never read"
        raise PeopleError(
            f"the directory of people {read}, and `identity.max_age` is {_span(identity.max_age)}",
            where=str(directory.path),
            next_step=f"{SYNC}. Then run this again; nothing was taken.",
        )
    if age > identity.max_age / 2:
        end = iso(last + identity.max_age)
        return f"the directory of people was last read at {iso(last)}; runs stop at {end}. {SYNC}"
    return ""


def _check_groups(directory: Directory, *selections: People | None) -> None:
    """A group whose members were not read would seem empty. Raises PeopleError."""
    wanted = {group for people in selections if people is not None for group in people.groups}
    known = directory.groups
    missing = sorted(wanted - known) if known is not None else []
    if missing:
        raise PeopleError(
            f"the directory of people does not have the members of the group {missing[0]}",
            where=str(directory.path),
            next_step=f"{SYNC}. It reads the groups that the profiles' `scope` names; nothing was taken.",
        )


def _unknown_warning(directory: Directory, path: str) -> str:
    """A warning if names in a list are nobody's in the directory, so that they select nobody; or ""."""
    lines = _read_list(path)
    known = directory.versions_of_names(lines)
    unknown = [line for name, line in lines.items() if not known.get(name)]
    if not unknown:
        return ""
    number = "1 entry is" if len(unknown) == 1 else f"{len(unknown):,} entries are"
    return (
        f"{path}:{min(unknown)}: {number} nobody's name in the directory of people, and select nobody. "
        f"Correct the list, or {SYNC[0].lower()}{SYNC[1:]}"
    )


def _under_other_names(directory: Directory, people: People | None) -> People | None:
    """With the object ids of those whom the list has by an earlier user principal name, or by an address.

    Only for names that are nobody's user principal name today.
    """
    if people is None:
        return None
    ids: set[str] = set()
    for name, versions in directory.versions_of_names(people.listed).items():
        found = by_person(versions)
        today = [of[-1].person for of in found.values()]
        if not any(normal(person.upn) == name and not person.deleted for person in today):
            ids.update(found)
    return replace(people, listed=people.listed | ids)


def _span(seconds: int) -> str:
    return f"{seconds // _DAY}d" if seconds % _DAY == 0 else f"{seconds // _HOUR}h"


def _people(selection: Selection | None) -> People | None:
    if selection is None:
        return None
    listed = frozenset(_read_list(selection.list)) if selection.list is not None else frozenset()
    return People(
        frozenset(map(normal, selection.groups)), frozenset(map(normal, selection.countries)), listed
    )


def _read_list(path: str) -> dict[str, int]:
    """Names in their normal form → their line."""
    return {normal(user): line for line, (user,) in _lines(path, (_USER,)) if user.strip()}


def _read_map(path: str, *, ids: bool) -> dict[str, str]:
    """Names in their normal form → canonical user principal names, or EXCLUDED.

    With ``ids``, object ids in their normal form too.
    """
    found: dict[str, str] = {}
    for line, (name, user) in _lines(path, (_NAME, _USER)):
        target = normal(user) or EXCLUDED
        try:
            if target != EXCLUDED and not (ids and _OBJECT_ID(target)):
                target = upn.canonical(user)
        except Refused as refused:
            raise _file_error(
                path, line, f"`{_USER}` is not a user principal name ({refused.code})"
            ) from None
        if not name.strip():
            raise _file_error(path, line, f"`{_NAME}` is empty")
        if found.setdefault(normal(name), target) != target:
            raise _file_error(path, line, "the name is mapped to another user above")
    return found


def _lines(path: str, columns: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The cells of these columns of a CSV file, with the line of each row."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            allow_long_fields()
            require_own_stat(os.fstat(file.fileno()), path, "file that the profile names", PeopleError)
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise _file_error(path, 1, f"the header has no column `{missing[0]}`")
            names = reader.fieldnames or ()
            if len(set(names)) != len(names):
                raise _file_error(path, 1, "two columns of the header have the same name")
            for row in reader:
                # A comma outside quotes shifts the cells: another user's name, or an empty one.
                if None in row or None in row.values():
                    raise _file_error(
                        path, reader.line_num, "the row has another number of cells than the header"
                    )
                yield reader.line_num, tuple(row[name] for name in columns)
    except OSError as error:
        raise PeopleError(
            f"the file that the profile names cannot be read ({error.strerror})",
            where=path,
            next_step="Check the path in the profile, and that this user may read the file.",
        ) from None
    except (csv.Error, UnicodeDecodeError):
        raise PeopleError(
            "the file that the profile names is not CSV in UTF-8",
            where=path,
            next_step="Save it as CSV (UTF-8).",
        ) from None


def _file_error(path: str, line: int, what: str) -> PeopleError:
    return PeopleError(what, where=f"{path}:{line}", next_step="Correct the line.")
