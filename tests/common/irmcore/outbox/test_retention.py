"""Clean-up: what has ended goes after its time, and nothing else is touched."""

from __future__ import annotations

import pytest
from irmcore.outbox.retention import delete_expired, sweep
from irmcore.outbox.transitions import move_to_done, quarantine, write_state

from tests.common.irmcore.outbox.outboxes import DAY, PATH, TMP, accept, make


@pytest.mark.parametrize("state", ["SENT", "WITHDRAWN", "SPLIT"])
def test_what_has_ended_goes_after_its_time(state: str) -> None:
    """Of a batch that was sent, withdrawn or split: first the payload, later the rest."""
    outbox = make()
    (batch,) = accept(outbox, b"a")
    move_to_done(outbox, write_state(outbox, batch, name=state))
    for days, payloads, batches in ((7, 0, 0), (1, 1, 0), (392, 0, 0), (1, 0, 1)):
        outbox.clock.sleep(days * DAY)
        found = delete_expired(outbox, payload_seconds=7 * DAY, batch_seconds=400 * DAY, clock_is_right=True)
        assert (found.payloads, found.batches) == (payloads, batches)
    assert outbox.find(batch.id) is None


def test_what_irmexport_did_not_write_stays() -> None:
    """Foreign files and directories, batches in need of a person and those in quarantine are left alone."""
    outbox = make()
    held, bad, sent = accept(outbox, b"a", b"b", b"c")
    write_state(outbox, held, name="HELD")
    quarantine(outbox, write_state(outbox, bad, name="SENT"))
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
    delete_expired(outbox, payload_seconds=7 * DAY, batch_seconds=400 * DAY, clock_is_right=True)
    sweep(outbox)
    assert [outbox.disk.read(path) for path in foreign] == [b"mine"] * 5
    assert outbox.disk.names(copy) == ["state"]
    assert {batch.id: batch.folder for batch in outbox.all_batches()} == {
        held.id: "ready",
        bad.id: "quarantine",
    }
    assert outbox.disk.read(f"{PATH}/quarantine/{bad.id}/payload") == b"b"
