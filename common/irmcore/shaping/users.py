"""Resolve the user column of a run: map, directory and scope, most names by one look-up in a dictionary.

A name that always meant the same person is remembered with the time from which that holds. Only other names
need the time of their row. ``docs/identity.md`` states the rule.

A time exactly on a quarter hour may be the start of a day in some time zone, and the row may be of any
moment of that day. So it stands for the day from then.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from irmcore.identity.person import Person, normal
from irmcore.identity.resolver import UNKNOWN, Answer, History, Refusal, Resolver
from irmcore.reasons import Refused
from irmcore.shaping import upn

#: Written in place of a user whose row is neither sent nor refused. No user principal name
#: begins with a question mark.
EXCLUDED, OUT_OF_SCOPE = "?excluded", "?out-of-scope"
DROPPED = frozenset((EXCLUDED, OUT_OF_SCOPE))
#: The beginning of a cell whose name an aggregation or macro has excluded by its own mapping.
EXCLUDED_BEFORE = f"{EXCLUDED} "

#: Names that are remembered, and those of them whose answer depends on the time, which take
#: much more memory. When there are more, all of them are dropped.
MEMORY, HISTORIES = 250_000, 10_000

_SECOND = 1_000_000
_QUARTER = 15 * 60 * _SECOND
_DAY_SECONDS = 86_400


def end_of_day(start: float) -> float:
    """When the day that starts then is over, in seconds since 1970.

    A day of UTC has 24 hours. A day of another zone has 25 when summer time ends.
    """
    return start + _DAY_SECONDS + (3600 if start % _DAY_SECONDS else 0)


_CANDIDATES = re.compile(r"\?[a-z-]+ [^:]*: (.+)", re.DOTALL).fullmatch


class UserRefused(Refused):
    """A name that does not certainly mean one person; ``candidates`` are the people that it might mean."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.candidates = refusal.candidates


@dataclass(frozen=True)
class People:
    """People in any of these groups or countries, or on the list; all in the normal form of names."""

    groups: frozenset[str]
    countries: frozenset[str]
    listed: frozenset[str]

    def has(self, person: Person | None, user: str) -> bool:
        """Raises Refused if only the directory could tell and does not know the user."""
        if normal(user) in self.listed:
            return True
        if person is None:
            if self.groups or self.countries:
                raise Refused(UNKNOWN)
            return False
        return (
            normal(person.country) in self.countries
            or normal(person.object_id) in self.listed
            or not self.groups.isdisjoint(map(normal, person.groups))
        )


class Users:
    """Resolves names for one profile. ``warning`` is about the directory's age, or ""."""

    def __init__(
        self,
        resolver: Resolver | None,
        mapping: Mapping[str, str],
        *,
        include: People | None = None,
        exclude: People | None = None,
        warning: str = "",
    ) -> None:
        """``mapping``: from names in their normal form to canonical user principal names, or EXCLUDED.

        With a ``resolver``, these are resolved like names of a source, and may be object ids. Without one,
        they are taken as they are, and a name that the mapping lacks must be a user principal name.
        """
        self.warning = warning
        self._resolver = resolver
        self._mapping = mapping
        self._include, self._exclude = include, exclude
        self.may_drop = include is not None or exclude is not None or EXCLUDED in mapping.values()
        #: The user of a name, and from when on (µs).
        self._known: dict[str, tuple[str, int]] = {}
        self._refusals: dict[str, Refusal] = {}
        self._histories: dict[str, History] = {}

    def column(self, cells: Sequence[str], times: Sequence[int]) -> Sequence[str]:
        """The users of a column of names, whose rows have these ``times`` (µs).

        Each is a canonical user principal name or one of DROPPED. Raises Refused if any row is refused.
        """
        found = list(map(self._known.get, cells))
        if None in found:
            self._learn(cells)
            found = list(map(self._known.get, cells))
        return [
            known[0] if known is not None and known[1] <= time else self._at(cell, time)
            for cell, known, time in zip(cells, found, times)
        ]

    def user(self, cell: str, time: int | None) -> str | None:
        """The same for one name; None if the answer depends on a time that is not known. Raises Refused."""
        if cell not in self._known:
            self._learn([cell])
        known = self._known.get(cell)
        if known is not None and (time is None or known[1] <= time):
            return known[0]
        if time is None and cell not in self._refusals:
            return None
        return self._at(cell, time or 0)

    def _at(self, cell: str, time: int) -> str:
        if cell in self._refusals:
            raise UserRefused(self._refusals[cell])
        history = self._histories.get(cell)
        if history is None:
            if self._resolver is None:
                raise UserRefused(Refusal(UNKNOWN))
            # A steady name before its time: rare, except in rows from before the first sync.
            if len(self._histories) >= HISTORIES:
                self._histories.clear()
            history = self._histories[cell] = self._resolver.history(self._wanted(normal(cell)))
        start = time / _SECOND
        answer = history.at(start, end_of_day(start) if time % _QUARTER == 0 else None)
        if self._mapping and normal(cell) in self._mapping:
            answer = history.stated(answer)
        return self._final(history, answer)

    def _wanted(self, name: str) -> str:
        """The name to look up in the directory for a name in its normal form."""
        return normal(self._mapping.get(name, name))

    def _final(self, history: History, answer: Answer) -> str:
        """The canonical name of the person found, or OUT_OF_SCOPE. Raises Refused."""
        if isinstance(answer, Refusal):
            raise UserRefused(answer)
        return self._scoped(history.person(answer), upn.canonical(answer.upn))

    def _scoped(self, person: Person | None, user: str) -> str:
        if self._include is not None and not self._include.has(person, user):
            return OUT_OF_SCOPE
        if self._exclude is not None and self._exclude.has(person, user):
            return OUT_OF_SCOPE
        return user

    # What is remembered of a name

    def _learn(self, cells: Iterable[str]) -> None:
        """Enter all names of a column that are not known yet."""
        if len(self._known) + len(self._refusals) > MEMORY or len(self._histories) > HISTORIES:
            for memory in (self._known, self._refusals, self._histories):
                memory.clear()
        names = {
            cell: normal(cell)
            for cell in cells
            if cell not in self._known and cell not in self._refusals and cell not in self._histories
        }
        wanted = {self._wanted(name) for name in names.values()}
        wanted = {name for name in wanted if name and name[0] != "?"}
        steady: Mapping[str, tuple[str, str, int, int]] = {}
        people: Mapping[int, Person] = {}
        histories: Mapping[str, History] = {}
        scoped = self._include is not None or self._exclude is not None
        if self._resolver is not None:
            steady = self._resolver.steady(wanted)
            if scoped:
                people = self._resolver.people(number for _, _, _, number in steady.values())
            histories = self._resolver.histories(wanted - steady.keys())
        for cell, name in names.items():
            quick = steady.get(self._wanted(name))
            try:
                if quick is None:
                    self._learn_one(cell, name, histories)
                else:
                    _, found, since, number = quick
                    user = upn.canonical(found)
                    self._known[cell] = (self._scoped(people[number], user) if scoped else user), since
            except UserRefused as refused:
                self._refusals[cell] = Refusal(refused.code, refused.candidates)
            except Refused as refused:
                self._refusals[cell] = Refusal(refused.code)

    def _learn_one(self, cell: str, name: str, histories: Mapping[str, History]) -> None:
        if not name:
            raise Refused("missing-value")
        target = self._mapping.get(name)
        if target == EXCLUDED:
            self._remember(cell, EXCLUDED, -math.inf)
        elif target is not None and self._resolver is None:
            self._remember(cell, self._scoped(None, target), -math.inf)
        elif target is None and name[0] == "?":
            raise _marked(cell)
        elif self._resolver is None:
            self._remember(cell, self._scoped(None, upn.canonical(cell)), -math.inf)
        else:
            history = histories[self._wanted(name)]
            steady = history.steady()
            if steady is not None:
                answer, since = steady
                self._remember(cell, self._final(history, answer), since)
            elif history.versions:
                self._histories[cell] = history
            else:
                raise UserRefused(Refusal(UNKNOWN))

    def _remember(self, cell: str, user: str, since: float) -> None:
        self._known[cell] = user, math.ceil(max(since, 0) * _SECOND)


def _marked(cell: str) -> Refused:
    """The refusal that an aggregation or macro has written into the cell."""
    try:
        upn.canonical(cell)
    except Refused as refused:
        listed = _CANDIDATES(cell.strip())
        return UserRefused(Refusal(refused.code, tuple(listed[1].split(", ")) if listed else ()))
    raise AssertionError("no user principal name begins with a question mark")
