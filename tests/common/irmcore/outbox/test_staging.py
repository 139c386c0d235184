"""Runs are staged, accepted once, and swept if they died; clean-up keeps to the retention times."""

from __future__ import annotations

import errno
import os
import re

import pytest
from irmcore.errors import OutboxFull
from irmcore.outbox import Outbox, Staging, accept_run, audit_log, states
from irmcore.outbox.batch_files import read_history, read_manifest, read_payload
from irmcore.outbox.retention import Periods, delete_expired, sweep
from irmcore.outbox.transitions import move_to_done, record_event, write_state

from tests.common.irmcore.outbox.outboxes import DAY, PATH, RUN, TMP, accept, draft, left, make, pass_days
from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, row
from tests.fakes.powerloss import PowerLossDisk


@pytest.mark.parametrize("first", [states.READY, states.PROPOSED])
def test_drafts_are_accepted_at_once(first: str) -> None:
    """Each is a whole batch in its first state; the same draft again is no new batch."""
    outbox = make()
    names = accept_run(outbox, RUN, map(draft, (b"a", b"b")), first=first)
    found = outbox.ready()
    assert [batch.id for batch in found] == names
    assert [batch.state.name for batch in found if batch.state is not None] == [first] * 2
    assert [read_payload(outbox, batch, read_manifest(outbox, batch)) for batch in found] == [b"a", b"b"]
    assert accept_run(outbox, RUN, [draft(b"b")]) == []
    assert left(outbox) == []


def test_nothing_is_accepted_before_the_commit() -> None:
    """Staged and prepared batches are not in the queue, and a run that is closed leaves nothing."""
    outbox = make()
    staging = Staging(outbox)
    staging.add(draft(b"a"))
    staging.prepare(RUN)
    assert outbox.ready() == []
    staging.close()
    assert (outbox.ready(), left(outbox)) == ([], [])


def test_the_same_batch_twice_is_one() -> None:
    """A batch that exists already, in whatever folder, is left as it is."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    write_state(outbox, batch, name="HELD")
    assert [b.state.name for b in accept(outbox, b"a") if b.state] == ["HELD"]
    move_to_done(outbox, write_state(outbox, outbox.get(batch.id), name="SENT"))
    assert [b.folder for b in accept(outbox, b"a")] == ["done"]
    assert len(list(outbox.all_batches())) == 1


def test_clean_up_keeps_to_the_retention() -> None:
    """Payloads and batches are deleted after their retention times; nothing that is queued is touched."""
    outbox = make()
    queued, old = accept(outbox, b"a", b"c")
    move_to_done(outbox, write_state(outbox, old, name="SENT"))
    retention = Periods()
    outbox.clock.sleep(7 * DAY)
    assert delete_expired(outbox, retention) == (0, 0, 0, "")
    outbox.clock.sleep(1.0)
    assert delete_expired(outbox, retention) == (1, 0, 0, "")
    assert delete_expired(outbox, retention) == (0, 0, 0, "")
    names = outbox.disk.names(outbox.get(old.id).path)
    assert names == ["manifest.json", "rowkeys", "state"]
    pass_days(outbox, 400)
    assert delete_expired(outbox, retention) == (0, 1, 0, "")
    assert [batch.id for batch in outbox.all_batches()] == [queued.id]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_clean_up_cut_off_is_finished_by_the_next(code: int) -> None:
    """The next clean-up deletes whatever a clean-up that was killed has left."""
    number = 0
    while True:
        outbox = make()
        (batch,) = accept(outbox, b"a")
        record_event(outbox, batch, {"event": "x"})
        move_to_done(outbox, write_state(outbox, batch, name="SENT"))
        disk = outbox.disk
        assert isinstance(disk, PowerLossDisk)
        outbox.clock.sleep(2.0)
        number += 1
        disk.fail_at[disk.operations + number] = code
        try:
            delete_expired(outbox, Periods(1.0, 1.0, 1.0, 1.0))
        except OSError:
            sweep(outbox)
            delete_expired(outbox, Periods(1.0, 1.0, 1.0, 1.0))
            assert disk.names(f"{PATH}/done/{batch.id[:2]}") == left(outbox) == []
        else:
            break
    assert number > 4


def test_dead_runs_are_swept_and_live_ones_are_not() -> None:
    """A sweep deletes what a dead run staged, with or without its lock, and nothing of a live one."""
    outbox = make()
    live = Staging(outbox)
    kept = live.add(draft(b"a"))
    dead = Staging(outbox)
    dead.add(draft(b"b"))
    other = Outbox(outbox.disk, outbox.clock, PATH)
    sweep(other)
    assert len(left(outbox)) == 2
    release(dead)
    outbox.disk.make_dir(f"{PATH}/{TMP}/7")
    outbox.disk.create(f"{PATH}/{TMP}/7/lockless", b"")
    outbox.disk.create(f"{PATH}/{TMP}/8.lock", b"")
    outbox.disk.create(f"{PATH}/{TMP}/breaker-abcd.new", b"of another process")
    sweep(other)
    assert left(outbox) == [kept]
    assert outbox.disk.exists(f"{PATH}/{TMP}/breaker-abcd.new")
    live.prepare(RUN)
    assert len(live.accept()) == 1


def release(staging: Staging) -> None:
    """End a run as the death of its process does: the lock is released, everything else stays."""
    staging._directory.release()  # noqa: SLF001 - the kernel does this


def with_a_dead_run() -> tuple[Outbox, PowerLossDisk]:
    """An outbox with a run that died in its first staging directory, and its disk."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    outbox = make(disk=disk)
    dead = Staging(outbox)
    dead.add(draft(b"a"))
    release(dead)
    return outbox, disk


def test_a_run_takes_the_staging_directory_that_a_dead_one_left() -> None:
    """A staging directory belongs to one live run; a dead run's is cleared and used again."""
    outbox = make()
    dead = Staging(outbox)
    dead.add(draft(b"a"))
    dead.append_file("rejects.csv", b"left")
    live = Staging(outbox)
    live.add(draft(b"a"))
    release(dead)
    again = Staging(outbox)
    again.add(draft(b"b"))
    assert len(left(outbox)) == 2
    for run in (live, again):
        run.close()
    for _ in range(3):
        accept(outbox, b"c")
    assert (outbox.disk.names(f"{PATH}/{TMP}"), left(outbox)) == (["0", "0.lock", "1", "1.lock"], [])


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EPERM])
def test_a_staging_directory_that_cannot_be_cleared_is_skipped(code: int) -> None:
    """Files of a dead run that cannot be deleted (a broken disk, another user) stop no other run."""
    outbox, disk = with_a_dead_run()
    disk.fail_at[disk.operations + 1] = disk.fail_at[disk.operations + 2] = code
    sweep(outbox)
    live = Staging(outbox)
    live.add(draft(b"b"))
    assert len(left(outbox)) == 2
    live.prepare(RUN)
    assert len(live.accept()) == 1
    live.close()
    sweep(outbox)
    assert left(outbox) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_an_error_of_the_whole_disk_is_reported(code: int) -> None:
    """After a fault of the whole disk, a run tries no other directory and leaves its own free."""
    outbox, disk = with_a_dead_run()
    disk.fail_at[disk.operations + 1] = code
    with pytest.raises(OSError, match=re.escape(os.strerror(code))):
        Staging(outbox)
    Staging(outbox).add(draft(b"b"))
    assert len(left(outbox)) == 1


def test_more_runs_than_staging_directories_are_refused() -> None:
    """If every staging directory is in use, the next run fails with a message, in bounded time."""

    class Busy(PowerLossDisk):
        def try_lock(self, path: str) -> None:  # type: ignore[override]
            return None

    outbox = make()
    with pytest.raises(OSError, match="busy"):
        Staging(Outbox(Busy(outbox.disk.fork().synced().medium), outbox.clock, PATH))  # type: ignore[attr-defined]


def test_a_staging_directory_is_left_once() -> None:
    """Closing a run twice takes nothing from the run that has its staging directory by then."""
    outbox = make()
    first = Staging(outbox)
    first.close()
    second = Staging(outbox)
    second.add(draft(b"a"))
    first.close()
    assert len(left(outbox)) == 1


def test_a_discarded_batch_whose_move_is_not_durable_stays_whole() -> None:
    """If the sync of its move fails, no file of the batch is deleted, as a power loss may undo the move."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    move_to_done(outbox, write_state(outbox, batch, name="SENT"))
    disk = outbox.disk
    assert isinstance(disk, PowerLossDisk)
    outbox.clock.sleep(2.0)

    def fail(kind: str, path: str) -> None:
        if kind == "sync_dir" and f"/{TMP}/" in path:
            disk.fail_at[disk.operations + 1] = errno.EIO

    disk.watch = fail
    with pytest.raises(OSError, match="Input/output"):
        delete_expired(outbox, Periods(1.0, 1.0, 1.0, 1.0))
    assert left(outbox) == [batch.id]
    assert len(disk.names(f"{PATH}/{TMP}/0/{batch.id}")) == 4


def test_a_full_disk_refuses_new_work() -> None:
    """New work is refused before the disk is too full for a receipt."""
    outbox = make()
    staging = Staging(outbox)
    outbox.disk.full = True  # type: ignore[attr-defined]
    with pytest.raises(OutboxFull, match="almost full"):
        staging.add(draft(b"a"))


def test_a_withdrawn_batch_is_accepted_again() -> None:
    """Rows that were withdrawn and are accepted again are queued, with the history of the first batch."""
    disk = PowerLossDisk()
    disk.make_dir("/outbox")
    connector = Connector(disk, FakeClock())
    (name,) = connector.accept([row(1)]).batches
    outbox = connector.outbox
    batch = write_state(outbox, outbox.get(name), name="WITHDRAWN")
    record_event(outbox, batch, {"event": "withdrawn"})
    move_to_done(outbox, batch)
    disk.remove_tree(f"{PATH}/ledger")
    assert connector.accept([row(1)]).batches == (name,)
    again = outbox.get(name)
    assert (again.folder, again.state.name if again.state else "") == ("ready", "READY")
    assert [event["event"] for event in read_history(outbox, again)] == ["withdrawn"]
    move_to_done(outbox, write_state(outbox, again, name="SENT"))
    assert connector.states() == {name: "done SENT"}


def test_a_removed_ledger_is_rebuilt() -> None:
    """A ledger that was removed is rebuilt from the batches, and no row is accepted twice."""
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
    runs = [event for event in audit_log.read(connector.outbox) if event["event"] == "run"]
    assert [run["counts"]["read"] for run in runs] == [3, 3]
