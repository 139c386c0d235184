"""A person's rows are found and erased wherever they are; nobody else's are lost or sent twice."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable
from urllib.parse import quote

import pytest
from irmcore.delivery.connection import save_settings
from irmcore.errors import DamageError, OperatorError, OutboxBusy
from irmcore.http.outcome import Failure, Outcome, Reply
from irmcore.intake.ledger.recovery import rebuild
from irmcore.operations import operations
from irmcore.operations.person import AUDIT, REFUSED, Erased, erase, find, names, pattern
from irmcore.operations.verification import EVERYTHING, damages
from irmcore.outbox import Outbox, audit_log, runs
from irmcore.outbox.batch_files import read_history, read_manifest, read_rowkeys
from irmcore.outbox.rowkeys import unpack
from irmcore.outbox.transitions import quarantine, write_state
from irmcore.shaping.batches import halves

from tests.fakes.clock import FakeClock
from tests.fakes.connector import ROOT, Connector, notes, row
from tests.fakes.powerloss import Killed, PowerLossDisk
from tests.fakes.transport import FakeTransport

WHO = pattern(["user1@contoso.com"])
#: Six rows in two batches of three; the second and the fifth are of the person.
LINES = [row(0), row(1, 10), row(2), row(3), row(1, 11), row(4)]
#: All that is left.
OTHERS = ["note 0", "note 2", "note 3", "note 4"]
LOST = Failure("reset", committed=True)


def made(answer: Outcome | None = None) -> Connector:
    """A connector with LINES, after an answer of the service to each batch."""
    disk = PowerLossDisk()
    disk.make_dir(ROOT)
    connector = Connector(disk, FakeClock(), rows=3)
    connector.outbox.create()
    save_settings(connector.outbox, {"profile": "small"})
    connector.accept([*LINES, "user1@contoso.com,never,1,refused"])
    connector.accept(["somebody,never,1,refused", "user1@contoso.com,never,1,refused"])
    if answer is not None:
        connector.drain(FakeTransport(answer, answer))
    return connector


def erased(outbox: Outbox) -> Erased:
    """`irmexport person erase user1@contoso.com`."""
    return erase(outbox, WHO, {"text/csv": halves}, by="me", why="request 7")


def erasures(outbox: Outbox) -> list[dict[str, object]]:
    """The records of erasures as a whole."""
    events = [event for event in audit_log.read(outbox) if event["event"] == "erased"]
    return [event for event in events if "batch" not in event and "rejects" not in event]


def encodings(text: str) -> list[bytes]:
    """How a text may be written down."""
    plain = text.encode()
    return [
        plain,
        text.encode("utf-16-le"),
        *(base64.b64encode(b"." * shift + plain)[4 if shift else 0 : -4] for shift in range(3)),
        plain.hex().encode(),
        quote(text, safe="").encode(),
        json.dumps(text).strip('"').replace("@", "\\u0040").encode(),
    ]


def assert_gone(disk: PowerLossDisk, keys: set[bytes], text: str = "user1@contoso.com") -> None:
    """Assert that no file has the text in any encoding, nor one of the row keys."""
    wanted = [*encodings(text), *encodings(text.upper()), *keys, *(key.hex().encode() for key in keys)]
    for path, data in disk.synced().medium.tree():
        assert not [one for one in wanted if one in (data or b"") or one in path.encode()], path


def keys_of(outbox: Outbox) -> set[bytes]:
    """Every row key, and its first part."""
    found = {key.key for batch in outbox.all_batches() for key in unpack(read_rowkeys(outbox, batch))}
    return found | {key[:16] for key in found}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("user1@contoso.com", True),
        ("USER1@Contoso.com", True),
        ("to user1@contoso.com, user2@contoso.com.", True),
        ("<user1@contoso.com>", True),
        ('{"a": ["x\\nuser1@contoso.com"]}', True),
        ('{"user\\u0031@contoso.com": 1}', True),
        ('"user1@contoso.com', True),
        ("auser1@contoso.com", False),
        ("first.user1@contoso.com", False),
        ("user1@contoso.com.au", False),
        ("user1@contoso.community", False),
        ("contoso\\user1", True),
        ("contoso\\user11", False),
        (" User1 ", True),
        ("user1 did it", False),
        ("1001", False),
    ],
)
def test_what_names_a_person(text: str, *, found: bool) -> None:
    """An address or account is found inside a text, a short name only as a value, and digits never."""
    who = pattern(["user1@contoso.com", r"CONTOSO\user1", "user1", "1001"])
    assert names(who, {"cell": text}) is found


def test_where_a_person_is() -> None:
    """Rows are found in batches of each state and in reject files, with their values and their count."""
    connector = made(Reply(200))
    connector.accept([row(1, 12), row(9)])
    found = list(find(connector.outbox, WHO))
    assert Counter((one.kind, one.state) for one in found) == {
        ("rows", "SENT"): 2,
        ("rows", "READY"): 1,
        (REFUSED, ""): 2,
    }
    assert [len(one.values) for one in found] == [1] * 5
    assert found[0].values[0]["User"] == "user1@contoso.com"


def test_an_analyst_is_found_in_the_audit() -> None:
    """Who ran commands is found there, and an erasure keeps it."""
    connector = made()
    who = pattern(["tester"])
    (found,) = [one for one in find(connector.outbox, who) if one.kind == AUDIT]
    assert {event["event"] for event in found.values} == {"run", "accepted"}
    left = erase(connector.outbox, who, {}, by="me", why="request 7").left
    assert [one.kind for one in left] == [AUDIT]


def test_queued_rows_are_erased() -> None:
    """The other rows keep their order, history and row keys, and are sent once; no file names the person."""
    connector = made()
    outbox = connector.outbox
    keys, before = keys_of(outbox), Counter(connector.accepted_keys())
    order = [batch.state.order for batch in outbox.ready() if batch.state]
    result = erased(outbox)
    assert (result.unsent, result.sent, result.refused, result.held, result.left) == (2, 0, 2, 0, [])
    assert_gone(connector.disk, keys)
    assert [batch.state.order for batch in outbox.ready() if batch.state] == order
    assert connector.accepted_keys() == before
    assert [read_manifest(outbox, batch).rows for batch in outbox.ready()] == [2, 2]
    events = [event["event"] for batch in outbox.ready() for event in read_history(outbox, batch)]
    assert events == ["erased"] * 4  # of the batch that was replaced, and of the one that replaces it
    assert list(damages(outbox, EVERYTHING)) == []
    service = FakeTransport()
    connector.drain(service)
    assert sorted(note for file in service.kept for note in notes(file)) == OTHERS
    for _ in range(2):  # with the ledger as it was, and rebuilt
        assert connector.accept(LINES).counts.skipped == 6
        rebuild(outbox)


def test_the_record_says_how_many_and_not_who() -> None:
    """Who erased, why and how many rows is in the audit; the reason may not name the person."""
    connector = made()
    with pytest.raises(OperatorError, match="the reason names the person"):
        erase(connector.outbox, WHO, {}, by="me", why="because of User1@contoso.com")
    assert erasures(connector.outbox) == []
    erased(connector.outbox)
    (event,) = erasures(connector.outbox)
    assert {key: event[key] for key in ("event", "by", "why", "rows")} == {
        "event": "erased",
        "by": "me",
        "why": "request 7",
        "rows": 4,
    }
    erased(connector.outbox)
    assert len(erasures(connector.outbox)) == 1


def test_a_reject_file_keeps_the_rows_of_others() -> None:
    """It is rewritten, and is not reported as damaged; a file with no other row is deleted."""
    connector = made()
    erased(connector.outbox)
    (path,) = runs.reject_files(connector.outbox)
    assert connector.disk.read(path).count(b"\r\n") == 2
    assert b"somebody" in connector.disk.read(path)
    assert list(damages(connector.outbox, EVERYTHING)) == []


@pytest.mark.parametrize(
    ("answer", "state"),
    [(LOST, "HELD"), (Reply(400), "DEAD"), (Reply(503, wait=9.0), "RETRY"), (None, "PROPOSED")],
)
def test_rows_of_each_state_are_erased(answer: Outcome | None, state: str) -> None:
    """What is left of a batch has the state, reason, attempts and history that the batch had."""
    connector = made(answer)
    outbox = connector.outbox
    if answer is None:
        for batch in outbox.ready():
            write_state(outbox, batch, name="PROPOSED")
    before = [batch.state for batch in outbox.ready()]
    histories = [read_history(outbox, batch) for batch in outbox.ready()]
    result = erased(outbox)
    assert result.held == (2 if state == "HELD" else 0)
    assert_gone(connector.disk, set())
    assert [batch.state for batch in outbox.ready()] == before
    assert {one.name for one in before if one} <= {state, "READY"}
    assert [read_history(outbox, batch)[:-2] for batch in outbox.ready()] == histories
    if state == "HELD":
        operations.resolve(outbox, outbox.ready()[0].id, "resend", who="me", why="not there")
        operations.resume(outbox, who="me")
        service = FakeTransport()
        connector.drain(service)
        assert [notes(file) for file in service.kept] == [["note 0", "note 2"]]


def test_a_sent_payload_is_deleted() -> None:
    """Nothing is to be sent again of it, so the whole payload goes; the record stays."""
    connector = made(Reply(200))
    result = erased(connector.outbox)
    assert (result.unsent, result.sent) == (0, 2)
    assert_gone(connector.disk, set())
    assert connector.accept(LINES).counts.skipped == 6


def test_a_batch_of_the_person_alone_ends() -> None:
    """No batch takes its place, and its rows still count as accepted."""
    connector = made(Reply(200))
    connector.accept([row(1, 15)])
    assert erased(connector.outbox).unsent == 1
    assert connector.outbox.ready() == []
    rebuild(connector.outbox)
    assert connector.accept([row(1, 15)]).counts.skipped == 1


def test_a_quarantined_batch_is_left_and_named() -> None:
    """Its files may be damaged, so a person withdraws it first; then its payload goes."""
    connector = made()
    outbox = connector.outbox
    quarantine(outbox, outbox.ready()[0])
    (left,) = erased(outbox).left
    assert (left.state, left.batch) == ("QUARANTINED", outbox.quarantined()[0])
    operations.resolve(outbox, outbox.quarantined()[0].id, "withdraw", who="me", why="so")
    assert erased(outbox).left == []
    assert_gone(connector.disk, set())


def test_a_split_that_a_crash_interrupted_is_finished_first() -> None:
    """Halves that are in the queue already are not made twice."""
    connector = made()
    outbox = connector.outbox
    write_state(outbox, outbox.ready()[0], name="SPLIT", reason="http-413")
    erased(outbox)
    assert_gone(connector.disk, set())
    service = FakeTransport()
    connector.drain(service)
    assert sorted(note for file in service.kept for note in notes(file)) == OTHERS


def test_a_process_that_works_is_not_disturbed() -> None:
    """While another process sends or accepts rows, nothing is changed."""
    connector = made()
    for lock in (connector.outbox.sender_lock, connector.outbox.intake_lock):
        held = lock()
        assert held is not None
        with pytest.raises(OutboxBusy, match=r"another process is sending or accepting rows"):
            erased(connector.outbox)
        held.release()
    assert erasures(connector.outbox) == []


def kills(connector: Connector, finish: Callable[[Connector], object]) -> int:
    """Kill an erasure at each operation, also with a power loss; then ``finish`` and a day's work."""
    start = connector.disk.synced()
    number = 0
    while True:
        number += 1
        disk = start.fork()
        disk.kill_at = disk.operations + number
        try:
            erased(Connector(disk, FakeClock(), rows=3).outbox)
        except Killed:
            for survivor in [disk.fork(), *disk.after_power_loss(6, seed=number)]:
                after = Connector(survivor, FakeClock(), rows=3)
                finish(after)
                service = FakeTransport()
                after.drain(service)
                sent = sorted(note for file in service.kept for note in notes(file) if note != "note 1")
                assert sent == OTHERS, number
                assert after.accept(LINES).counts.skipped == 6, number
                rebuild(after.outbox)
                assert after.accept(LINES).counts.skipped == 6, number
                erased(after.outbox)
                assert_gone(survivor, set())
                assert list(damages(after.outbox, EVERYTHING)) == [], number
        else:
            return number - 1


def test_an_erasure_that_is_killed_is_finished_by_the_next() -> None:
    """Killed at any operation and run again, it erases the rest; others' rows are sent exactly once."""

    def again(connector: Connector) -> None:
        erased(connector.outbox)
        assert_gone(connector.disk, set())

    assert kills(made(), again) > 60


def test_an_erasure_that_is_killed_loses_nothing() -> None:
    """Killed at any operation and not run again, a drain sends the others' rows exactly once."""
    assert kills(made(), lambda _: None) > 60


def test_a_damaged_key_stops_an_erasure() -> None:
    """Without the key nothing can be replaced, so nothing is changed."""
    connector = made()
    for name in ("key", "key.copy"):
        connector.disk.remove(f"{connector.outbox.path}/{name}")
    with pytest.raises(DamageError, match=re.escape("the key of this outbox is missing")):
        erased(Connector(connector.disk, connector.clock).outbox)
