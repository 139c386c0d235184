"""The directory as a lookup for Splunk: for each name, what it resolves to and when.

Promised: the rows of a name never overlap in time unless several people have it then, and the resolver itself
made each of them, so the app refuses what `irmexport send` refuses. ``holders`` is 1 if and only if the name
resolves in that time; ``kind`` is then how, and otherwise the reason code. A name that has rows, but none for
the time of an event, is refused as user-validity-unknown; a name without rows as user-unknown. No row holds
longer than the directory may be used, so an old lookup refuses new events instead of naming earlier holders.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import NamedTuple, TextIO

from irmcore.identity.directory import Directory, names_of
from irmcore.identity.person import Version, normal
from irmcore.identity.resolver import VALIDITY_UNKNOWN, History, Resolved, Resolver

COLUMNS = ("name", "user_principal_name", "kind", "valid_from", "valid_to", "holders")
#: The end of a time that has not ended: 9999-12-31T23:59:59Z.
END = 253_402_300_799
_AT_ONCE = 5_000


class LookupRow(NamedTuple):
    """One row. Times in whole seconds since 1970: from ``valid_from``, and before ``valid_to``."""

    name: str
    user_principal_name: str
    kind: str
    valid_from: int
    valid_to: int
    holders: int


def write_lookup(directory: Directory, file: TextIO, max_age: float = math.inf) -> int:
    """Write the lookup as CSV, for use until ``max_age`` seconds after the last sync; the number of rows."""
    write = csv.writer(file, lineterminator="\n")
    write.writerow(COLUMNS)
    number = 0
    for number, row in enumerate(lookup_rows(directory, max_age), start=1):  # noqa: B007 - counts
        write.writerow(row)
    return number


def lookup_rows(directory: Directory, max_age: float = math.inf) -> Iterator[LookupRow]:
    """The rows of all names, by name, for the time until ``max_age`` seconds after the last sync."""
    end = math.ceil(min(END, (directory.last_sync or 0) + max_age))
    resolver = Resolver(directory)
    names = iter(sorted(_names(directory)))
    while some := list(islice(names, _AT_ONCE)):
        histories = resolver.histories(some)
        for name in some:
            for row in _rows(name, histories[name]):
                if row.valid_from < end:
                    yield row._replace(valid_to=min(row.valid_to, end))


def _names(directory: Directory) -> set[str]:
    """Every name that somebody has or had."""
    latest = list(directory.people())
    names: set[str] = set()
    for start in range(0, len(latest), _AT_ONCE):
        ids = [person.object_id for person in latest[start : start + _AT_ONCE]]
        for versions in directory.versions_of_names(ids).values():
            names.update(normal(name) for version in versions for name in names_of(version.person))
    return names


def _rows(name: str, history: History) -> Iterator[LookupRow]:
    """The rows of one name: the answer for each time between two moments at which it may change."""
    found: list[tuple[int, int, tuple[str, int, tuple[str, ...]]]] = []
    for since, until in _spans(history.versions):
        answer = history.at(since)
        if isinstance(answer, Resolved):
            facts: tuple[str, int, tuple[str, ...]] = (answer.how, 1, (answer.upn,))
        else:
            # At least 2, or 0: 1 means that the name resolves.
            several = len(answer.candidates) if len(answer.candidates) > 1 else 0
            facts = (answer.code, several, answer.candidates)
        if found and found[-1][1] == since and found[-1][2] == facts:
            found[-1] = (found[-1][0], until, facts)
        else:
            found.append((since, until, facts))
    if found and found[0][2][0] == VALIDITY_UNKNOWN and len(found) > 1:
        del found[
            0
        ]  # the time before the first reading: without a row the app refuses it for the same reason
    for since, until, (kind, holders, people) in found:
        for upn in filter(None, people):
            yield LookupRow(name, upn, kind, since, until, holders)


def _spans(versions: Sequence[Version]) -> Iterator[tuple[int, int]]:
    """Times between which an answer cannot change, from 1970 on."""
    moments = {0, END}
    for version in versions:
        times: Iterable[float | None] = (
            version.since, version.until, version.after, version.person.created
        )  # fmt: skip
        moments.update(math.ceil(time) for time in times if time is not None and 0 < time < END)
    ordered = sorted(moments)
    yield from pairwise(ordered)
