"""Bring the directory up to date with Microsoft Entra ID: a delta query, the deleted users, the groups of a
scope.

Promised: the directory changes as a whole or not at all, and where the next sync continues is stored together
with what was read. A person's new names count from the moment at which they were read, by the service's
clock. Someone who is missing from a complete reading was deleted.
Not promised: what happened before the first sync, which Graph does not report, or the moment of a change
between two syncs.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from irmcore.clock import Clock
from irmcore.errors import ConfigurationError, WaitError
from irmcore.identity.directory import Directory
from irmcore.identity.person import Person
from irmsentinel.azure.graph_client import (
    READ_MEMBERS,
    READ_USERS,
    GraphClient,
    NotFound,
    Page,
    ResyncRequired,
)

from irmcli.identities import graph_people

#: At most this many incomplete changes are read one by one; with more, everything is read again.
_MOST_SINGLE = 500
#: If more than this share of the people has gone, it is probably another tenant.
_MOST_GONE, _FEW = 0.5, 10
#: Seconds: if Graph's time differs from this machine's by more, one of the two cannot be used.
_MOST_SKEW = 86_400.0

Progress = Callable[[int], None]


@dataclass
class SyncResult:
    """What a sync did. ``full``: everybody was read, not only changes. ``skew``: seconds by which this
    machine's clock is ahead of Graph's.
    """

    full: bool = False
    pages: int = 0
    read: int = 0
    removed: int = 0
    groups: int = 0
    people: int = 0
    skew: float = 0.0
    at: float = 0.0


@dataclass(frozen=True)
class Sync:
    """How to read: ``groups`` are object ids whose members are read; ``netbios`` as in `graph_people.person`.

    ``accept_removals``: also if most people are gone.
    """

    client: GraphClient
    clock: Clock
    groups: Collection[str] = ()
    netbios: Mapping[str, str] = field(default_factory=dict)
    accept_removals: bool = False
    progress: Progress | None = None

    def run(self, path: Path, *, full: bool = False) -> SyncResult:
        """Read what changed since the last sync, or everything: the first time, with ``full``, or if Graph
        asks.

        Raises ConfigurationError, AddressRefused, WaitError and OSError; then the directory is as before.
        """
        try:
            return self._read(path, full=full)
        except ResyncRequired:
            pass
        try:
            return self._read(path, full=True)
        except ResyncRequired:
            raise WaitError(
                "Microsoft Graph ended the reading and asks to start again",
                where=self.client.host,
                next_step="Run the command again. Nothing was stored.",
            ) from None

    def _read(self, path: Path, *, full: bool) -> SyncResult:
        with Directory(path, writable=True) as directory:
            # The directory keeps the service's times, so a wrong clock on this machine must not stop a sync.
            directory.begin(max(self.clock.now(), directory.last_sync or 0.0))
            link = directory.delta_link
            if link and not self.client.is_own(link):
                raise ConfigurationError(
                    "this directory was filled from another service",
                    where=str(path),
                    next_step="Name another file with --directory, or delete this one.",
                )
            if full:
                link = ""
            reading = _Reading(self, directory, SyncResult(full=not link))
            try:
                reading.members = {group: self._members(group) for group in sorted(self.groups)}
                return reading.run(self.client.pages(link or graph_people.DELTA, READ_USERS))
            except graph_people.Malformed:
                raise WaitError(
                    "the answer has an object that is not a user of Microsoft Graph",
                    where=self.client.host,
                    next_step="Check whether a proxy changes the answers. Nothing was stored.",
                ) from None

    def _members(self, group: str) -> frozenset[str]:
        """The ids of a group's members, also through other groups."""
        try:
            pages = list(
                self.client.pages(f"/v1.0/groups/{group}/transitiveMembers?$select=id&$top=999", READ_MEMBERS)
            )
        except NotFound as error:
            raise ConfigurationError(
                f"there is no group {group}, which a profile's `scope` names",
                where=error.where,
                next_step="Correct the object id of the group in the profile.",
            ) from None
        return frozenset(
            graph_people.id_of(item)
            for page in pages
            for item in page.items
            if item.get("@odata.type", "#microsoft.graph.user") == "#microsoft.graph.user"
        )


@dataclass
class _Reading:
    """One reading of Graph into an open directory."""

    sync: Sync
    directory: Directory
    result: SyncResult
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _last: float = 0.0
    _incomplete: int = 0

    def run(self, pages: Iterator[Page]) -> SyncResult:
        """Write all pages, the deleted users and the groups, and commit."""
        delta_link: str | None = None
        unknown = False
        for page in pages:
            if not self.result.pages:
                self._begin(page)
            self.result.pages += 1
            unknown = self._write(page) or unknown
            delta_link = page.delta_link
        if delta_link is None:
            raise WaitError(
                "the answer ends without saying where the next sync continues",
                where=self.sync.client.host,
                next_step="Run the command again. Nothing was stored.",
            )
        if self.result.full:
            self._remove_missing()
        if self.result.full or unknown:
            self._write_deleted()
        self._update_everybody()
        self.directory.commit(delta_link, self.result.at, self.members)
        return self.result

    def _begin(self, first: Page) -> None:
        """A sync is dated to its start: the next one sees what changes meanwhile."""
        self.result.skew = self.sync.clock.now() - first.at
        if abs(self.result.skew) > _MOST_SKEW:
            raise ConfigurationError(
                f"the time of Microsoft Graph's answer is {abs(self.result.skew) / 3600:.0f} hours away",
                where=self.sync.client.host,
                next_step="Check the system clock, and whether a proxy answers. Nothing was stored.",
            )
        self.result.at = self._last = max(first.at, self.directory.last_sync or 0.0)

    def _time_of(self, page: Page) -> float:
        """When a page was read. An HTTP date is rounded down; several servers' clocks may differ."""
        self._last = max(self._last, page.at + 1.0)
        return self._last

    def _write(self, page: Page) -> bool:
        """Write a page of the delta query. Returns whether it removed an unknown person."""
        at, unknown = self._time_of(page), False
        known = self._known(page.items)
        incomplete = []
        for user in page.items:
            object_id = graph_people.id_of(user)
            self._seen.add(object_id)
            if graph_people.is_removed(user):
                self._seen.discard(object_id)
                unknown = unknown or object_id not in known
                self._remove(known.get(object_id), at)
            elif self.result.full or graph_people.is_complete(user):
                self._put(user, at)
            else:
                incomplete.append(object_id)
        self._incomplete += len(incomplete)
        if self._incomplete > _MOST_SINGLE:
            raise ResyncRequired
        for object_id in dict.fromkeys(incomplete):
            self._put_single(object_id)
        self.result.read += len(page.items)
        if self.sync.progress is not None:
            self.sync.progress(self.result.read)
        return unknown

    def _known(self, users: Sequence[Mapping[str, Any]]) -> dict[str, Person]:
        """The people of a page who were removed, as the directory knows them."""
        removed = [graph_people.id_of(user) for user in users if graph_people.is_removed(user)]
        return {
            name: person
            for name, versions in self.directory.versions_of_names(removed).items()
            for person in [version.person for version in versions if version.person.object_id == name][-1:]
        }

    def _put(self, user: Mapping[str, Any], at: float) -> None:
        groups = self._groups_of(graph_people.id_of(user))
        self.directory.put(graph_people.person(user, groups=groups, netbios=self.sync.netbios), at)

    def _put_single(self, object_id: str) -> None:
        """Read and write one user whose change arrived without all properties."""
        try:
            user, at = self.sync.client.single(graph_people.path_of(object_id), READ_USERS)
        except NotFound:
            return  # deleted in the meantime: the next sync reports it
        self._last = max(self._last, at + 1.0)
        self._put(user, self._last)

    def _remove(self, person: Person | None, at: float) -> None:
        if person is not None and not person.deleted:
            self.directory.remove(person.object_id, at)
            self.result.removed += 1

    def _remove_missing(self) -> None:
        """Remove the people that a complete reading no longer contains."""
        there, gone = 0, []
        for person in self.directory.people():
            there += not person.deleted
            if not person.deleted and person.object_id not in self._seen:
                gone.append(person)
        if len(gone) > max(_FEW, _MOST_GONE * there) and not self.sync.accept_removals:
            raise ConfigurationError(
                f"{len(gone):,} of {there:,} people are gone: this may be another tenant",
                where=str(self.directory.path),
                next_step="Name another file with --directory, or confirm with --accept-removals.",
            )
        for person in gone:
            self._remove(person, self._last)

    def _write_deleted(self) -> None:
        """Write the deleted users, whose names may have been reassigned. A delta query has only their ids."""
        for page in self.sync.client.pages(graph_people.DELETED, READ_USERS):
            at = self._time_of(page)
            for user in page.items:
                deleted = {**user, "deletedDateTime": user.get("deletedDateTime") or "unknown"}
                self._put(deleted, at)

    def _update_everybody(self) -> None:
        """Write the groups and NetBIOS names of people who did not change otherwise."""
        changed = []
        for person in self.directory.people():
            self.result.people += not person.deleted
            groups = self._groups_of(person.object_id)
            names = graph_people.with_netbios(person.account_names, self.sync.netbios)
            if (groups, set(names)) != (person.groups, set(person.account_names)):
                changed.append(replace(person, groups=groups, account_names=names))
        for person in changed:
            self.directory.put(person, self._last)
        self.result.groups = len(self.members)

    def _groups_of(self, object_id: str) -> tuple[str, ...]:
        return tuple(group for group, members in self.members.items() if object_id in members)
