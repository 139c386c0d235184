"""The history of a connector, every moment at which the power may fail, and what must hold afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from irmcore.delivery.breaker_store import load_breaker
from irmcore.delivery.circuit_breaker import CircuitBreaker
from irmcore.http.outcome import Outcome
from irmcore.operations import operations
from irmcore.outbox import Outbox, audit_log
from irmcore.outbox.batch_files import read_manifest, read_payload

from tests.common.irmcore.outbox.outboxes import left
from tests.fakes.clock import FakeClock
from tests.fakes.connector import ROOT, Connector, notes, notes_of
from tests.fakes.powerloss import PowerLossDisk
from tests.fakes.transport import FakeTransport

SYNCS = ("sync", "sync_dir")
IN_DONE = {"done SENT", "done WITHDRAWN", "done SPLIT"}
NEEDS_PERSON = {"ready HELD", "ready DEAD"}
DAY = 86_400.0


class Recorded(NamedTuple):
    """A batch's state, and the events of its history."""

    state: str
    events: tuple[str, ...]


class Moment(NamedTuple):
    """A disk, and what was known at that moment.

    The rows that were ``offered`` and ``acknowledged``, the files that the service has ``kept``, and what was
    reported: each batch's state and history, the records of runs, the circuit breaker. These must
    survive unchanged.
    """

    where: str
    disk: PowerLossDisk
    offered: tuple[str, ...]
    acknowledged: tuple[str, ...]
    kept: tuple[bytes, ...]
    reported: Mapping[str, Recorded]
    records: tuple[str, ...]
    breaker: CircuitBreaker | None


class Story:
    """A connector's history and its moments: before each sync, and whenever something is reported.

    Between two syncs the pending changes only grow, so these moments include the states of all others.
    """

    def __init__(self, disk: PowerLossDisk, *, in_doubt: str = "hold", before: Story | None = None) -> None:
        """``before``: the story of the process that used this disk before."""
        self.disk = disk
        self.clock = FakeClock()
        self.connector = Connector(disk, self.clock, in_doubt=in_doubt)
        self.offered: list[str] = [] if before is None else list(before.offered)
        self.acknowledged: list[str] = [] if before is None else list(before.acknowledged)
        self.services: list[FakeTransport] = [] if before is None else list(before.services)
        self.moments: list[Moment] = []
        disk.watch = self._watch

    def _watch(self, kind: str, path: str) -> None:
        if kind in SYNCS:
            self._remember(f"{kind} {path}")

    def _remember(
        self,
        where: str,
        reported: Mapping[str, Recorded] = MappingProxyType({}),
        records: Iterable[str] = (),
        breaker: CircuitBreaker | None = None,
    ) -> None:
        files = tuple(file for service in self.services for file in service.kept)
        known = (tuple(self.offered), tuple(self.acknowledged), files)
        self.moments.append(Moment(where, self.disk.fork(), *known, reported, tuple(records), breaker))

    def report(self, where: str) -> None:
        """Remember a moment at which somebody learns the state of things."""
        here = Connector(self.disk.fork(), self.clock)
        records = [str(event["run"]) for event in audit_log.read(here.outbox) if event["event"] == "run"]
        self._remember(where, _on_record(here), records, load_breaker(here.outbox)[0])

    def accept(self, lines: Iterable[str]) -> None:
        given = list(lines)
        self.offered += given
        self.connector.accept(given)
        self.acknowledged += given
        self.report("acknowledged")

    def drain(self, *answers: Outcome) -> None:
        self.services.append(FakeTransport(*answers, wire=self.report))
        self.connector.drain(self.services[-1])
        self.report("drained")

    def withdraw_dead(self) -> None:
        """Withdraw every DEAD batch, as `irmexport resolve --withdraw` does."""
        for batch in self.connector.outbox.ready():
            if batch.state is not None and batch.state.name == "DEAD":
                outbox = self.connector.outbox
                gone = notes(read_payload(outbox, batch, read_manifest(outbox, batch)))
                self.acknowledged = [line for line in self.acknowledged if notes_of([line])[0] not in gone]
                operations.resolve(outbox, batch.id, "withdraw", who="me", why="wrong")
        self.report("withdrawn")

    def do(self, operation: Callable[[Outbox], object]) -> None:
        """Do what a person does to this connector."""
        operation(self.connector.outbox)
        self.report("done")

    def reported(self) -> list[Moment]:
        """The moments at which something was reported."""
        return [moment for moment in self.moments if not moment.where.startswith("sync")]


def root() -> PowerLossDisk:
    """A disk with an empty outbox directory."""
    disk = PowerLossDisk()
    disk.make_dir(ROOT)
    return disk.synced()


def problems_after(moment: Moment, disk: PowerLossDisk, *, in_doubt: str = "hold") -> Iterator[str]:
    """What is wrong when a process starts on ``disk``, as a power loss at ``moment`` has left it."""
    clock = FakeClock()
    clock.advance(DAY)
    connector = Connector(disk, clock, in_doubt=in_doubt)
    try:
        yield from _forgotten(moment, connector)
        yield from _wrong(moment, connector, doubled=in_doubt == "resend")
        yield from (f"the audit log was changed: {what}" for what in audit_log.verify(connector.outbox))
    except Exception as error:  # noqa: BLE001 - whatever it is, the connector does not work
        yield f"{type(error).__name__}: {error}"


def _on_record(connector: Connector) -> dict[str, Recorded]:
    """The state of each batch, and the events of its history."""
    found: dict[str, Recorded] = {}
    histories = audit_log.histories(connector.outbox)
    for batch in (
        connector.outbox.all_batches()
    ):  # the first of each id: a withdrawn batch may exist beside its successor
        events = tuple(str(event["event"]) for event in histories.get(batch.id, ()))
        found.setdefault(batch.id, Recorded(batch.state.name if batch.state else "unreadable", events))
    log = audit_log.read(connector.outbox)
    found["the connector"] = Recorded("", tuple(e["event"] for e in log if "batch" not in e))
    return found


def _forgotten(moment: Moment, connector: Connector) -> Iterator[str]:
    """What was reported and is no longer on record."""
    now = _on_record(connector) if moment.reported else {}
    for name, (state, events) in moment.reported.items():
        found, lines = now.get(name, Recorded("gone", ()))
        if found != state:
            yield f"a batch was reported as {state} and is {found}"
        if lines[: len(events)] != events:
            yield f"the history of a batch was {events} and is {lines}"
    if moment.breaker is not None and load_breaker(connector.outbox)[0] != moment.breaker:
        yield "the circuit breaker is not what it was"
    records = {event["run"]: event for event in audit_log.read(connector.outbox) if event["event"] == "run"}
    for record in moment.records:
        found = records[record]
        rejected = found["counts"]["rejected"]
        if rejected and connector.disk.read(found["rejects"]).count(b"\r\n") != rejected + 1:
            yield "a refused row is not in the reject file"


def _wrong(moment: Moment, connector: Connector, *, doubled: bool) -> Iterator[str]:
    """What goes wrong in the next drain, the same rows again and another drain."""
    service = FakeTransport()

    def seen() -> Counter[str]:
        return Counter(note for file in [*moment.kept, *service.kept] for note in notes(file))

    if any(batch.state is None for batch in connector.outbox.done()):
        yield "a batch that was deleted came back in part"
    if connector.outbox.exists():
        connector.drain(service)
    lost = set(notes_of(moment.acknowledged)) - set(seen()) - set(connector.notes("HELD", "DEAD"))
    if lost:
        yield f"acknowledged, and lost: {sorted(lost)}"
    connector.accept(dict.fromkeys(moment.offered))
    connector.drain(service)
    missing = set(notes_of(moment.offered)) - set(seen()) - set(connector.notes("HELD", "DEAD"))
    if missing:
        yield f"offered again, and lost: {sorted(missing)}"
    twice = [note for note, times in seen().items() if times > 1]
    if twice and not doubled:
        yield f"sent twice: {sorted(twice)}"
    if max(connector.accepted_keys().values(), default=0) > 1:
        yield "a row is in two batches"
    odd = set(connector.states().values()) - IN_DONE - NEEDS_PERSON
    if odd:
        yield f"batches are left as {sorted(odd)}"
    if left(connector.outbox):
        yield "what a dead run left is never removed"


class Survivors:
    """Visits the states after a power loss, and counts them."""

    def __init__(self) -> None:
        self.states = 0

    def problems(self, moments: Iterable[Moment], limit: int, *, in_doubt: str = "hold") -> Iterator[str]:
        """The problems in at most ``limit`` states after each of ``moments``."""
        for number, moment in enumerate(moments):
            for disk in moment.disk.after_power_loss(limit, seed=number):
                self.states += 1
                for problem in problems_after(moment, disk, in_doubt=in_doubt):
                    yield f"power lost at {moment.where}: {problem}"
