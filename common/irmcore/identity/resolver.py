"""The rule: which person has a name at a time? Pure decisions over the directory's versions.

Either one person is certain, or the name is refused. ``docs/identity.md`` states the rule in words.

A row's time is an instant or a span: a row that only knows its day may be of any moment of it. The moment
of a change is uncertain too: it happened after the last reading of the directory that did not see it.
Everybody who may have had a name at some moment of the row's span counts.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Union

from irmcore.identity.person import Person, Version, normal

if TYPE_CHECKING:  # most runs have no directory, and need not load SQLite
    from irmcore.identity.directory import Directory

AMBIGUOUS = "user-ambiguous"
UNKNOWN = "user-unknown"
VALIDITY_UNKNOWN = "user-validity-unknown"


@dataclass(frozen=True)
class Resolved:
    """The person that a name means. ``upn`` is the current one; ``how`` is one of
    ``object-id``, ``sid``, ``upn``, ``address`` and ``account-name``.
    """

    upn: str
    object_id: str
    how: str


@dataclass(frozen=True)
class Refusal:
    """Why a name cannot be resolved: a reason code, and the user principal names that it might have meant."""

    code: str
    candidates: tuple[str, ...] = ()


Answer = Union[Resolved, Refusal]


class Holder(NamedTuple):
    """What one person has to do with a name at a time. Each of the texts is a ``how``, or "".

    ``held`` is what the directory saw, and ``maybe`` what it could not see. ``active`` and ``maybe_active``
    say whether the account was enabled then. ``unseen``: a part of the time is before the first version,
    which has the name as this ``how`` (or "other").
    """

    person: Person
    held: str
    active: bool
    maybe: str
    maybe_active: bool
    unseen: str


class Resolver:
    """Resolves names by a directory."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def resolve(self, name: str, at: float, end: float | None = None) -> Answer:
        """Who ``name`` means ``at`` a time (seconds since 1970), or at a moment from ``at`` to ``end``."""
        return self.history(name).at(at, end)

    def history(self, name: str) -> History:
        """The history of one name."""
        return self.histories([name])[normal(name)]

    def steady(self, names: Iterable[str]) -> Mapping[str, tuple[str, str, int, int]]:
        """Quick answers, as ``Directory.steady`` gives them. A name that it leaves out needs its history."""
        return self._directory.steady(names)

    def people(self, numbers: Iterable[int]) -> Mapping[int, Person]:
        """The people with these numbers, as they are today."""
        return self._directory.numbered(numbers)

    def histories(self, names: Iterable[str]) -> dict[str, History]:
        """The histories of many names, by their normal form."""
        wanted = {normal(name) for name in names}
        versions = self._directory.versions_of_names(wanted)
        current = {_current_upn(of) for found in versions.values() for of in by_person(found).values()}
        more = self._directory.versions_of_names(current - wanted)
        owners = {upn: _owners(upn, [*versions.get(upn, ()), *more.get(upn, ())]) for upn in current}
        return {name: History(name, versions.get(name, ()), owners) for name in wanted}


class History:
    """Everything the directory knows about one name (in its normal form)."""

    def __init__(self, name: str, versions: Sequence[Version], owners: Mapping[str, set[str]]) -> None:
        """``owners``: the object ids of those who have a user principal name today."""
        self.versions = tuple(version for version in versions if version.person.is_person)
        self._name = name
        self._people = by_person(self.versions)
        self._owners = owners
        self._identified = self._by_identifier()
        #: Nothing changes between two of these times. Answers are cached by the number of times before them.
        self._changes = sorted(set(_changes(self._people.values())))
        self._answers: dict[int, Answer] = {}

    def steady(self) -> tuple[Resolved, float] | None:
        """The answer that holds for all times from a time on; None if there is no such answer.

        Its ``how`` is that of today.
        """
        if isinstance(self._identified, Resolved):
            return self._identified, -math.inf
        if self._identified is not None or len(self._people) != 1:
            return None
        (versions,) = self._people.values()
        kinds = [_how(version.person, self._name) for version in versions]
        for version, kind in zip(versions, kinds):
            if version.person.deleted or not (kind == "upn" or (kind and version.person.enabled)):
                return None
        first = versions[0]
        since = first.since
        if kinds[0] == "upn" and first.person.created is not None:
            since = min(since, first.person.created)
        answer = self._resolved(versions, kinds[-1])
        return (answer, since) if isinstance(answer, Resolved) else None

    def at(self, start: float, end: float | None = None) -> Answer:
        """The answer for an instant, or for some moment from ``start`` to before ``end``."""
        if self._identified is not None:
            return self._identified
        before = bisect_right(self._changes, start)
        if end is not None and before < len(self._changes) and self._changes[before] < end:
            return self._decide(start, end)
        answer = self._answers.get(before)
        if answer is None:
            answer = self._answers[before] = self._decide(start, None)
        return answer

    def _decide(self, start: float, end: float | None) -> Answer:
        holders = self.holders(start, end)
        return self._by_upn(holders) or self._by_active_name(holders)

    def person(self, answer: Resolved) -> Person:
        """The person of an answer, as they are today."""
        return self._people[normal(answer.object_id)][-1].person

    def stated(self, answer: Answer) -> Answer:
        """The answer for a name in a file that does not say when it was written.

        If the name passed from one person to another, the file may mean either of them: it is refused.
        """
        if isinstance(answer, Refusal) or self._identified is not None:
            return answer
        person = normal(answer.object_id)
        others = [
            object_id
            for object_id, kinds in self._kinds.items()
            if object_id != person and ("upn" in kinds or answer.how != "upn")
        ]
        if not others:
            return answer
        return Refusal(AMBIGUOUS, _names(self._people[one][-1].person for one in (person, *others)))

    @cached_property
    def _kinds(self) -> dict[str, set[str]]:
        """As what each person ever had the name; people who never had it are left out."""
        found = {
            object_id: {_how(version.person, self._name) for version in versions} - {""}
            for object_id, versions in self._people.items()
        }
        return {object_id: kinds for object_id, kinds in found.items() if kinds}

    def has_only_its_owner(self) -> bool:
        """Whether it is somebody's user principal name today, and nobody else ever had it."""
        people = [versions[-1].person for versions in self._people.values()]
        return len(people) == 1 and not people[0].deleted and normal(people[0].upn) == self._name

    def holders(self, start: float, end: float | None = None) -> tuple[Holder, ...]:
        """What each person who ever had the name has to do with it at this time."""
        return tuple(
            _holder(self._name, versions, start, end) for _, versions in sorted(self._people.items())
        )

    def _by_identifier(self) -> Answer | None:
        """By object id or SID, which are never reassigned; None if the name is neither.

        An account of the on-premises directory may have several objects with its SID, if its object was
        deleted and created again. Then the one that exists counts.
        """
        if self._name in self._people:
            return self._resolved(self._people[self._name], "object-id")
        having = [
            versions
            for versions in self._people.values()
            if any(_how(version.person, self._name) == "sid" for version in versions)
        ]
        if len(having) > 1:
            existing = [versions for versions in having if not versions[-1].person.deleted]
            if len(existing) != 1:
                return Refusal(AMBIGUOUS, _names(versions[-1].person for versions in having))
            having = existing
        return self._resolved(having[0], "sid") if having else None

    def _by_upn(self, holders: Sequence[Holder]) -> Answer | None:
        """By exact user principal name; None if nobody has it as such."""
        held = [holder for holder in holders if holder.held == "upn"]
        may = [holder for holder in holders if "upn" in (holder.held, holder.maybe)]
        if len(held) > 1:
            return Refusal(AMBIGUOUS, _names(holder.person for holder in held))
        if not may or not (held or may[0].unseen == "upn"):
            return None
        versions = self._people[normal(may[0].person.object_id)]
        # Others may have had the name before the directory saw this person: no other known person may ever
        # have had it.
        certain = not may[0].unseen or (len(holders) == 1 and versions[0].person.created is not None)
        if len(may) == 1 and certain:
            return self._resolved(versions, "upn")
        return Refusal(VALIDITY_UNKNOWN, _names(holder.person for holder in holders))

    def _by_active_name(self, holders: Sequence[Holder]) -> Answer:
        """By an address or account name that one active person has."""
        held = [holder for holder in holders if holder.held and holder.active]
        may = [
            holder for holder in holders if holder.maybe and (holder.maybe_active or holder.maybe == "upn")
        ]
        candidates = {*held, *may}
        if len(held) > 1:
            return Refusal(AMBIGUOUS, _names(holder.person for holder in held))
        if len(held) == 1 and candidates == set(held) and not held[0].unseen:
            return self._resolved(self._people[normal(held[0].person.object_id)], held[0].held)
        if candidates:
            return Refusal(VALIDITY_UNKNOWN, _names(holder.person for holder in candidates))
        inactive = [holder for holder in holders if holder.held]
        if inactive:
            code = AMBIGUOUS if len(inactive) > 1 else UNKNOWN
            return Refusal(code, _names(holder.person for holder in inactive))
        # Somebody has it at another time: it may have changed hands.
        code = VALIDITY_UNKNOWN if holders else UNKNOWN
        return Refusal(code, _names(holder.person for holder in holders))

    def _resolved(self, versions: Sequence[Version], how: str) -> Answer:
        """The person by their current user principal name, by which the service finds them.

        If somebody else has that name today, the row would become theirs: it is refused.
        """
        person = versions[-1].person
        owners = self._owners.get(_current_upn(versions), set()) - {normal(person.object_id)}
        if owners:
            return Refusal(AMBIGUOUS, _names([person]))
        return Resolved(person.upn, person.object_id, how)


def by_person(versions: Iterable[Version]) -> dict[str, list[Version]]:
    """Each person's versions in the order of time, by object id in its normal form."""
    found: dict[str, list[Version]] = {}
    for version in versions:
        found.setdefault(normal(version.person.object_id), []).append(version)
    return found


def _changes(people: Iterable[Sequence[Version]]) -> Iterator[float]:
    """All times at which an account or a version begins or ends."""
    for versions in people:
        if versions[0].person.created is not None:
            yield versions[0].person.created
        for version in versions:
            yield version.since
            if version.after is not None:
                yield version.after


def _current_upn(versions: Sequence[Version]) -> str:
    return normal(versions[-1].person.upn)


def _owners(upn: str, versions: Iterable[Version]) -> set[str]:
    """Who has this user principal name today."""
    latest = {object_id: found[-1].person for object_id, found in by_person(versions).items()}
    return {
        object_id for object_id, person in latest.items() if not person.deleted and normal(person.upn) == upn
    }


def _names(people: Iterable[Person]) -> tuple[str, ...]:
    return tuple(sorted({person.upn for person in people}))


def _how(person: Person, name: str) -> str:
    """The kind of name that a person has: a ``how``, or "" if they do not have the name."""
    if normal(person.sid) == name:
        return "sid" if name else ""
    if normal(person.upn) == name:
        return "upn"
    if name in map(normal, person.mails):
        return "address"
    accounts = (*person.account_names, person.employee_id)
    return "account-name" if name and name in map(normal, accounts) else ""


def _holder(name: str, versions: Sequence[Version], start: float, end: float | None) -> Holder:
    """What one person has to do with a name from ``start`` to before ``end``, or at the instant ``start``."""
    held, active, maybe, maybe_active, unseen = "", False, "", False, ""
    enabled_before = True
    for number, version in enumerate(versions):
        person, how = version.person, _how(version.person, name)
        after = person.created if number == 0 else version.after
        if _meet(-math.inf if after is None else after, version.since, start, end):
            if number == 0:
                unseen = how or "other"
            if how and (number == 0 or not person.deleted):
                maybe = "upn" if "upn" in (how, maybe) else how
                maybe_active = maybe_active or enabled_before or person.enabled
        if how and not person.deleted and _meet(version.since, version.until, start, end):
            held = "upn" if "upn" in (how, held) else how
            active = active or person.enabled
        enabled_before = person.enabled and not person.deleted
    return Holder(versions[-1].person, held, active, maybe, maybe_active, unseen)


def _meet(since: float, until: float | None, start: float, end: float | None) -> bool:
    """Whether the time from ``since`` to before ``until`` has a moment in common with the row's."""
    if until is not None and (until <= since or until <= start):
        return False
    return since <= start if end is None else since < end
