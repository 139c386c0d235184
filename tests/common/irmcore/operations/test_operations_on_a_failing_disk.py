"""A person's action is recorded first, with who and why, or it is not done and says so."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import NamedTuple

import pytest
from irmcore.delivery.breaker_store import load_breaker
from irmcore.errors import OutboxFull
from irmcore.operations.audit import audit
from irmcore.operations.connectors import Connectors
from irmcore.outbox import audit_chain, audit_log
from irmcore.outbox.batch_files import read_history

from tests.common.irmcore.operations.test_operations_killed import CASES, Case, outcome, prepared
from tests.fakes.clock import FakeClock
from tests.fakes.connector import ROOT, Connector
from tests.fakes.powerloss import PowerLossDisk

#: The actions that leave who and why.
ACTIONS = [name for name in CASES if not name.startswith("clean-up")]
UNCHANGED = "nothing was changed"


class Found(NamedTuple):
    """What decides about a connector's batches, and who did something to them and why."""

    states: dict[str, object]
    breaker: object
    by: list[object]


def found(connector: Connector) -> Found:
    """What a reader finds of a connector."""
    outbox = connector.outbox
    batches = list(outbox.all_batches())
    events = audit_log.read(outbox)
    by = [event["event"] for event in events if event.get("by") == "me" and "why" in event]
    states = {batch.id: (batch.folder, batch.state) for batch in batches}
    return Found(states, load_breaker(outbox)[0], by)


def done_on(disk: PowerLossDisk, clock: FakeClock, case: Case) -> str:
    """Do the action; returns what it failed with, or ""."""
    try:
        case.operation(Connectors(disk, clock, ROOT), Connector(disk, clock))
    except OutboxFull as error:
        return error.what
    return ""


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_whose_disk_fails_is_recorded_or_not_done(name: str, code: int) -> None:
    """Whichever disk call fails: an error says that nothing was changed, and that is true; or it is done.

    An action that took effect is on record, and after a failure it can be repeated.
    """
    case = CASES[name]
    expected = (case.uploads, 2 if case.new else 0)
    before, clock = prepared(case)
    whole = before.fork()
    assert done_on(whole, clock, case) == ""
    unchanged = found(Connector(before.fork(), clock))
    messages = set()
    for number in range(1, whole.operations + 1):
        disk = before.fork()
        disk.fail_at[number] = code
        what = done_on(disk, clock, case)
        now = found(Connector(disk.fork(), clock))
        if UNCHANGED in what:
            assert now[:2] == unchanged[:2], number
        if now[:2] != unchanged[:2]:
            assert len(now.by) == len(unchanged.by) + 1, number
        messages.add(what.partition("; ")[2])
        assert outcome(case, disk.fork(), clock) == expected, number
    assert UNCHANGED in messages


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_on_a_full_disk(name: str) -> None:
    """On a disk that takes no new byte an action is not done, and says that nothing was changed."""
    case = CASES[name]
    disk, clock = prepared(case)
    unchanged = found(Connector(disk.fork(), clock))
    disk.full = True
    assert done_on(disk, clock, case) == f"the disk or its quota is full; {UNCHANGED}"
    assert found(Connector(disk.fork(), clock)) == unchanged


def failing(kind: str, end: str) -> Callable[[PowerLossDisk], Callable[[str, str], None]]:
    """Fail each operation of this kind on a path with this end."""

    def watch(disk: PowerLossDisk) -> Callable[[str, str], None]:
        def fail(found_kind: str, path: str) -> None:
            if found_kind == kind and path.endswith(end):
                disk.fail_at[disk.operations + 1] = errno.EIO

        return fail

    return watch


def test_what_was_recorded_and_then_failed_is_said_in_the_audit() -> None:
    """If the state cannot be written after the event, the history says that the action was not done."""
    case = CASES["resolve --resend"]
    disk, clock = prepared(case)
    disk.watch = failing("write", "/state")(disk)
    assert done_on(disk, clock, case).endswith(UNCHANGED)
    disk.watch = None
    events = [event["event"] for event in audit(Connectors(disk, clock, ROOT).outboxes(), 0.0)]
    assert events[-2:] == ["resolved-resend", "not-done"]


def test_a_change_that_the_disk_does_not_confirm() -> None:
    """If the sync of a state fails, nobody knows whether it survives, and the message says so."""
    case = CASES["resolve --sent"]
    disk, clock = prepared(case)
    disk.watch = failing("sync", "/state")(disk)
    assert done_on(disk, clock, case).endswith("whether the change survives a power loss is unknown")


def test_a_line_that_a_full_disk_cut_off_is_no_event() -> None:
    """A line without its end was not recorded, also when another one follows it."""
    case = CASES["resolve --resend"]
    disk, clock = prepared(case)
    outbox = Connector(disk, clock).outbox
    (batch,) = outbox.ready()
    whole = audit_chain.encode(
        outbox.keyring, audit_log.head(outbox), {"at": 1.0, "batch": batch.id, "event": "withdrawn"}
    )
    disk.append(f"{outbox.path}/audit.log", whole[:-1])
    assert "withdrawn" not in [event["event"] for event in read_history(outbox, batch)]
    assert done_on(disk, clock, case) == ""
    assert [event["event"] for event in read_history(outbox, batch)][-1:] == ["resolved-resend"]
    assert "withdrawn" not in [event["event"] for event in read_history(outbox, batch)]


def test_who_resumed_a_connector_is_in_the_audit() -> None:
    """A resume is recorded with who and why, and the reason of the pause, if there was one."""
    case = CASES["resume, paused"]
    disk, clock = prepared(case)
    for _ in range(2):
        assert done_on(disk, clock, case) == ""
    (event,) = (
        event for event in audit(Connectors(disk, clock, ROOT).outboxes(), 0.0) if event["event"] == "resumed"
    )
    assert (event["by"], event["reason"], event["connector"]) == ("me", "http-403", "small")
