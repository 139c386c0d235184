"""The audit log as a file: what is appended, read back, found as the newest line, and removed in time."""

from __future__ import annotations

import errno

import pytest
from irmcore.errors import OutboxBusy
from irmcore.outbox import Outbox, audit_chain, audit_log
from irmcore.outbox.audit_chain import START

from tests.common.irmcore.outbox.outboxes import DAY, PATH, make
from tests.fakes.clock import FakeClock
from tests.fakes.powerloss import PowerLossDisk

LOG = f"{PATH}/audit.log"


def events(outbox: Outbox) -> list[str]:
    """What is on record."""
    return [event["event"] for event in audit_log.read(outbox)]


@pytest.mark.parametrize("size", [1, 3_000, 4_096, 5_000, 40_000])
@pytest.mark.parametrize("torn", [b"", b"cut off", b"\0" * 5_000])
def test_the_newest_line_is_found_whatever_its_length(size: int, torn: bytes) -> None:
    """Also behind what a crash has left, which the next line covers."""
    outbox = make()
    for number in range(3):
        audit_log.append(outbox, {"event": f"event {number}", "text": "x" * size})
    newest = audit_chain.decode(audit_chain.split(outbox.disk.read(LOG))[-1])
    assert newest is not None
    outbox.disk.append(LOG, torn)
    assert audit_log.head(outbox) == newest.head
    audit_log.append(outbox, {"event": "next"})
    assert audit_log.head(outbox).number == newest.head.number + 1
    assert list(audit_log.verify(outbox)) == []
    assert events(outbox)[-4:] == ["event 0", "event 1", "event 2", "next"]


def test_when_an_event_happened_last() -> None:
    """The newest of each, behind what a crash has left; 0 for what is not on record."""
    outbox = make()
    assert isinstance(outbox.clock, FakeClock)
    moments = []
    for name in ("run", "sent", "run", "held"):
        outbox.clock.advance(60)
        moments.append(outbox.clock.now())
        audit_log.append(outbox, {"event": name})
    outbox.disk.append(LOG, b"cut off")
    assert audit_log.newest(outbox, ("run", "sent", "expired")) == {
        "run": moments[2],
        "sent": moments[1],
        "expired": 0.0,
    }
    outbox.disk.remove(LOG)
    assert audit_log.newest(outbox, ("run",)) == {"run": 0.0}


def test_a_log_that_is_gone() -> None:
    """It has no newest line and no event, and the next line says so."""
    outbox = make()
    outbox.disk.remove(LOG)
    assert (audit_log.head(outbox), events(outbox)) == (START, [])
    audit_log.append(outbox, {"event": "first"})
    (first,) = audit_log.read(outbox)
    assert (first["event"], first["after"]) == ("first", "the log was missing or empty")
    outbox.disk.remove(LOG)
    outbox.disk.create(LOG, b"no event")
    assert (audit_log.head(outbox), events(outbox)) == (START, [])


def test_what_is_done_is_done_before_anybody_else_appends() -> None:
    """Another process waits for it, a minute at most, with an error afterwards."""
    outbox = make()
    before = outbox.clock.monotonic()

    def other() -> None:
        with pytest.raises(OutboxBusy, match="another process is writing to the audit log"):
            audit_log.append(outbox, {"event": "of another process"})
        assert 60.0 <= outbox.clock.monotonic() - before < 60.1

    audit_log.append(outbox, {"event": "ours"}, other)
    audit_log.append(outbox, {"event": "next"})
    assert events(outbox)[-2:] == ["ours", "next"]


@pytest.mark.parametrize("operation", [1, 2])
def test_a_line_that_failed_is_no_event(operation: int) -> None:
    """Neither its write nor its sync leaves a line that a later one would make durable."""
    outbox = make()
    disk = outbox.disk
    assert isinstance(disk, PowerLossDisk)
    known = events(outbox)
    disk.fail_at[disk.operations + operation] = errno.EIO
    done: list[str] = []
    with pytest.raises(OSError, match="Input/output"):
        audit_log.append(outbox, {"event": "failed"}, lambda: done.append("done"))
    assert (events(outbox), done) == (known, [])
    audit_log.append(outbox, {"event": "next"})
    assert events(outbox) == [*known, "next"]


def test_which_settings_are_on_record() -> None:
    """The newest ones; with those before them while nothing has followed, as the change may be incomplete."""
    outbox = make()

    def configured(settings: str, before: str) -> None:
        audit_log.append(outbox, {"event": "configured", "settings": settings, "before": before})

    assert audit_log.settings_on_record(outbox) == ()
    configured("b", "a")
    assert audit_log.settings_on_record(outbox) == ("b", "a")
    audit_log.append(outbox, {"event": "next"})
    assert audit_log.settings_on_record(outbox) == ("b",)
    configured("c", "b")
    assert audit_log.settings_on_record(outbox) == ("c", "b")
    for _ in range(40):
        outbox.clock.sleep(DAY)
        audit_log.append(outbox, {"event": "daily"})
    audit_log.forget_before(outbox, outbox.clock.now() - DAY)
    assert events(outbox)[0] == "checkpoint"
    assert audit_log.settings_on_record(outbox) == ("c",)


@pytest.mark.parametrize(("more", "left"), [(0.0, 41), (1.0, 11)])
def test_lines_that_are_a_month_too_old_are_removed(more: float, left: int) -> None:
    """Not a second earlier; what a crash left among them goes too, and the first line that stays is whole."""
    outbox = make()
    for number in range(40):
        outbox.clock.sleep(DAY)
        if number == 20:
            outbox.disk.append(LOG, b"cut off")
        audit_log.append(outbox, {"event": "daily"})
    moment = outbox.clock.now() - 10 * DAY + more
    audit_log.forget_before(outbox, moment)
    assert len(events(outbox)) == left
    assert all(event["at"] >= moment for event in list(audit_log.read(outbox))[1:]) is (left < 41)
    assert list(audit_log.verify(outbox)) == []
    audit_log.forget_before(outbox, moment)
    assert len(events(outbox)) == left


def test_a_clock_that_was_set_back_removes_no_newer_line() -> None:
    """What follows a line that is kept is kept, whatever its time."""
    outbox = make()
    for _ in range(60):
        outbox.clock.sleep(DAY)
        audit_log.append(outbox, {"event": "daily"})
    now = outbox.clock.now()
    assert isinstance(outbox.clock, FakeClock)
    outbox.clock.set_back(55 * DAY)
    audit_log.append(outbox, {"event": "of a wrong clock"})
    audit_log.forget_before(outbox, now - 10 * DAY)
    assert events(outbox) == ["checkpoint", *["daily"] * 11, "of a wrong clock"]
