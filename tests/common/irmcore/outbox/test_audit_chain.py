"""The chain of the audit log: each change of a line is found at its line, and what a crash leaves is none."""

from __future__ import annotations

import pytest
from irmcore.outbox import Outbox, audit_chain, audit_log
from irmcore.outbox.audit_chain import Head, Problem
from irmcore.outbox.keyring import Keyring

from tests.common.irmcore.outbox.outboxes import DAY, PATH, make
from tests.fakes.powerloss import Killed, PowerLossDisk

LOG = f"{PATH}/audit.log"


def logged(count: int = 6) -> Outbox:
    """An outbox whose log has this many lines, a day apart; the first says that it was created."""
    outbox = make()
    for number in range(2, count + 1):
        outbox.clock.sleep(DAY)
        audit_log.append(outbox, {"event": f"event {number}", "by": "anna"})
    return outbox


def problems(outbox: Outbox, noted: Head | None = None) -> list[Problem]:
    """What is wrong with the log."""
    return list(audit_log.verify(outbox, noted))


def rewrite(outbox: Outbox, *lines: bytes) -> None:
    """Replace the log."""
    outbox.disk.remove(LOG)
    outbox.disk.create(LOG, b"".join(lines))


def test_a_log_that_nobody_touched_has_no_problem() -> None:
    """Each line follows the one before."""
    outbox = logged()
    assert problems(outbox) == []
    assert [event["event"] for event in audit_log.read(outbox)][:2] == ["created", "event 2"]


@pytest.mark.parametrize("at", range(6))
def test_each_changed_byte_of_a_line_is_found_at_its_line(at: int) -> None:
    """Whatever byte of a line is changed, the line, or the next one that no longer follows, is named."""
    outbox = logged()
    lines = audit_chain.split(outbox.disk.read(LOG))
    for place in range(0, len(lines[at]), 7):
        changed = bytearray(lines[at])
        changed[place] ^= 1
        rewrite(outbox, *lines[:at], bytes(changed), *lines[at + 1 :])
        found = problems(outbox)
        assert found, place
        assert found[0].line - at in (1, 2), place


@pytest.mark.parametrize("at", range(5))
def test_a_removed_line_is_found(at: int) -> None:
    """The line after the gap is named."""
    outbox = logged()
    lines = audit_chain.split(outbox.disk.read(LOG))
    rewrite(outbox, *lines[:at], *lines[at + 1 :])
    (found,) = problems(outbox)
    assert found.line == at + 1
    assert "lines between them were removed" in found.what


def test_an_inserted_line_is_found() -> None:
    """A copy of a line, one of another outbox, and text of any kind are found where they are."""
    outbox = logged()
    lines = audit_chain.split(outbox.disk.read(LOG))
    other = audit_chain.split(logged().disk.read(LOG))
    for text in (lines[1], other[3], b'{"at": 1, "event": "sent"}\n', b"nothing\n"):
        rewrite(outbox, *lines[:3], text, *lines[3:])
        assert problems(outbox)[0].line == 4, text


def test_lines_that_changed_places_are_found() -> None:
    """Both lines are named, and no other."""
    outbox = logged()
    lines = audit_chain.split(outbox.disk.read(LOG))
    rewrite(outbox, *lines[:2], lines[3], lines[2], *lines[4:])
    assert [found.line for found in problems(outbox)] == [3, 4]


def test_a_line_made_with_another_key_is_found() -> None:
    """A chain that follows on, but not under the outbox's key, is not believed."""
    outbox = logged()
    line = audit_chain.encode(
        Keyring("x", (b"s" * 32,)), audit_log.head(outbox), {"at": 1.0, "event": "sent"}
    )
    outbox.disk.append(LOG, line)
    assert [found.line for found in problems(outbox)] == [7]


def test_an_end_that_was_removed_is_found_by_a_head() -> None:
    """A head that was noted is in the chain as long as nobody removed its line or wrote the log anew."""
    outbox = logged()
    early, late = Head(3, ""), audit_log.head(outbox)
    lines = audit_chain.split(outbox.disk.read(LOG))
    third = audit_chain.decode(lines[2])
    assert third is not None
    early = third.head
    assert problems(outbox, early) == problems(outbox, late) == []
    rewrite(outbox, *lines[:4])
    assert problems(outbox) == []
    (found,) = problems(outbox, late)
    assert "lines up to number 6 were removed" in found.what
    ring = outbox.keyring
    rewrite(outbox, audit_chain.content(ring, [{"at": 1.0, "event": "created"}] * 8))
    assert problems(outbox) == []
    (found,) = problems(outbox, early)
    assert "written anew" in found.what


@pytest.mark.parametrize("left", [b'{"at": 1, "ev', b"\0" * 90, b"\0" * 40 + b'7, "mac": "0"}\n'])
def test_what_a_crash_left_is_no_problem(left: bytes) -> None:
    """A line that was cut off, or whose sectors are empty, is skipped; nobody can change it later."""
    outbox = logged()
    outbox.disk.append(LOG, left)
    assert problems(outbox) == []
    audit_log.append(outbox, {"event": "next"})
    assert problems(outbox) == []
    whole = outbox.disk.read(LOG)
    rewrite(outbox, whole.replace(left[:20], left[:20].swapcase().replace(b"\0", b"x")))
    assert problems(outbox) != []


def test_a_last_line_that_was_changed_is_not_covered_up_by_the_next() -> None:
    """A last line made unreadable is found, also after others were appended."""
    outbox = logged()
    data = outbox.disk.read(LOG)
    rewrite(outbox, data[:-40] + b"x" + data[-39:])
    assert [found.line for found in problems(outbox)] == [6]
    audit_log.append(outbox, {"event": "next"})
    assert "the line before it was changed" in problems(outbox)[0].what


@pytest.mark.parametrize("emptied", [False, True])
def test_a_log_that_was_removed_is_missed(emptied: bool) -> None:  # noqa: FBT001
    """A log that begins anew says that it does."""
    outbox = logged()
    outbox.disk.remove(LOG)
    if emptied:
        outbox.disk.create(LOG, b"")
    assert problems(outbox) == [Problem(1, "the log is missing or empty")]
    audit_log.append(outbox, {"event": "next"})
    assert "the log was missing or empty" in problems(outbox)[0].what


def test_a_line_without_a_key_is_marked() -> None:
    """What people do while the key is missing is recorded, and said to be unproven."""
    outbox = logged()
    kept = {name: outbox.disk.read(f"{PATH}/{name}") for name in ("key", "key.copy")}
    for name in kept:
        outbox.disk.remove(f"{PATH}/{name}")
    other = Outbox(outbox.disk, outbox.clock, PATH)
    audit_log.append(other, {"event": "retired", "by": "anna"})
    for name, data in kept.items():
        outbox.disk.create(f"{PATH}/{name}", data)
    assert [event["event"] for event in audit_log.read(other)][-1] == "retired"
    assert "while the key was missing" in problems(outbox)[0].what


def test_old_lines_become_a_checkpoint() -> None:
    """Lines past their time are removed, heads of later lines stay good, and the chain goes on."""
    outbox = logged(120)
    old, head = audit_chain.decode(audit_chain.split(outbox.disk.read(LOG))[40]), audit_log.head(outbox)
    now = outbox.clock.now()
    audit_log.forget_before(outbox, now - 100 * DAY)
    assert len(list(audit_log.read(outbox))) == 120, "few lines are that old"
    audit_log.forget_before(outbox, now - 50 * DAY)
    events = list(audit_log.read(outbox))
    assert (events[0]["event"], len(events)) == ("checkpoint", 52)
    assert problems(outbox, head) == []
    audit_log.append(outbox, {"event": "next"})
    assert problems(outbox, head) == []
    assert old is not None
    assert "is too old" in problems(outbox, old.head)[0].what
    lines = audit_chain.split(outbox.disk.read(LOG))
    rewrite(outbox, lines[0], *lines[2:])
    assert problems(outbox) != []


def test_a_log_that_was_changed_is_not_shortened() -> None:
    """The evidence stays."""
    outbox = logged(120)
    data = outbox.disk.read(LOG)
    rewrite(outbox, data.replace(b'"by": "anna"', b'"by": "anni"', 1))
    audit_log.forget_before(outbox, outbox.clock.now() - 50 * DAY)
    assert problems(outbox) != []
    assert len(list(audit_log.read(outbox))) == 120


def test_a_checkpoint_that_is_killed_changes_nothing_or_all() -> None:
    """Killed at any operation, with any power loss, the log is whole, and is shortened the next time."""
    before = logged(120)
    disk = before.disk
    assert isinstance(disk, PowerLossDisk)
    start = disk.synced()
    moment = before.clock.now() - 50 * DAY
    number = 0
    while True:
        number += 1
        killed = start.fork()
        killed.kill_at = killed.operations + number
        try:
            audit_log.forget_before(Outbox(killed, before.clock, PATH), moment)
        except Killed:
            for after in killed.fork().after_power_loss(6, seed=number):
                outbox = Outbox(after, before.clock, PATH)
                assert problems(outbox) == []
                audit_log.append(outbox, {"event": "next"})
                audit_log.forget_before(outbox, moment)
                assert (problems(outbox), len(list(audit_log.read(outbox)))) == ([], 53)
        else:
            break
    assert number > 3


def test_a_rotation_of_the_key_goes_on_with_the_chain() -> None:
    """Lines of each generation are verified, and name batches by the ids that they have now."""
    outbox = logged(2)
    audit_log.append(outbox, {"event": "sent", "batch": "ab" * 32})
    outbox.save_keyring(outbox.keyring.rotated())
    audit_log.append(outbox, {"event": "key-rotated"})
    assert problems(outbox) == []
    ring = outbox.keyring
    assert list(audit_log.histories(outbox)) == [ring.keyed("ab" * 32, 1)]
