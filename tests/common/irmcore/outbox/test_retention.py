"""Clean-up: what has ended goes after its time, and nothing else is touched."""

from __future__ import annotations

import pytest
from irmcore.intake.ledger.recovery import rebuild
from irmcore.outbox.batch_files import read_history
from irmcore.outbox.retention import Periods, delete_expired, sweep
from irmcore.outbox.transitions import move_to_done, quarantine, record_event, write_state

from tests.common.irmcore.outbox.outboxes import DAY, PATH, TMP, accept, make, pass_days


@pytest.mark.parametrize("state", ["SENT", "WITHDRAWN", "SPLIT"])
def test_what_has_ended_goes_after_its_time(state: str) -> None:
    """Of a batch that was sent, withdrawn or split: first the payload, later the rest."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    move_to_done(outbox, write_state(outbox, batch, name=state))
    for days, payloads, batches in ((7, 0, 0), (1, 1, 0), (392, 0, 0), (1, 0, 1)):
        outbox.clock.sleep(days * DAY)
        found = delete_expired(outbox, Periods(), clock_is_right=True)
        assert (found.payloads, found.batches) == (payloads, batches)
    assert outbox.find(batch.id) is None


def test_what_irmexport_did_not_write_stays() -> None:
    """Foreign files and directories, and batches that are queued, are left alone."""
    outbox = make()
    queued, sent = accept(outbox, b"a", b"c")
    move_to_done(outbox, write_state(outbox, sent, name="SENT"))
    copy = f"{PATH}/done/copy/{sent.id}"
    for directory in (f"{PATH}/done/copy", copy, f"{PATH}/{TMP}/mine"):
        outbox.disk.make_dir(directory)
    foreign = [
        f"{PATH}/{name}/notes.txt" for name in ("ready", "done", f"done/{sent.id[:2]}", TMP, f"{TMP}/mine")
    ]
    for path in foreign:
        outbox.disk.create(path, b"mine")
    outbox.disk.create(f"{copy}/state", outbox.disk.read(f"{outbox.get(sent.id).path}/state"))
    outbox.clock.sleep(1000 * DAY)
    delete_expired(outbox, Periods(), clock_is_right=True)
    sweep(outbox)
    assert [outbox.disk.read(path) for path in foreign] == [b"mine"] * 5
    assert outbox.disk.names(copy) == ["state"]
    assert [(batch.id, batch.folder) for batch in outbox.all_batches()] == [(queued.id, "ready")]
    assert outbox.disk.read(f"{PATH}/ready/{queued.id}/payload") == b"a"


@pytest.mark.parametrize("state", ["HELD", "DEAD", "PROPOSED", "quarantine"])
def test_rows_that_nobody_decides_about_go_after_their_time(state: str) -> None:
    """Their payload goes, and their row keys stay, so that they are not accepted again."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    if state == "quarantine":
        quarantine(outbox, batch)
    else:
        write_state(outbox, batch, name=state)
    pass_days(outbox, 90)
    assert delete_expired(outbox, Periods()).undecided == 0
    outbox.clock.sleep(1.0)
    assert delete_expired(outbox, Periods()).undecided == 1
    (found,) = outbox.all_batches()
    assert found.state is not None
    assert (found.folder, found.state.name, found.state.reason) == ("done", "ERASED", "expired")
    assert outbox.disk.names(found.path) == ["manifest.json", "rowkeys", "state"]
    assert [event["event"] for event in read_history(outbox, found)] == ["expired"]
    assert len(list(rebuild(outbox).records())) == 1
    pass_days(outbox, 401)
    assert delete_expired(outbox, Periods()).batches == 1


@pytest.mark.parametrize(("folder", "days"), [("done", 7), ("quarantine", 90)])
def test_rows_of_a_batch_whose_state_is_damaged_go_after_their_time(folder: str, days: int) -> None:
    """Its age counts from its last event, as no person's data may stay for ever."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    record_event(outbox, batch, {"event": "sent" if folder == "done" else "quarantined"})
    if folder == "done":
        move_to_done(outbox, write_state(outbox, batch, name="SENT"))
    else:
        quarantine(outbox, batch)
    path = outbox.get(batch.id).path
    outbox.disk.write_at(f"{path}/state", 0, b"damage" * 500)
    pass_days(outbox, days)
    delete_expired(outbox, Periods())
    assert outbox.disk.exists(f"{path}/payload")
    outbox.clock.sleep(60.0)
    delete_expired(outbox, Periods())
    found = outbox.get(batch.id)
    assert found.folder == "done"
    assert not outbox.disk.exists(f"{found.path}/payload")
    pass_days(outbox, 401)
    assert delete_expired(outbox, Periods()).batches == 1


def test_a_clock_that_jumps_makes_no_undecided_row_old() -> None:
    """Two years that are on no record delete nothing that is held."""
    outbox = make()
    held, sent = accept(outbox, b"a", b"b")
    write_state(outbox, held, name="HELD")
    move_to_done(outbox, write_state(outbox, sent, name="SENT"))
    outbox.clock.sleep(730 * DAY)
    found = delete_expired(outbox, Periods())
    assert found[:3] == (0, 0, 0)
    assert "so 2 expired batches were kept" in found.doubt
