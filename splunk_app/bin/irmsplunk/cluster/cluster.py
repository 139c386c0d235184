"""The outboxes that the members of a cluster share, and what each member has not moved there yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from irmcore.clock import Clock
from irmcore.disk import system_disk
from irmcore.operations.connectors import Connectors
from irmcore.operations.shared import Address
from irmcore.operations.status import connector_status
from irmcore.outbox import Outbox
from irmcore.outbox.on_store import records
from irmcore.store.numbered import Sequence
from irmcore.store.store import Store

from irmsplunk.cluster.member import Member

#: How the outboxes are called in messages and in their identities.
_ADDRESS = "kvstore"
_MEMBERS = "members/"
#: Days for which row keys are kept, unless the profile says. KV store is on the disk of every member.
_ROWKEYS_DAYS = 35
#: Seconds after which a member says again that nothing has changed.
_REPEATED = 600.0


@dataclass(frozen=True)
class Backlog:
    """What a member has accepted and not promoted: batches, rows, since when (0: none), and why.

    ``at`` is when it said so. Times in seconds since 1970.
    """

    member: str
    batches: int = 0
    rows: int = 0
    oldest: float = 0.0
    problem: str = ""
    at: float = 0.0


class Cluster:
    """A cluster as one of its members knows it. Methods raise StoreAway and StoreRefused."""

    def __init__(self, store: Store, member: Member, clock: Clock) -> None:
        self.member, self._store, self._clock = member, store, clock
        self.address = Address(
            store, _ADDRESS, clock, member.name, rolls_back=True, rowkeys_days=_ROWKEYS_DAYS
        )
        self._saved = Backlog("")

    def backlog(self, own: Iterable[Outbox]) -> Backlog:
        """What this member has in these outboxes of its directory and has not promoted."""
        found = [connector_status(outbox) for outbox in own]
        return Backlog(
            self.member.name,
            sum(one.queued + one.proposed + len(one.items) for one in found),
            sum(one.rows_queued + one.rows_proposed + sum(item.rows for item in one.items) for one in found),
            min((one.oldest for one in found if one.oldest), default=0.0),
            next((one.trouble for one in found if one.trouble), ""),
        )

    def save(self, backlog: Backlog) -> None:
        """Let all members know the backlog of this one, if it has changed, or was not said for long."""
        now, saved = self._clock.now(), self._saved
        if backlog == Backlog(**{**vars(saved), "at": backlog.at}) and now - saved.at < _REPEATED:
            return
        found = Sequence(self._store, f"{_MEMBERS}{self.member.guid}/", self._clock)
        newest = found.newest()
        record: dict[str, Any] = {**vars(backlog), "at": now}
        if found.append(newest.number if newest else -1, records.encode(**record)):
            found.prune()
            self._saved = Backlog(**record)

    def backlogs(self) -> list[Backlog]:
        """What each member said last, by its name."""
        newest = {key.split("/")[1]: key for key in self._store.keys(_MEMBERS)}
        found = (self._store.get(key) for key in newest.values())
        fields = (records.decode(value) for value in found if value is not None)
        backlogs = (Backlog(**{name: record[name] for name in vars(Backlog(""))}) for record in fields)
        return sorted(backlogs, key=lambda backlog: backlog.member)


class MemberConnectors(Connectors):
    """The connectors of a search head's directory ``root``, and those of its cluster, if it is in one."""

    def __init__(self, root: str, cluster: Cluster) -> None:
        super().__init__(system_disk(), cluster.address.clock, root)
        self._cluster = cluster

    def outboxes(self) -> list[Outbox]:
        """Raises StoreAway, StoreRefused."""
        return [*super().outboxes(), *self.there()]

    def there(self) -> list[Outbox]:
        """The outboxes that the members share. Raises StoreAway, StoreRefused."""
        if not self._cluster.member.in_cluster:
            return []
        found = map(self._cluster.address.replica, self._cluster.address.names())
        return [outbox for outbox in found if outbox.exists()]
