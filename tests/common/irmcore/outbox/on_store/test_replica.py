"""The sender, and what people do, on replicas of an outbox on a store."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from irmcore.delivery import circuit_breaker
from irmcore.delivery.breaker_store import load_breaker
from irmcore.errors import (
    AnotherSender,
    BatchDamaged,
    OperatorError,
    OutboxBusy,
    Overtaken,
    PlaceRefused,
    StoreAway,
)
from irmcore.http.outcome import Failure, Reply
from irmcore.operations import adoption, operations, person, queue_export, release, retention, rewriting
from irmcore.operations.audit import audit
from irmcore.operations.status import connector_status
from irmcore.outbox import Outbox, audit_log
from irmcore.outbox.on_store import layout
from irmcore.outbox.on_store.attempts import MARGIN, PATIENCE
from irmcore.outbox.on_store.commit_log import CommitLog
from irmcore.outbox.on_store.lease import SECONDS
from irmcore.outbox.on_store.replica import AT_ONCE, Replica
from irmcore.outbox.on_store.witness import Witness
from irmcore.store.numbered import KEPT

from tests.fakes.connector import Connector, notes, row
from tests.fakes.kept_days import kept_days
from tests.fakes.powerloss import Killed, PowerLossDisk
from tests.fakes.shared_outbox import DATE, WHERE, SharedOutbox, Unleased, draft_of, machine
from tests.fakes.store import Fault, MemoryStore, Plan, no_fault
from tests.fakes.transport import FakeTransport

UPLOAD = 10.0
DAY = 86_400.0
TIMEOUT = Failure("timeout", committed=True)


def kept(service: FakeTransport) -> list[str]:
    """The notes of the rows that the service kept."""
    return [note for file in service.kept for note in notes(file)]


def states(machine: Connector) -> list[tuple[str, str]]:
    """State and reason of each batch in the queue, the oldest first."""
    return [(batch.state.name, batch.state.reason) for batch in machine.outbox.ready() if batch.state]


def at(verb: str, start: str, number: int, fault: Fault) -> Plan:
    """A plan with one fault: at the nth call of this verb whose key begins so."""
    left = [number]

    def plan(called: str, key: str) -> Fault | None:
        if called == verb and key.startswith(start):
            left[0] -= 1
            return fault if left[0] == 0 else None
        return None

    return plan


# -- sending --------------------------------------------------------------------------------


def test_what_is_accepted_is_sent_once() -> None:
    """In order; each state is a record, the marker goes with the receipt, and the states stay."""
    shared, service = SharedOutbox(), FakeTransport()
    names = shared.accept([row(1), row(2)]) + shared.accept([row(3)])
    assert shared.open() == names
    report = shared.machine().drain(service)
    assert (report.sent, report.rows_sent, report.queued, report.trouble) == (3, 3, 0, "")
    assert kept(service) == ["note 1", "note 2", "note 3"]
    assert [shared.history(name) for name in names] == [["INTENT", "COMMIT", "SENT"]] * 3
    assert shared.open() == []
    again = shared.machine().drain(service)
    assert (again.sent, again.queued) == (0, 0)


def markers(shared: SharedOutbox) -> list[str]:
    """The keys of the markers of batches without a receipt."""
    return [key for key in shared.memory.names if key.startswith("open/")]


@pytest.mark.parametrize("fault", [None, ("create", 1), ("delete", 1), ("create", 2)], ids=str)
def test_a_runs_batches_have_one_marker_which_is_replaced_while_some_remain(
    fault: tuple[str, int] | None,
) -> None:
    """Also by the next sender, if the first one dies before, between or after the two steps."""
    shared, service = SharedOutbox(), FakeTransport(Reply(200), Reply(200), Reply(503), Reply(503))
    names = shared.accept([row(1), row(2), row(3)])
    assert len(markers(shared)) == 1
    plan = at(fault[0], "open/", fault[1], Fault.KILLED_AFTER) if fault else no_fault
    with suppress(Killed):
        shared.machine(plan).drain(service)
    status = connector_status(refreshed(shared))
    assert (status.queued, status.rows_queued) == (1, 1)
    shared.clock.advance(DAY)
    shared.machine().drain(service)
    assert (shared.open(), len(markers(shared))) == (names[2:], 1)
    shared.clock.advance(DAY)
    assert shared.machine().drain(FakeTransport()).sent == 1
    assert kept(service) == ["note 1", "note 2"]
    assert markers(shared) == []


def test_a_batch_whose_run_was_not_accepted_is_not_sent() -> None:
    """Nor is it mistaken for an equal one that was."""
    shared, service = SharedOutbox(), FakeTransport()
    equal = draft_of(shared.member.outbox.keyring, [row(1)], {DATE: b""})

    def die(run: str) -> None:
        store = MemoryStore(shared.memory, at("create", "log/", 1, Fault.KILLED_BEFORE))
        with pytest.raises(Killed):
            CommitLog(store, shared.clock).accept(run, lambda _: [equal])
        shared.clock.advance(1.0)

    die("one")
    assert shared.open() == [equal.id]
    assert shared.machine().drain(service).sent == 0
    shared.log.accept("two", lambda _: [equal])
    die("three")
    assert shared.open() == [equal.id] * 3
    assert shared.machine().drain(service).sent == 1
    assert shared.machine().drain(service).sent == 0


def test_row_values_are_read_only_to_be_sent() -> None:
    """Neither a status nor a look at the queue reads a payload."""
    shared, calls = SharedOutbox(), list[str]()

    def plan(verb: str, key: str) -> None:
        calls.append(f"{verb} {key}")

    shared.accept([row(number) for number in range(20)])
    connector_status(shared.machine(plan).outbox)
    assert not [call for call in calls if "payload" in call]
    shared.machine(plan).drain(FakeTransport(Reply(200), then=Failure("refused", committed=False)))
    assert len([call for call in calls if call.endswith("/payload")]) == 4, "one was sent, three failed"


def test_the_next_batch_is_read_while_one_is_sent() -> None:
    """After the first receipt, and each batch once."""
    shared, read = SharedOutbox(), threading.Semaphore(0)
    calls = Counter[str]()

    def plan(verb: str, key: str) -> None:
        if key.endswith("/payload"):
            calls[f"{verb} {key}"] += 1
            read.release()

    def wire(what: str) -> None:
        # The first one reads itself, and so does the second; from then on, one more than were sent.
        wanted = {1: 1, 2: 2, 5: 0}.get(len(service.posts), 1) if what == "tail" else 0
        assert all(read.acquire(timeout=30) for _ in range(wanted))

    service = FakeTransport(wire=wire)
    shared.accept([row(number) for number in range(5)])
    sender = machine(MemoryStore(shared.memory, plan), shared.clock)
    sender.outbox = Replica(MemoryStore(shared.memory, plan), shared.clock, WHERE, at_once=4)
    sender.disk = sender.outbox.disk
    assert sender.drain(service).sent == 5
    assert len(calls) == sum(calls.values()) == 5
    assert kept(service) == [f"note {number}" for number in range(5)]


def test_a_payload_in_parts_is_sent_whole() -> None:
    """More than one value of the store."""
    shared, service = SharedOutbox(), FakeTransport()
    big = draft_of(shared.member.outbox.keyring, map(row, range(25_000)), {DATE: b""})
    shared.log.accept("run", lambda _: [big])
    assert [key for key in shared.memory.values if key.endswith("payload.1")]
    assert shared.machine().drain(service).rows_sent == 25_000
    assert len(kept(service)) == 25_000


def before_commit(do: Callable[[], object]) -> Plan:
    """A plan that does something once, before the first COMMIT is created."""
    created = [0]

    def plan(verb: str, key: str) -> None:
        if verb == "create" and key.startswith("state/"):
            created[0] += 1
            if created[0] == 2:
                do()

    return plan


def test_a_sender_takes_over_an_attempt_that_has_not_committed() -> None:
    """The first one's COMMIT then fails, and its upload is aborted before the last bytes."""
    shared, first, second = SharedOutbox(), FakeTransport(), FakeTransport()
    (name,) = shared.accept([row(1)])
    report = shared.machine(before_commit(lambda: shared.machine(kind=Unleased).drain(second))).drain(first)
    assert (report.sent, report.queued, report.trouble) == (0, 1, "")
    assert [post.whole for post in first.posts] == [False]
    assert kept(second) == ["note 1"]
    assert shared.history(name) == ["INTENT", "RETRY", "INTENT", "COMMIT", "SENT"]


@pytest.mark.parametrize("fault", [Fault.AWAY, Fault.LATE])
def test_a_commit_without_a_known_outcome_aborts_the_upload(fault: Fault) -> None:
    """Its number is closed, so that it cannot appear later; the next sender sends the batch once."""
    shared, service = SharedOutbox(), FakeTransport()
    (name,) = shared.accept([row(1)])
    with pytest.raises(StoreAway):
        shared.machine(at("create", "state/", 2, fault)).drain(service)
    assert [post.whole for post in service.posts] == [False]
    assert shared.history(name)[-1] == "RETRY"
    assert shared.machine().drain(service).sent == 1
    assert kept(service) == ["note 1"]


def test_a_commit_that_took_until_the_deadline_aborts_the_upload() -> None:
    """The last bytes must not leave when another machine may take the upload for ended."""
    shared, service = SharedOutbox(), FakeTransport()
    (name,) = shared.accept([row(1)])

    def slow(verb: str, key: str) -> None:
        if verb == "create" and key.startswith("state/"):
            shared.clock.advance(UPLOAD)

    with pytest.raises(StoreAway, match="after the deadline of the upload"):
        shared.machine(slow).drain(service)
    assert [post.whole for post in service.posts] == [False]
    assert shared.history(name) == ["INTENT", "COMMIT", "RETRY"]
    assert shared.machine().drain(service).sent == 1


def test_another_machines_commit_is_left_alone_until_its_upload_has_ended() -> None:
    """Then the batch is held. Nobody can send it again before."""
    shared, service = SharedOutbox(), FakeTransport()
    (name,) = shared.accept([row(1)])
    with pytest.raises(Killed):
        shared.machine(at("create", "state/", 3, Fault.KILLED_BEFORE)).drain(service)
    assert shared.history(name) == ["INTENT", "COMMIT"]
    shared.clock.advance(SECONDS)
    report = shared.machine().drain(service)
    assert (report.queued, report.held, report.trouble) == (1, 0, "")
    for outcome in ("resend", "sent", "withdraw"):
        with pytest.raises(OperatorError, match="is COMMIT, not"):
            operations.resolve(shared.machine().outbox, name, outcome, who="me", why="so")
    shared.clock.advance(UPLOAD + MARGIN - SECONDS - 1.0)
    assert shared.machine().drain(service).held == 0
    shared.clock.advance(2.0)
    assert shared.machine().drain(service).held == 1
    assert states(shared.machine()) == [("HELD", "crash-after-commit")]
    assert kept(service) == ["note 1"]


def test_a_receipt_counts_although_the_batch_was_held_meanwhile() -> None:
    """A sender that was suspended after the last bytes knows better."""
    shared = SharedOutbox()
    (name,) = shared.accept([row(1)])

    def meanwhile(what: str) -> None:
        if what == "tail":
            shared.clock.advance(UPLOAD + MARGIN + SECONDS)
            assert shared.machine().drain(FakeTransport()).held == 1

    service = FakeTransport(wire=meanwhile)
    assert shared.machine().drain(service).sent == 1
    assert shared.history(name) == ["INTENT", "COMMIT", "HELD", "SENT"]
    assert shared.open() == []


def test_an_outcome_other_than_a_receipt_does_not_end_a_doubt() -> None:
    """The batch stays held for a person."""
    shared = SharedOutbox()
    (name,) = shared.accept([row(1)])

    def meanwhile(what: str) -> None:
        if what == "tail":
            shared.clock.advance(UPLOAD + MARGIN + SECONDS)
            shared.machine().drain(FakeTransport())

    report = shared.machine().drain(FakeTransport(Reply(503), wire=meanwhile))
    assert (report.sent, report.queued) == (0, 1)
    assert shared.history(name) == ["INTENT", "COMMIT", "HELD"]


def test_a_receipt_is_recorded_once_the_store_is_back() -> None:
    """A store that is away for some seconds costs nothing."""
    shared, service = SharedOutbox(), FakeTransport()
    (name,) = shared.accept([row(1)])
    faults = [None, None, Fault.AWAY, Fault.LOST, Fault.LATE]

    def plan(verb: str, key: str) -> Fault | None:
        return faults.pop(0) if faults and verb == "create" and key.startswith("state/") else None

    assert shared.machine(plan).drain(service).sent == 1
    assert shared.history(name) == ["INTENT", "COMMIT", "SENT"]


def test_a_receipt_that_cannot_be_recorded_is_reported() -> None:
    """With the command that ends the doubt that remains."""
    shared, service = (
        SharedOutbox(),
        FakeTransport(Reply(200, request_id="4d5e6f70-0000-4000-8000-00000000aaaa")),
    )
    (name,) = shared.accept([row(1)])
    created = [0]

    def plan(verb: str, key: str) -> Fault | None:
        created[0] += verb == "create" and key.startswith("state/")
        return Fault.AWAY if created[0] > 2 else None

    begin = shared.clock.monotonic()
    with pytest.raises(
        StoreAway, match=f"4d5e6f70.*`irmexport resolve {name[:12]} --sent --why REASON`"
    ) as raised:
        shared.machine(plan).drain(service)
    assert "its receipt was not recorded" in raised.value.what
    assert PATIENCE <= shared.clock.monotonic() - begin < 2 * PATIENCE
    assert shared.history(name) == ["INTENT", "COMMIT"]


# -- one sender, one circuit breaker ----------------------------------------------------------


def test_a_second_sender_leaves_the_work_to_the_first() -> None:
    """Until the lease ends, which its holder did not return."""
    shared = SharedOutbox()
    shared.accept([row(1)])
    with pytest.raises(Killed):
        shared.machine(at("create", "state/", 1, Fault.KILLED_BEFORE)).drain(FakeTransport())
    with pytest.raises(AnotherSender):
        shared.machine().drain(FakeTransport())
    with pytest.raises(OutboxBusy, match="a sender is working"):
        operations.resume(shared.machine().outbox, who="me")
    shared.clock.advance(SECONDS)
    assert shared.machine().drain(FakeTransport()).sent == 1
    assert shared.machine().drain(FakeTransport()).sent == 0, "the lease was returned"


def test_a_lease_of_a_clock_that_was_wrong_does_not_keep_senders_away() -> None:
    """One that would last for a year does not count."""
    shared = SharedOutbox()
    shared.accept([row(1)])
    shared.clock.advance(365 * DAY)
    with pytest.raises(Killed):
        shared.machine(at("create", "state/", 1, Fault.KILLED_BEFORE)).drain(FakeTransport())
    shared.clock.set_back(365 * DAY)
    assert shared.machine().drain(FakeTransport()).sent == 1


def test_a_long_drain_keeps_its_lease() -> None:
    """Renewed while it sends; old records of the lease are removed."""
    shared = SharedOutbox()
    shared.accept([row(number) for number in range(KEPT + 20)])
    others: list[str] = []

    def upload(what: str) -> None:
        if what == "tail":
            shared.clock.advance(SECONDS - 80)
            try:
                shared.machine().drain(FakeTransport())
            except AnotherSender:
                others.append("another")

    assert shared.machine().drain(FakeTransport(wire=upload)).sent > 3
    assert len(others) > 3
    assert len([key for key in shared.memory.values if key.startswith("lease/")]) <= 2 * KEPT


def test_the_circuit_breaker_is_that_of_all_machines() -> None:
    """Two doubts on two machines trip it, no machine sends, and resume closes it."""
    shared = SharedOutbox()
    shared.accept([row(number) for number in range(4)])
    shared.machine().drain(FakeTransport(TIMEOUT, TIMEOUT))
    assert load_breaker(refreshed(shared))[0].mode == circuit_breaker.TRIPPED
    idle = FakeTransport()
    report = shared.machine().drain(idle)
    assert (report.queued, idle.posts) == (2, [])
    assert operations.resume(shared.machine().outbox, who="me", why="it works")
    assert load_breaker(refreshed(shared))[0].mode == circuit_breaker.CLOSED
    assert shared.machine().drain(FakeTransport()).sent == 2


def refreshed(shared: SharedOutbox) -> Outbox:
    """What a machine sees that has just started."""
    outbox = shared.machine().outbox
    assert outbox.exists()
    return outbox


def test_two_machines_count_the_doubts_of_both() -> None:
    """The one that lost the race for the breaker's record counts on from the other's."""
    shared = SharedOutbox()
    shared.accept([row(number) for number in range(2)])
    other = FakeTransport(TIMEOUT)

    def meanwhile(what: str) -> None:
        if what == "tail" and not other.posts:
            shared.machine(kind=Unleased).drain(other)

    shared.machine().drain(FakeTransport(TIMEOUT, wire=meanwhile))
    assert load_breaker(refreshed(shared))[0].mode == circuit_breaker.TRIPPED


# -- replies ----------------------------------------------------------------------------------


def test_a_batch_that_is_too_large_is_split_on_the_store() -> None:
    """Its halves are open before it is closed, whoever sends them."""
    shared = SharedOutbox(rows=2)
    (name,) = shared.accept([row(1), row(2)])
    service = FakeTransport(Reply(413), then=Reply(503))
    shared.machine().drain(service)
    assert shared.history(name) == ["INTENT", "COMMIT", "SPLIT"]
    halves = shared.open()
    assert len(halves) == 2
    assert name not in halves
    shared.clock.advance(60.0)
    then = FakeTransport()
    assert shared.machine().drain(then).sent == 2 - len(kept(service))
    assert sorted(kept(service) + kept(then)) == ["note 1", "note 2"]


def test_a_damaged_payload_is_quarantined_for_all_machines() -> None:
    """The others flow; requeue checks it again, and withdrawing it ends it."""
    shared = SharedOutbox()
    bad, good = shared.accept([row(1), row(2)])
    (key,) = [key for key in shared.memory.values if bad in key and key.endswith("/payload")]
    whole = shared.memory.values[key]
    shared.memory.values[key] = whole[:-3]
    report = shared.machine().drain(FakeTransport())
    assert (report.sent, report.quarantined) == (1, 1)
    (item,) = connector_status(refreshed(shared)).items
    assert (item.id, item.state) == (bad, "QUARANTINED")
    assert shared.machine().drain(FakeTransport()).queued == 0
    with pytest.raises(BatchDamaged):
        operations.requeue(shared.machine().outbox, bad, who="me", why="so")
    shared.memory.values[key] = whole
    operations.requeue(shared.machine().outbox, bad, who="me", why="so")
    assert connector_status(refreshed(shared)).items == ()
    assert shared.machine().drain(FakeTransport()).sent == 1
    assert good not in shared.open()


# -- people -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "state", "sends"), [("sent", "SENT", 0), ("resend", "READY", 1), ("withdraw", "WITHDRAWN", 0)]
)
def test_a_person_resolves_a_doubt(outcome: str, state: str, sends: int) -> None:
    """On any machine; the decision is in the audit log of all."""
    shared = SharedOutbox()
    (name,) = shared.accept([row(1)])
    shared.machine().drain(FakeTransport(TIMEOUT))
    batch = operations.resolve(shared.machine().outbox, name, outcome, who="anna", why="the portal says so")
    assert batch.state is not None
    assert batch.state.name == state
    assert shared.machine().drain(FakeTransport()).sent == sends
    assert shared.open() == []
    decided = [event for event in audit([refreshed(shared)], 0.0) if event.get("by") == "anna"]
    assert [(event["batch"], event["why"]) for event in decided] == [(name, "the portal says so")]


def test_a_decision_that_came_too_late_changes_nothing() -> None:
    """Another machine has changed the batch meanwhile; the audit log says that it was not done."""
    shared = SharedOutbox()
    (name,) = shared.accept([row(1)])
    shared.machine().drain(FakeTransport(TIMEOUT))
    done = [False]

    def meanwhile(verb: str, key: str) -> None:
        if verb == "create" and key.startswith("state/") and not done[0]:
            done[0] = True
            operations.resolve(unleased(shared), name, "sent", who="first", why="so")

    with pytest.raises(Overtaken, match="another process has changed batch"):
        operations.resolve(shared.machine(meanwhile).outbox, name, "resend", who="second", why="so")
    assert shared.history(name) == ["INTENT", "COMMIT", "HELD", "SENT"]
    events = [event["event"] for event in audit_log.read(refreshed(shared)) if event.get("batch") == name]
    assert events[-3:] == ["resolved-resend", "resolved-sent", "not-done"]


def unleased(shared: SharedOutbox) -> Outbox:
    """A machine that does not wait for the lease."""
    return shared.machine(kind=Unleased).outbox


def test_a_second_person_releases_what_was_proposed() -> None:
    """It is not sent before."""
    shared = SharedOutbox()
    first, second = shared.accept([row(1), row(2)], first="PROPOSED")
    assert shared.machine().drain(FakeTransport()).proposed == 2
    release.release(shared.machine().outbox, first, who="anna", why="read")
    release.reject(shared.machine().outbox, second, who="anna", why="wrong")
    assert shared.machine().drain(FakeTransport()).sent == 1
    assert [shared.history(name)[:2] for name in (first, second)] == [
        ["PROPOSED", "READY"],
        ["PROPOSED", "WITHDRAWN"],
    ]
    assert shared.open() == []


def test_queued_rows_are_exported() -> None:
    """From any machine, the oldest first."""
    shared = SharedOutbox()
    shared.accept([row(1), row(2)])
    exported = b"".join(queue_export.joined(queue_export.queued_payloads(refreshed(shared))))
    assert notes(exported) == ["note 1", "note 2"]


def test_machines_append_to_one_chain() -> None:
    """Each line's MAC covers the line before, whichever machine wrote it."""
    shared = SharedOutbox()
    one, two = refreshed(shared), refreshed(shared)
    for number in range(6):
        audit_log.append((one, two)[number % 2], {"event": "run", "run": str(number)})
    newest = refreshed(shared)
    assert list(audit_log.verify(newest)) == []
    assert [event["run"] for event in audit_log.read(newest) if event["event"] == "run"] == list("012345")
    last = max(event["at"] for event in audit_log.read(newest) if event["event"] == "run")
    assert audit_log.newest(refreshed(shared), ("run", "sent")) == {"run": last, "sent": 0.0}


def test_status_and_audit_read_what_all_machines_did() -> None:
    """What is queued, and since when; who was accepted and sent."""
    shared = SharedOutbox()
    names = shared.accept([row(1), row(2)])
    status = connector_status(refreshed(shared))
    assert (status.queued, status.rows_queued, status.trouble) == (2, 2, "")
    assert len(status.damage) == 1, "only that no command has left its settings"
    assert status.path == "az://account/container/purview-1"
    shared.machine().drain(FakeTransport())
    assert connector_status(refreshed(shared)).queued == 0
    events = list(audit([refreshed(shared)], 0.0))
    for name in names:
        assert [event["event"] for event in events if event.get("batch") == name] == ["accepted", "sent"]


def test_what_is_past_its_time_is_removed_from_the_store() -> None:
    """First the rows, then the batch with its states, and the lines of the audit log."""
    shared = SharedOutbox()
    shared.accept([row(1)])
    shared.machine().drain(FakeTransport())
    shared.clock.advance(8 * DAY)
    deleted, doubts = retention.clean_up([shared.machine().outbox])
    assert (deleted.payloads, doubts) == (1, {})
    assert not [key for key in shared.memory.values if key.endswith("/payload")]
    for _ in range(15):
        shared.clock.advance(30 * DAY)
        audit_log.append(refreshed(shared), {"event": "run"})
    deleted, _ = retention.clean_up([shared.machine().outbox])
    assert deleted.batches == 1
    assert not [key for key in shared.memory.values if key.startswith(("batch/", "state/"))]
    newest = refreshed(shared)
    assert next(iter(audit_log.read(newest)))["event"] == "checkpoint"
    assert list(audit_log.verify(newest)) == []


def test_a_copy_of_an_outbox_on_a_store_is_noticed() -> None:
    """Under another address it sends nothing until a person adopts it; a retired one never does."""
    shared = SharedOutbox()
    shared.accept([row(1), row(2)])
    shared.machine().drain(FakeTransport(Reply(200), Failure("refused", committed=False)))

    def copy() -> Connector:
        return shared.machine(where="az://account/other/purview-1")

    with pytest.raises(PlaceRefused, match="made on another machine"):
        copy().drain(FakeTransport())
    assert adoption.adopt(copy().outbox, send=False, who="me", why="so") == 1
    with pytest.raises(PlaceRefused):
        shared.machine().drain(FakeTransport())
    adoption.retire(copy().outbox, who="me", why="so")
    with pytest.raises(PlaceRefused, match="retired"):
        copy().drain(FakeTransport())


def test_what_a_store_cannot_do_is_refused() -> None:
    """With nothing changed."""
    shared = SharedOutbox()
    shared.accept([row(1)])
    before = dict(shared.memory.values)
    for what, step in (
        (rewriting.rotate, "`irmexport outbox move purview-1 DIRECTORY --why REASON`, rotate its key there"),
        (rewriting.repair, "Restore what is damaged from the versions or soft-deleted objects"),
        (rewriting.migrate, "there is nothing to migrate"),
    ):
        with pytest.raises(OperatorError, match="not possible for an outbox on a store") as refused:
            what(refreshed(shared))
        assert step in refused.value.next_step
    assert shared.memory.values == before


def test_a_persons_sent_rows_are_erased() -> None:
    """With all rows of their file; ``test_erasure`` has those that were not sent."""
    shared = SharedOutbox()
    shared.accept([row(1)])
    shared.machine().drain(FakeTransport())
    who = person.pattern(["user1@contoso.com"])
    assert person.erase(refreshed(shared), who, {}, by="me", why="request 1").sent == 1
    assert not [key for key in shared.memory.values if key.endswith("/payload")]


class Reading(MemoryStore):
    """Counts the values that are read, and the keys that lists name."""

    values, keys_listed = 0, 0

    def get(self, key: str) -> bytes | None:
        self.values += 1
        return super().get(key)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        found = list(super().keys(prefix, after))  # a service answers with a page of them
        self.keys_listed += len(found)
        return iter(found)


def drain_after(days: int, *, forgotten: str = "") -> Reading:
    """What a drain of one batch reads with so many days kept, without the keys below ``forgotten``."""
    shared = SharedOutbox()
    shared.accept([row(1)])
    shared.machine().drain(FakeTransport())
    ring = refreshed(shared).keyring
    for key, value in kept_days(MemoryStore(shared.memory), shared.log, ring, days).items():
        shared.memory.change(key, value)
    for key in [key for key in shared.memory.names if forgotten and key.startswith(forgotten)]:
        shared.memory.change(key, None)
    shared.accept([row(2)])
    store = Reading(shared.memory)
    assert machine(store, shared.clock).drain(FakeTransport()).sent == 1
    assert list(audit_log.verify(refreshed(shared))) == []
    return store


def test_what_a_start_reads_does_not_grow_with_the_days_kept() -> None:
    """A drain that finds one batch reads and lists as much after 400 days as after one."""
    one, many = drain_after(1), drain_after(400)
    assert (many.values, many.keys_listed) == (one.values, one.keys_listed)


@pytest.mark.parametrize("forgotten", ["lease/", layout.event_key(802)])
def test_the_last_line_of_the_audit_log_is_searched_if_the_lease_does_not_say_it(forgotten: str) -> None:
    """Several numbers at a time, as a list would name every line. The log may also lack the line it says."""
    assert drain_after(400, forgotten=forgotten).values - drain_after(1).values <= 6 * AT_ONCE


def test_a_drain_of_nothing_does_not_forget_what_this_machine_has_seen() -> None:
    """It reads no line of the audit log. A store that is restored in place afterwards is noticed."""
    shared, disk = SharedOutbox(), PowerLossDisk()
    before = shared.fork()
    witness = Witness(disk, "machine/seen/purview-1.json")

    def machine_of(store: SharedOutbox) -> Connector:
        found = Replica(MemoryStore(store.memory), store.clock, WHERE, at_once=1, witness=witness)
        sender = Connector(found.disk, store.clock)
        sender.outbox = found
        return sender

    shared.accept([row(1)])
    machine_of(shared).drain(FakeTransport())
    seen = witness.seen()
    machine_of(shared).drain(FakeTransport())
    assert seen is not None
    assert witness.seen() == seen
    with pytest.raises(PlaceRefused, match="restored to an earlier state"):
        machine_of(before).drain(FakeTransport())


def test_nothing_of_another_outbox_is_taken_for_a_batch() -> None:
    """Names that irmexport did not write are skipped."""
    shared = SharedOutbox()
    shared.accept([row(1)])
    shared.memory.values["open/somebody-elses"] = b"x"
    shared.memory.values[layout.part_key("notes", "manifest")] = b"x"
    assert shared.machine().drain(FakeTransport()).sent == 1
    assert len(list(shared.machine().outbox.all_batches())) == 1
