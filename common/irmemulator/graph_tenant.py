"""The people and groups of an emulated tenant, and what changed about them since when.

Promised: every change has a number, so that a delta query can ask for what changed after one; a deleted user
can be restored for 30 days; only a change of a selected property counts. Safe between threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: The properties of a user that the emulator knows; learn.microsoft.com/graph/api/resources/user.
PROPERTIES = frozenset(
    {
        "accountEnabled",
        "businessPhones",
        "city",
        "companyName",
        "country",
        "createdDateTime",
        "deletedDateTime",
        "department",
        "displayName",
        "employeeId",
        "employeeLeaveDateTime",
        "givenName",
        "id",
        "jobTitle",
        "mail",
        "mailNickname",
        "mobilePhone",
        "officeLocation",
        "onPremisesDomainName",
        "onPremisesSamAccountName",
        "onPremisesSecurityIdentifier",
        "otherMails",
        "preferredLanguage",
        "proxyAddresses",
        "surname",
        "usageLocation",
        "userPrincipalName",
        "userType",
    }
)
#: How long a deleted user can be restored, in seconds.
RESTORABLE_S = 30 * 86_400.0


@dataclass
class _Entry:
    """A user: the numbers of the last change of each property, and (``moved``) of coming or going."""

    user: dict[str, Any]
    moved: int
    changed: dict[str, int] = field(default_factory=dict)
    deleted_at: float | None = None
    purged: bool = False


class GraphTenant:
    """The people and groups of one tenant. Times are seconds since 1970, by ``now``."""

    def __init__(self, users: Iterable[Mapping[str, Any]] = (), now: Callable[[], float] = time.time) -> None:
        """Begin with ``users``, each an object as Graph returns it, with at least `id`."""
        self.now = now
        self._entries: dict[str, _Entry] = {}
        self._groups: dict[str, tuple[str, ...]] = {}
        self._sequence = 0
        self._lock = threading.RLock()
        for user in users:
            self.add(user)

    def add(self, user: Mapping[str, Any]) -> None:
        """Create a user. Raises ValueError if a property is unknown, or the id is taken."""
        _check(user)
        with self._lock:
            if user["id"] in self._entries:
                raise ValueError("a user with this id exists")
            self._entries[user["id"]] = _Entry(dict(user), self._next())

    def change(self, user_id: str, **properties: Any) -> None:
        """Change properties of a user; None clears one. Raises KeyError, ValueError."""
        _check(properties)
        with self._lock:
            entry, number = self._entries[user_id], self._next()
            entry.user.update(properties)
            entry.changed.update(dict.fromkeys(properties, number))

    def delete(self, user_id: str) -> None:
        """Delete a user, who can be restored. Raises KeyError."""
        with self._lock:
            entry = self._entries[user_id]
            entry.moved, entry.deleted_at = self._next(), self.now()

    def restore(self, user_id: str) -> None:
        """Restore a deleted user. Raises KeyError."""
        with self._lock:
            entry = self._entries[user_id]
            entry.moved, entry.deleted_at = self._next(), None

    def purge(self, user_id: str) -> None:
        """Delete a user for good. Raises KeyError."""
        with self._lock:
            entry = self._entries[user_id]
            entry.moved, entry.purged = self._next(), True

    def set_group(self, group_id: str, members: Iterable[str]) -> None:
        """Create a group or replace its members: ids of users and of other groups."""
        with self._lock:
            self._groups[group_id] = tuple(members)

    @property
    def sequence(self) -> int:
        """The number of the last change."""
        with self._lock:
            return self._sequence

    def changed_since(self, number: int, select: frozenset[str], only: frozenset[str]) -> tuple[str, ...]:
        """The ids of the users whose ``select``ed properties changed after ``number``, or who came or went.

        ``only``: their ids, if it is not empty. At 0: all who exist.
        """
        with self._lock:
            return tuple(
                name
                for name, entry in self._entries.items()
                if (not only or name in only) and self._is_news(entry, number, select)
            )

    def _is_news(self, entry: _Entry, number: int, select: frozenset[str]) -> bool:
        if number == 0:
            return entry.deleted_at is None and not entry.purged
        return entry.moved > number or any(
            at > number for name, at in entry.changed.items() if name in select
        )

    def changed_properties(self, user_id: str, number: int) -> frozenset[str]:
        """What changed of a user after ``number``; nothing if the user came since. Raises KeyError."""
        with self._lock:
            entry = self._entries[user_id]
            if entry.moved > number:
                return frozenset()
            return frozenset(name for name, at in entry.changed.items() if at > number)

    def get(self, user_id: str) -> tuple[dict[str, Any], str]:
        """A user, and why it is gone: "", "changed" (restorable) or "deleted". Raises KeyError."""
        with self._lock:
            entry = self._entries[user_id]
            if entry.purged or self._is_lapsed(entry):
                return dict(entry.user), "deleted"
            return dict(entry.user), "" if entry.deleted_at is None else "changed"

    def deleted(self) -> list[dict[str, Any]]:
        """The deleted users who can be restored. Their user principal name begins with their id."""
        with self._lock:
            return [
                _as_deleted(entry.user, entry.deleted_at)
                for entry in self._entries.values()
                if entry.deleted_at is not None and not entry.purged and not self._is_lapsed(entry)
            ]

    def members(self, group_id: str) -> list[tuple[str, str]] | None:
        """The transitive members as (id, "user" or "group"); None if there is no such group."""
        with self._lock:
            if group_id not in self._groups:
                return None
            found: dict[str, str] = {}
            left = list(self._groups[group_id])
            while left:
                name = left.pop(0)
                if name in found or name == group_id:
                    continue
                found[name] = "group" if name in self._groups else "user"
                left.extend(self._groups.get(name, ()))
            return [pair for pair in found.items() if pair[1] == "group" or self._exists(pair[0])]

    def _exists(self, user_id: str) -> bool:
        entry = self._entries.get(user_id)
        return entry is not None and entry.deleted_at is None and not entry.purged

    def _is_lapsed(self, entry: _Entry) -> bool:
        return entry.deleted_at is not None and self.now() - entry.deleted_at > RESTORABLE_S

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence


def _check(properties: Mapping[str, Any]) -> None:
    if unknown := properties.keys() - PROPERTIES:
        raise ValueError(f"a user has no property {min(unknown)}")


def _as_deleted(user: Mapping[str, Any], at: float) -> dict[str, Any]:
    """A user as the deleted items show it. The prefix is what tenants show; Microsoft's pages are silent."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    name = f"{user['id'].replace('-', '')}{user.get('userPrincipalName', '')}"
    return {**user, "userPrincipalName": name, "deletedDateTime": stamp}
