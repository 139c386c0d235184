"""A CSV file as the directory of people, for those who do not read Microsoft Entra ID.

The first line names the columns, in any order and letter case. ``user_principal_name`` is required. Several
values in a cell are separated by ``;``. The file is the whole directory: anybody missing from it was
deleted. Import it whenever it changes, because a change counts from the import that first had it. A file in
which half of the known people or more are missing is probably cut off and is refused.
"""

import csv
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from irmcore.clock import iso
from irmcore.errors import ConfigurationError, InputError
from irmcore.identity.directory import Directory
from irmcore.identity.person import Person, normal
from irmcore.shaping.csv_cells import allow_long_fields

COLUMNS = (
    "object_id", "user_principal_name", "mails", "account_names", "sid", "employee_id", "enabled", "created",
    "groups", "country",
)  # fmt: skip
_BY_NAME = "user:"
#: Seconds by which ``at`` may be ahead of the clock.
_MOST_AHEAD = 86_400.0
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_YES, _NO = {"", "1", "true", "yes"}, {"0", "false", "no"}


def import_people(
    file: Path, path: Path, at: float | None = None, *, accept_removals: bool = False
) -> tuple[int, int]:
    """Bring the directory at ``path`` in line with ``file`` as of ``at`` (seconds since 1970; None: now).

    ``accept_removals``: also if half of the known people or more are missing.

    Returns how many people the file has, and how many were deleted. Raises InputError, ConfigurationError,
    OSError.
    """
    now = time.time()
    moment = now if at is None else at
    if moment > now + _MOST_AHEAD:
        # The directory would not become old, and every import until then would be refused.
        raise ConfigurationError(
            f"the file cannot have been correct at {iso(moment)}, which is in the future",
            where=str(file),
            next_step="Correct --at, or check the system clock. Nothing was stored.",
        )
    people = list(_read(file))
    with Directory(path, writable=True) as directory:
        directory.begin(moment)
        if directory.delta_link:
            raise ConfigurationError(
                "this directory was read from Microsoft Entra ID, which a file must not overwrite",
                where=str(path),
                next_step="Name another file with --directory.",
            )
        known = list(directory.people())
        people = _not_those_who_left(people, known, moment)
        kept = {normal(person.object_id) for person in people}
        there = [person.object_id for person in known if not person.deleted]
        gone = [object_id for object_id in there if normal(object_id) not in kept]
        if gone and 2 * len(gone) >= len(there) and not accept_removals:
            # A name of somebody who is missing by mistake could resolve to somebody else.
            raise InputError(
                f"{len(gone):,} of the directory's {len(there):,} people are missing from the file",
                where=str(file),
                next_step="Check whether the file is complete. If they are gone, confirm with "
                "--accept-removals. Nothing was stored.",
            )
        for person in people:
            directory.put(person, moment)
        for object_id in gone:
            directory.remove(object_id, moment)
        directory.commit("", moment, {group for person in people for group in person.groups})
    return len(people), len(gone)


def _not_those_who_left(people: list[Person], known: list[Person], moment: float) -> list[Person]:
    """Without an object id, whoever has the user principal name of someone deleted is another person."""
    ids = {normal(person.object_id) for person in known}
    here = {
        normal(person.upn): person.object_id
        for person in known
        if not person.deleted and person.object_id.startswith(_BY_NAME)
    }

    def own(person: Person) -> Person:
        same = here.get(normal(person.upn), "")
        if not person.object_id.startswith(_BY_NAME) or normal(person.object_id) not in ids:
            return person
        return replace(person, object_id=same or f"{person.object_id}#{moment:.0f}")

    return list(map(own, people))


def _read(file: Path) -> Iterator[Person]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror})",
            where=str(file),
            next_step="Check the path, and that this user may read it.",
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            "the file is not UTF-8", where=str(file), next_step="Save it as CSV UTF-8."
        ) from None
    allow_long_fields()
    rows = csv.reader(text.splitlines(keepends=True), strict=True)
    seen: set[str] = set()
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        unknown = [name for name in header if name not in COLUMNS]
        if unknown or "user_principal_name" not in header or len(set(header)) != len(header):
            raise InputError(
                "the columns are not those of a directory of people",
                where=f"{file}:1",
                next_step=f"user_principal_name is required; the others are: {', '.join(COLUMNS)}. "
                "A file that maps names to users belongs in a profile, as `identity.map`.",
            )
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{file}:{rows.line_num}"
            if len(cells) != len(header):
                raise InputError(
                    "the row has another number of cells than the header",
                    where=where,
                    next_step="Correct the row.",
                )
            person = _person(dict(zip(header, map(str.strip, cells), strict=True)), where)
            if normal(person.object_id) in seen:
                raise InputError(
                    "the person is in the file twice", where=where, next_step="Remove one of the two rows."
                )
            seen.add(normal(person.object_id))
            yield person
    except csv.Error:
        raise InputError(
            "the quotes do not match", where=f"{file}:{rows.line_num}", next_step="Correct the row."
        ) from None


def _person(row: dict[str, str], where: str) -> Person:
    upn = row["user_principal_name"]
    if not upn:
        raise InputError("the user principal name is empty", where=where, next_step="Correct the row.")
    if row.get("enabled", "").lower() not in _YES | _NO:
        # A disabled account that is taken as enabled would have its mail address.
        raise InputError("`enabled` is neither true nor false", where=where, next_step="Write true or false.")
    object_id = row.get("object_id", "")
    if object_id and not _GUID.fullmatch(object_id):
        # An object id wins over all other names, so it must not look like one.
        raise InputError(
            "`object_id` is not a GUID",
            where=where,
            next_step="Write it as 01234567-89ab-cdef-0123-456789abcdef, or leave the cell empty.",
        )
    created = row.get("created", "")
    try:
        since = datetime.fromisoformat(created).timestamp() if created else None
    except ValueError:
        raise InputError(
            "`created` is not a date", where=where, next_step="Write it as 2026-11-20T00:00:00Z."
        ) from None
    return Person(
        # Without an object id the name stands for the person, in a form that no source's name has.
        object_id=object_id or f"{_BY_NAME}{normal(upn)}",
        upn=upn,
        mails=_list(row.get("mails", "")),
        account_names=_list(row.get("account_names", "")),
        sid=row.get("sid", ""),
        employee_id=row.get("employee_id", ""),
        enabled=row.get("enabled", "").lower() not in _NO,
        created=since,
        groups=_list(row.get("groups", "")),
        country=row.get("country", ""),
    )


def _list(cell: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in cell.split(";") if part.strip()))
