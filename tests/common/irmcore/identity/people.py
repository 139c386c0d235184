"""Directories for tests, made of what each reading of Entra saw."""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from irmcore.identity.directory import Directory
from irmcore.identity.person import Person

#: What one reading saw: everybody who exists.
Reading = Mapping[float, Sequence[Person]]


def day(number: int, hour: float = 0) -> float:
    """A time in November 2026, in seconds since 1970."""
    return calendar.timegm((2026, 11, number, 0, 0, 0)) + hour * 3_600


#: When nearly everybody was created, and when the directory was first read.
LONG_AGO, FIRST = day(1) - 86_400 * 1_000, day(2)


def person(number: int, upn: str, *mails: str, created: float | None = LONG_AGO) -> Person:
    """An enabled person whose object id ends with ``number``."""
    return Person(f"00000000-0000-0000-0000-{number:012}", upn, mails, created=created)


def disabled(of: Person) -> Person:
    """The same, who may not sign in."""
    return replace(of, enabled=False)


def write(path: Path, readings: Reading) -> Path:
    """Write the directory as a sync does; who is not there any more was deleted."""
    for at, people in readings.items():
        with Directory(path, writable=True) as directory:
            directory.begin(at)
            there = {each.object_id.lower() for each in people}
            for each in people:
                directory.put(each, at)
            for known in list(directory.people()):
                if known.object_id not in there and not known.deleted:
                    directory.remove(known.object_id, at)
            directory.commit(f"link of {at}", at)
    return path
