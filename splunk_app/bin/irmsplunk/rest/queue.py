"""The queue through REST, so that it can be managed in Splunk Cloud too, which has no shell."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from irmcore.clock import Clock
from irmcore.delivery.breaker_store import load_breaker
from irmcore.delivery.circuit_breaker import CLOSED
from irmcore.disk import system_disk
from irmcore.errors import ConfigurationError, IrmError, OperatorError
from irmcore.operations import operations
from irmcore.operations import release as releases
from irmcore.operations.audit import describe
from irmcore.operations.connectors import Connectors, profile_of
from irmcore.operations.status import connector_status
from irmcore.outbox import Batch, Outbox
from irmcore.outbox.batch_files import read_manifest
from irmcore.outbox.on_store.replica import Replica

from irmsplunk.cluster.cluster import Cluster, MemberConnectors
from irmsplunk.cluster.member import this_member
from irmsplunk.rest.person import PersonRoutes
from irmsplunk.splunk import heartbeat, sender_input
from irmsplunk.splunk.connectors import CLUSTER, DIRECTORY
from irmsplunk.splunk.kv_store import KvStore
from irmsplunk.splunk.splunkd import Splunkd

_ENABLE = f"Enable the data input {sender_input.NAME} on this search head, under Settings, Data inputs."
_STARTS = "The data input is enabled: see splunkd.log if the sender does not start within 5 minutes."
#: Rows that a preview shows.
_PREVIEW_ROWS = 20


class QueueRoutes:
    """Operations on the outboxes of this search head, and of the cluster that it is a member of."""

    def __init__(self, root: str, clock: Clock, user: str, system: Splunkd) -> None:
        """``user`` made the request; the history names the user of each action. ``system`` is splunkd as the
        system user.
        """
        self._root = root
        self._system = system
        self._clock = clock
        self._user = user
        self._own = Connectors(system_disk(), clock, root)
        self._cluster = Cluster(KvStore(system, clock), this_member(system), clock)
        self._connectors = MemberConnectors(root, self._cluster)

    def queue(self) -> dict[str, Any]:
        """Every connector, what waits for release, whether the sender runs, and the cluster's members.

        If KV store is away, what this search head has is shown, and why the rest is not.
        """
        outboxes, cluster = self._own.outboxes(), None
        here = sum(outbox.count_ready() for outbox in outboxes)
        if self._cluster.member.in_cluster:
            cluster, there = self._members()
            outboxes = [outbox for outbox in outboxes if outbox.count_ready() or outbox.quarantined()] + there
        shown, proposed = [], []
        for outbox in outboxes:
            shown.append(self._overview(outbox))
            if shown[-1]["proposed"]:
                proposed += self._proposals(outbox)
        return {"sender": self._sender(here), "cluster": cluster, "connectors": shown, "proposed": proposed}

    def _members(self) -> tuple[dict[str, Any], list[Outbox]]:
        """What the members of the cluster have not promoted, and the outboxes that they share."""
        found: dict[str, Any] = {"member": self._cluster.member.name, "problem": "", "next_step": ""}
        try:
            members = [asdict(backlog) for backlog in self._cluster.backlogs()]
            return {**found, "members": members}, self._connectors.there()
        except IrmError as error:
            problem = f"the cluster's outbox cannot be reached: {error.what}"
            return {**found, "problem": problem, "next_step": error.next_step, "members": []}, []

    def _sender(self, queued: int) -> dict[str, Any]:
        """``problem`` is empty while the sender runs or nothing is queued."""
        now, host = self._clock.now(), socket.gethostname()
        age, alive = heartbeat.age(self._root, now), heartbeat.alive(self._root, now)
        enabled = True if alive else sender_input.is_enabled(self._system)
        return {
            "alive": alive,
            "seconds_since_sign_of_life": None if age is None else round(age),
            "host": host,
            "input_enabled": enabled,
            "problem": f"queued on {host}, sender not running" if queued and not alive else "",
            "next_step": "" if alive else _STARTS if enabled else _ENABLE,
        }

    def _overview(self, outbox: Outbox) -> dict[str, Any]:
        overview = {"connector": profile_of(outbox), **asdict(connector_status(outbox))}
        del overview["path"]
        overview["outbox"] = DIRECTORY if outbox.has_ledger else CLUSTER
        if isinstance(outbox, Replica):
            overview["sender"], overview["sends_now"] = outbox.holder()
        return overview

    def held(self) -> dict[str, Any]:
        """The batches of all connectors that need a person."""
        batches = []
        for outbox in self._connectors.outboxes():
            name, overview = profile_of(outbox), connector_status(outbox)
            batches += [{"connector": name or overview.name, **asdict(item)} for item in overview.items]
        return {"batches": batches}

    def batch(self, prefix: str) -> dict[str, Any]:
        """Everything recorded about a batch, except its payload."""
        outbox, batch = self._connectors.find_batch(prefix)
        return describe(outbox, batch)

    def resolve(self, prefix: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Resolve a held batch: sent, resend or withdraw."""
        outcome = _outcome(form, "resolve", ("sent", "resend", "withdraw"))
        outbox, batch = self._connectors.find_batch(prefix)
        return _state(operations.resolve(outbox, batch.id, outcome, who=self._user, why=_why(form)))

    def requeue(self, prefix: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Put a dead or quarantined batch back into the queue."""
        outbox, batch = self._connectors.find_batch(prefix)
        return _state(operations.requeue(outbox, batch.id, who=self._user, why=_why(form)))

    def proposed(self) -> dict[str, Any]:
        """The batches that wait for a second person, who proposed them, and why this user cannot release
        them (``problem``, empty if nothing is known against it).
        """
        found = (self._proposals(outbox) for outbox in self._connectors.outboxes())
        return {"batches": [one for proposals in found for one in proposals]}

    def _proposals(self, outbox: Outbox) -> list[dict[str, Any]]:
        connector = profile_of(outbox) or outbox.name
        return [{"connector": connector, **self._proposal(outbox, one)} for one in releases.proposed(outbox)]

    def _proposal(self, outbox: Outbox, batch: Batch) -> dict[str, Any]:
        since = batch.state.at if batch.state else 0.0
        found: dict[str, Any] = {"batch": batch.id, "rows": 0, "since": since, "by": ""}
        found.update(problem="", next_step="")
        try:
            manifest = read_manifest(outbox, batch)
            found.update(rows=manifest.rows, by=manifest.origin.user)
            releases.require_second_person(batch, manifest, self._user)
        except IrmError as error:  # a damaged batch hides no other
            found.update(problem=error.what, next_step=error.next_step)
        return found

    def preview(self, prefix: str) -> dict[str, Any]:
        """The first rows of a proposed batch, as its profile lets them be seen."""
        outbox, batch = self._connectors.find_batch(prefix)
        header, *rows = releases.preview(outbox, batch, _PREVIEW_ROWS)
        return {"batch": batch.id, "header": header, "rows": rows}

    def release(self, prefix: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Release or reject a proposed batch: ``outcome`` is release or reject."""
        decisions = {"release": releases.release, "reject": releases.reject}
        act = decisions[_outcome(form, "release", tuple(decisions))]
        outbox, batch = self._connectors.find_batch(prefix)
        return _state(act(outbox, batch.id, who=self._user, why=_why(form)))

    def resume(self, name: str, form: Mapping[str, str]) -> dict[str, Any]:
        """End the pause of a connector. Raises OperatorError if it has no outbox."""
        outboxes = self._outboxes_of(name)
        if not outboxes:
            raise OperatorError(
                "this connector has no outbox on this search head",
                where=name,
                next_step="Its first rows create one.",
            )
        why = form.get("why", "").strip()[:500]
        return {"resumed": sum(operations.resume(outbox, who=self._user, why=why) for outbox in outboxes)}

    def resume_if_paused(self, name: str) -> str:
        """After a new secret was saved: queued batches can be sent at once. Returns what is left to do."""
        try:
            for outbox in self._outboxes_of(name):
                if load_breaker(outbox)[0].mode != CLOSED:
                    operations.resume(outbox, who=self._user, why="a new secret was saved")
        except (IrmError, OSError) as error:
            what = getattr(error, "what", type(error).__name__)
            return f"The secret is saved, but the pause was not ended ({what}). Run `irmexport resume`."
        return ""

    def person(self, action: str, form: Mapping[str, str]) -> dict[str, Any] | None:
        """Find or erase one person's rows. Raises StoreAway while those of the cluster cannot be searched."""
        in_cluster = self._cluster.member.in_cluster
        backlogs = self._cluster.backlogs() if in_cluster else []
        routes = PersonRoutes(self._connectors.outboxes(), backlogs, self._cluster.member.name)
        if action == "find":
            return routes.find(form)
        return routes.erase(form, by=self._user, why=_why(form)) if action == "erase" else None

    def _outboxes_of(self, name: str) -> list[Outbox]:
        return [outbox for outbox in self._connectors.outboxes() if profile_of(outbox) == name]


def _state(batch: Batch) -> dict[str, Any]:
    return {"batch": batch.id, "state": batch.state.name if batch.state else "unknown"}


def _outcome(form: Mapping[str, str], where: str, known: tuple[str, ...]) -> str:
    found = form.get("outcome", "")
    if found not in known:
        *others, last = (f"outcome={one}" for one in known)
        what, step = f"`outcome` is not one of {', '.join(known)}", f"Send {', '.join(others)} or {last}."
        raise ConfigurationError(what, where=where, next_step=step)
    return found


def _why(form: Mapping[str, str]) -> str:
    why = form.get("why", "").strip()
    if not why:
        raise ConfigurationError(
            "`why` is empty", where="why", next_step="Give the reason; it is kept in the audit record."
        )
    return why[:500]
