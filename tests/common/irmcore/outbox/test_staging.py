"""Runs: staged, accepted once, swept when they died; and what clean-up removes."""

from __future__ import annotations

import errno
import json
import os
import re

import pytest
from irmcore.errors import OutboxFull
from irmcore.outbox import Outbox, Staging

from tests.common.irmcore.outbox.outboxes import DAY, PATH, TMP, accept, described, draft, left, make
from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, row
from tests.fakes.powerloss import PowerLossDisk


def test_nothing_is_accepted_before_the_commit() -> None:
    """Staged batches, also prepared ones, are not in the queue; a run that is closed leaves nothing."""
    outbox = make()
    staging = outbox.stage("run")
    staging.add(draft(b"a"))
    staging.prepare(described)
    assert outbox.waiting() == []
    staging.close()
    assert (outbox.waiting(), left(outbox)) == ([], [])


def test_the_same_batch_twice_is_one() -> None:
    """A batch that stands already, wherever, is left as it is."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    outbox.change(batch, name="HELD")
    assert [b.state.name for b in accept(outbox, b"a", run="again") if b.state] == ["HELD"]
    outbox.finish(outbox.change(outbox.reload(batch.id), name="SENT"))
    assert [b.place for b in accept(outbox, b"a", run="third")] == ["done"]
    assert len(list(outbox.everything())) == 1


def test_clean_up_keeps_to_the_retention() -> None:
    """Payloads go after their time and whole batches after theirs; nothing that waits is touched."""
    outbox = make()
    waiting, held, old = accept(outbox, b"a", b"b", b"c")
    outbox.change(held, name="HELD")
    outbox.finish(outbox.change(old, name="SENT"))
    keep = {"payload_seconds": 7 * DAY, "batch_seconds": 400 * DAY}
    outbox.clock.sleep(7 * DAY)
    assert outbox.clean_up(**keep) == (0, 0)
    outbox.clock.sleep(1.0)
    assert outbox.clean_up(**keep) == (1, 0)
    assert outbox.clean_up(**keep) == (0, 0)
    names = outbox.disk.names(outbox.reload(old.id).path)
    assert names == ["attempts.jsonl", "manifest.json", "rowkeys", "state"]
    outbox.clock.sleep(400 * DAY)
    assert outbox.clean_up(**keep) == (0, 1)
    assert [batch.id for batch in outbox.everything()] == [waiting.id, held.id]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_clean_up_cut_off_is_finished_by_the_next(code: int) -> None:
    """A clean-up that was killed at any operation leaves nothing behind that stays for ever."""
    number = 0
    while True:
        outbox = make()
        (batch,) = accept(outbox, b"a")
        outbox.note(batch, {"event": "x"})
        outbox.finish(outbox.change(batch, name="SENT"))
        disk = outbox.disk
        assert isinstance(disk, PowerLossDisk)
        outbox.clock.sleep(2.0)
        number += 1
        disk.fail_at[disk.operations + number] = code
        try:
            outbox.clean_up(payload_seconds=1.0, batch_seconds=1.0)
        except OSError:
            outbox.sweep()
            outbox.clean_up(payload_seconds=1.0, batch_seconds=1.0)
            assert disk.names(f"{PATH}/done/{batch.id[:2]}") == left(outbox) == []
        else:
            break
    assert number > 4


def test_dead_runs_are_swept_and_live_ones_are_not() -> None:
    """A sweep takes what a dead run staged, with or without its lock, and nothing of a live one."""
    outbox = make()
    live = outbox.stage("live")
    kept = live.add(draft(b"a"))
    dead = outbox.stage("dead")
    dead.add(draft(b"b"))
    other = Outbox(outbox.disk, outbox.clock, PATH)
    other.sweep()
    assert len(left(outbox)) == 2
    release(dead)
    outbox.disk.make_dir(f"{PATH}/{TMP}/7")
    outbox.disk.create(f"{PATH}/{TMP}/7/lockless", b"")
    outbox.disk.create(f"{PATH}/{TMP}/8.lock", b"")
    outbox.disk.create(f"{PATH}/{TMP}/gate-abcd.new", b"of another process")
    other.sweep()
    assert left(outbox) == [kept]
    assert outbox.disk.exists(f"{PATH}/{TMP}/gate-abcd.new")
    live.prepare(described)
    assert len(live.accept()) == 1


def release(staging: Staging) -> None:
    """End a run as the death of its process does: the lock goes, all else stays."""
    staging._bay.leave()  # noqa: SLF001 - the kernel does this


def with_a_dead_run() -> tuple[Outbox, PowerLossDisk]:
    """A box in whose first bay a run died, and its disk."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    outbox = make(disk=disk)
    dead = outbox.stage("dead")
    dead.add(draft(b"a"))
    release(dead)
    return outbox, disk


def test_a_run_takes_the_bay_that_a_dead_one_left() -> None:
    """A bay is one live run's; a dead one's is cleared and used again, and no run makes more."""
    outbox = make()
    dead = outbox.stage("dead")
    dead.add(draft(b"a"))
    dead.write("rejects.csv", b"left")
    live = outbox.stage("live")
    live.add(draft(b"a"))
    release(dead)
    again = outbox.stage("again")
    again.add(draft(b"b"))
    assert len(left(outbox)) == 2
    for run in (live, again):
        run.close()
    for _ in range(3):
        accept(outbox, b"c")
    assert (outbox.disk.names(f"{PATH}/{TMP}"), left(outbox)) == (["0", "0.lock", "1", "1.lock"], [])


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EPERM])
def test_a_bay_that_cannot_be_cleared_is_stepped_over(code: int) -> None:
    """What a dead run left and nobody can remove (a broken disk, another user's) stops no other run."""
    outbox, disk = with_a_dead_run()
    disk.fail_at[disk.operations + 1] = disk.fail_at[disk.operations + 2] = code
    outbox.sweep()
    live = outbox.stage("live")
    live.add(draft(b"b"))
    assert len(left(outbox)) == 2
    live.prepare(described)
    assert len(live.accept()) == 1
    live.close()
    outbox.sweep()
    assert left(outbox) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_is_told(code: int) -> None:
    """A fault of the whole disk is no reason to look at another bay; the bay is free for the next."""
    outbox, disk = with_a_dead_run()
    disk.fail_at[disk.operations + 1] = code
    with pytest.raises(OSError, match=re.escape(os.strerror(code))):
        outbox.stage("next")
    outbox.stage("next").add(draft(b"b"))
    assert len(left(outbox)) == 1


def test_more_runs_than_bays_are_refused() -> None:
    """Where every bay is in use the next run is told so, in bounded time."""

    class Busy(PowerLossDisk):
        def try_lock(self, path: str) -> None:  # type: ignore[override]
            return None

    outbox = make()
    with pytest.raises(OSError, match="busy"):
        Outbox(Busy(outbox.disk.fork().settled().medium), outbox.clock, PATH).stage("run")  # type: ignore[attr-defined]


def test_a_bay_is_left_once() -> None:
    """Who closes a run twice takes nothing from the one that has its bay since."""
    outbox = make()
    first = outbox.stage("first")
    first.close()
    second = outbox.stage("second")
    second.add(draft(b"a"))
    first.close()
    assert len(left(outbox)) == 1


def test_a_discarded_batch_whose_move_is_not_durable_stays_whole() -> None:
    """If the sync of its move fails, nothing of the batch is removed: after a power loss it might be back."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    outbox.finish(outbox.change(batch, name="SENT"))
    disk = outbox.disk
    assert isinstance(disk, PowerLossDisk)
    outbox.clock.sleep(2.0)

    def fail(kind: str, path: str) -> None:
        if kind == "sync_dir" and f"/{TMP}/" in path:
            disk.fail_at[disk.operations + 1] = errno.EIO

    disk.watch = fail
    with pytest.raises(OSError, match="Input/output"):
        outbox.clean_up(payload_seconds=1.0, batch_seconds=1.0)
    assert left(outbox) == [batch.id]
    assert len(disk.names(f"{PATH}/{TMP}/0/{batch.id}")) == 5


def test_a_full_disk_refuses_new_work() -> None:
    """New work is refused before the disk is so full that a receipt finds no room."""
    outbox = make()
    staging = outbox.stage("run")
    outbox.disk.full = True  # type: ignore[attr-defined]
    with pytest.raises(OutboxFull, match="almost full"):
        staging.add(draft(b"a"))


def test_a_withdrawn_batch_comes_again() -> None:
    """Rows that were given up and are accepted anew are queued, with the history of the first time."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    connector = Connector(disk, FakeClock())
    (name,) = connector.accept([row(1)]).batches
    outbox = connector.outbox
    batch = outbox.change(outbox.reload(name), name="WITHDRAWN")
    outbox.note(batch, {"event": "withdrawn"})
    outbox.finish(batch)
    disk.remove_tree(f"{PATH}/ledger")
    assert connector.accept([row(1)]).batches == (name,)
    again = outbox.reload(name)
    assert (again.place, again.state.name if again.state else "") == ("ready", "READY")
    assert [event["event"] for event in outbox.history(again)] == ["withdrawn"]
    outbox.finish(outbox.change(again, name="SENT"))
    assert connector.states() == {name: "done SENT"}


def test_the_ledger_is_made_anew_when_it_is_gone() -> None:
    """A ledger that was removed is rebuilt from the batches: no row is taken twice."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    connector = Connector(disk, FakeClock())
    connector.accept([row(1), row(2), row(3)])
    disk.remove_tree(f"{PATH}/ledger")
    assert connector.accept([row(2), row(3), row(4)]).counts.as_dict() == {
        "read": 3,
        "shaped": 1,
        "merged": 0,
        "skipped": 2,
        "rejected": 0,
    }
    assert json.loads(disk.read(f"{PATH}/runs/{disk.names(f'{PATH}/runs')[0]}"))["counts"]["read"] == 3
