"""The resolver next to one that tries everything, written from the words of docs/identity.md alone.

The other resolver knows what each reading of Entra saw and nothing of versions, tables or caches. It looks at
every moment of the row's time at which anything changes.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from irmcore.identity.directory import Directory
from irmcore.identity.person import Person
from irmcore.identity.resolver import Resolved, Resolver
from irmcore.reasons import Refused
from irmcore.shaping.users import Users

from tests.common.irmcore.identity.people import FIRST, LONG_AGO, day, person, write

NAMES = ("a@x.com", "b@x.com", "c@y.com", "X\\a", "a", "s-1-5-9", "7")


@dataclass
class BruteForce:
    """The rule in its own words, over snapshots: everybody that each reading saw, by time."""

    readings: dict[float, Sequence[Person]]

    def who(self, name: str, start: float, end: float | None) -> str | None:
        """The object id of the person that is meant, or None."""
        name = name.strip().lower()
        person = self._who(name, start, end)
        if person is None:
            return None
        # The row would be taken for somebody else's who has the user principal name today.
        upn = self._last(person).upn.lower()
        today = [p for p in self._ids() if p != person and self._exists_today(p)]
        return None if any(self._last(p).upn.lower() == upn for p in today) else person

    def _who(self, name: str, start: float, end: float | None) -> str | None:
        people = [p for p in self._ids() if self._last(p).is_person]
        if name in people:
            return name
        with_sid = [p for p in people if any(s.sid.lower() == name for s in self._seen(p).values())]
        if with_sid:
            return only_one(with_sid) or only_one([p for p in with_sid if self._exists_today(p)])
        moments = self._moments(start, end)
        as_upn = {p for p in people for t in moments if self._has(p, name, t) == "upn"}
        perhaps_upn = {p for p in people for t in moments if self._may_have(p, name, t) == "upn"}
        unseen = {p for p in people for t in moments if self._unseen(p, t)}
        ever = {p for p in people if any(kind(s, name) for s in self._seen(p).values())}
        if as_upn or any(kind(self._first(p), name) == "upn" for p in unseen & perhaps_upn):
            only = only_one(as_upn | perhaps_upn)
            if only in unseen:
                return only if self._last(only).created is not None and ever == {only} else None
            return only
        active = {p for p in people for t in moments if self._has(p, name, t) and self._active(p, t)}
        perhaps = {
            p for p in people for t in moments if self._may_have(p, name, t) and self._may_be_active(p, t)
        }
        return only_one(active - unseen) if perhaps | perhaps_upn <= active and len(active) == 1 else None

    def _ids(self) -> list[str]:
        return sorted({p.object_id for people in self.readings.values() for p in people})

    def _seen(self, object_id: str) -> dict[float, Person]:
        """The person at each reading since the first that saw them; deleted where one did not."""
        found: dict[float, Person] = {}
        for at, people in sorted(self.readings.items()):
            here = [p for p in people if p.object_id == object_id]
            if here:
                found[at] = here[0]
            elif found:
                found[at] = replace(found[max(found)], deleted=True, enabled=False)
        return found

    def _first(self, object_id: str) -> Person:
        return next(iter(self._seen(object_id).values()))

    def _last(self, object_id: str) -> Person:
        return list(self._seen(object_id).values())[-1]

    def _exists_today(self, object_id: str) -> bool:
        return not self._last(object_id).deleted

    def _moments(self, start: float, end: float | None) -> list[float]:
        if end is None:
            return [start]
        created = [p.created for people in self.readings.values() for p in people if p.created is not None]
        return [start, *(t for t in (*self.readings, *created) if start < t < end)]

    def _at(self, object_id: str, t: float) -> Person | None:
        seen = [p for at, p in self._seen(object_id).items() if at <= t]
        return seen[-1] if seen else None

    def _next(self, object_id: str, t: float) -> Person | None:
        return next((p for at, p in self._seen(object_id).items() if at > t), None)

    def _unseen(self, object_id: str, t: float) -> bool:
        created = self._last(object_id).created
        return self._at(object_id, t) is None and (created is None or created <= t)

    def _has(self, object_id: str, name: str, t: float) -> str:
        now = self._at(object_id, t)
        return "" if now is None or now.deleted else kind(now, name)

    def _active(self, object_id: str, t: float) -> bool:
        now = self._at(object_id, t)
        return now is not None and now.enabled and not now.deleted

    def _may_have(self, object_id: str, name: str, t: float) -> str:
        """Before the first reading, and where the next one saw a change that came at an unknown moment."""
        if self._unseen(object_id, t):
            return kind(self._first(object_id), name)
        now, then = self._at(object_id, t), self._next(object_id, t)
        if now is None or then is None or then == now or then.deleted:
            return ""
        return kind(then, name)

    def _may_be_active(self, object_id: str, t: float) -> bool:
        then = self._next(object_id, t)
        return self._unseen(object_id, t) or self._active(object_id, t) or (then is not None and then.enabled)


def only_one(people: Iterable[str]) -> str | None:
    """The person, if it is one."""
    found = sorted(people)
    return found[0] if len(found) == 1 else None


def kind(person: Person, name: str) -> str:
    """As what a person has a name."""
    if person.upn.lower() == name:
        return "upn"
    others = (*person.mails, *person.account_names, person.employee_id, person.sid)
    return "other" if name and name in [other.lower() for other in others] else ""


@st.composite
def people_at_a_reading(draw: st.DrawFn) -> list[Person]:
    """Up to four people with few names among them, so that names pass on, repeat and cross."""
    found = []
    for number in draw(st.sets(st.integers(1, 4))):
        names = draw(st.lists(st.sampled_from(NAMES[:3]), max_size=2))
        found.append(
            Person(
                person(number, "").object_id,
                draw(st.sampled_from([*NAMES[:3], "A@X.com", f"only{number}@x.com"])),
                tuple(names),
                account_names=tuple(draw(st.lists(st.sampled_from(NAMES[3:5]), max_size=1))),
                sid=draw(st.sampled_from(["", "", "S-1-5-9"])),
                employee_id=draw(st.sampled_from(["", "7"])),
                enabled=draw(st.booleans()),
                deleted=draw(st.sampled_from([False, False, False, True])),
                created=CREATED[number],
                is_person=number != 4,
            )
        )
    return found


CREATED = {1: LONG_AGO, 2: None, 3: day(5, 8), 4: LONG_AGO}
READINGS = [FIRST, day(4), day(5), day(6, 12), day(9)]
TIMES = [day(1, 9.1), FIRST, day(3, 9.1), day(4, 23.1), day(5, 7.9), day(5, 8.1), day(6, 13.1), day(10, 9.1)]


@settings(max_examples=150, deadline=None)
@given(st.lists(people_at_a_reading(), min_size=1, max_size=5))
def test_the_same_person_or_nobody(readings: list[list[Person]]) -> None:
    """For random directories each name at each time means whom the rule names, also for whole days."""
    seen = dict(zip(READINGS, readings))
    rule = BruteForce(seen)
    names = [*NAMES, "A@x.COM", " b@x.com", "only1@x.com", *(person(n, "").object_id for n in range(1, 5))]
    with (
        tempfile.TemporaryDirectory() as folder,
        Directory(write(Path(folder, "identities.sqlite"), seen)) as directory,
    ):
        resolver = Resolver(directory)
        users = Users(resolver, {})
        for name in names:
            history = resolver.history(name)
            steady = history.steady()
            spans = [(t, None) for t in TIMES] + [(day(n), day(n + 1)) for n in range(1, 11)]
            for start, end in spans:
                expected = rule.who(name, start, end)
                found = history.at(start, end)
                got = found.object_id if isinstance(found, Resolved) else None
                assert got == expected, (name, start, end, found)
                if steady is not None and start >= steady[1]:
                    assert (steady[0].object_id, steady[0].upn) == (got, getattr(found, "upn", ""))
                assert user_of(users, name, start) == (
                    found.upn.lower() if isinstance(found, Resolved) and "@" in found.upn else None
                ) or (end is None and start % 900 == 0)


def user_of(users: Users, name: str, at: float) -> str | None:
    """The user of a row with this time."""
    try:
        return users.user(name, int(at * 1_000_000))
    except Refused:
        return None


def test_most_names_are_resolved() -> None:
    """In a directory with some renames, leavers and shared names, 95 % of what the rule resolves is resolved.

    The rule here is without the two cautions of the resolver: the time between two readings, and names that
    somebody else has today.
    """
    draw = random.Random(1)  # noqa: S311 - a made-up directory
    people = {
        n: person(n, f"user{n}@x.com", f"first.last{n}@x.com", f"alias{n % 95}@x.com") for n in range(100)
    }
    readings: dict[float, list[Person]] = {}
    for number in range(2, 28):
        for n in draw.sample(sorted(people), 2):
            people[n] = draw.choice(
                [
                    replace(people[n], enabled=False),
                    replace(people[n], upn=f"renamed{n}@x.com"),
                    replace(people[n], mails=(*people[n].mails[:1], f"alias{draw.randrange(95)}@x.com")),
                ]
            )
        if number % 5 == 0:
            del people[draw.choice(sorted(people))]
        readings[day(number)] = list(people.values())
    rule = BruteForce(readings)
    resolved = expected = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        Directory(write(Path(folder, "identities.sqlite"), readings)) as directory,
    ):
        resolver = Resolver(directory)
        for _ in range(1_500):
            n, at = draw.randrange(100), day(draw.randrange(2, 28), draw.randrange(1, 23) + 0.1)
            name = draw.choice([f"user{n}@x.com", f"first.last{n}@x.com", f"alias{n % 95}@x.com"])
            literal = literally(rule, name, at)
            found = resolver.resolve(name, at)
            if isinstance(found, Resolved):
                assert literal == found.object_id
            expected += literal is not None
            resolved += isinstance(found, Resolved)
    assert expected > 700
    assert resolved >= 0.95 * expected


def literally(rule: BruteForce, name: str, at: float) -> str | None:
    """Who has the name at that time, as the last reading before it saw."""
    now = [p for t, people in sorted(rule.readings.items()) if t <= at for p in people]
    last: Sequence[Person] = rule.readings[max(t for t in rule.readings if t <= at)]
    assert now
    as_upn = [p.object_id for p in last if p.upn == name]
    if as_upn:
        return as_upn[0] if len(as_upn) == 1 else None
    active = {p.object_id for p in last if p.enabled and name in p.mails}
    return active.pop() if len(active) == 1 else None
