"""From the outbox to the receipt over real HTTPS: what each reply means for batch and connector."""

from __future__ import annotations

import datetime
import json
import time
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from irmcore.delivery import circuit_breaker
from irmcore.delivery.breaker_store import load_breaker
from irmcore.delivery.connection import Connection
from irmcore.errors import OutboxBusy
from irmcore.outbox import state_file
from irmcore.outbox.transitions import write_state
from irmcore.profile import Limits
from irmemulator.faults import Fault
from irmemulator.settings import Options

from tests.fakes.clock import FakeClock
from tests.fakes.emulated_faults import page_fault
from tests.with_emulator.connector import Rig, row

ONE_ROW = Limits(rows=1, bytes=1_000_000)


def test_a_receipt_ends_a_batch(rig: Rig) -> None:
    """An accepted upload is SENT with the service's request id, and is never sent again."""
    done = rig.accept([row(1), row(2)])
    report = rig.drain()
    assert (report.sent, report.rows_sent, report.queued, report.trouble) == (1, 2, 0, "")
    assert rig.kept() == ["user1@contoso.com", "user2@contoso.com"]
    batch = rig.outbox.get(done.batches[0])
    assert batch.folder == "done"
    assert batch.state is not None
    assert (batch.state.name, batch.state.status) == ("SENT", 200)
    assert batch.state.request_id == rig.emulator.uploads[0].request_id
    assert rig.drain().sent == 0
    assert len(rig.emulator.uploads) == 1


def test_one_token_serves_all_uploads(tmp_path: Path) -> None:
    """One token serves for all batches of a drain."""
    rig = Rig(tmp_path, limits=ONE_ROW)
    rig.start()
    rig.accept([row(n) for n in range(4)])
    assert rig.drain().sent == 4
    assert rig.emulator.entra.token_requests == 1
    rig.emulator.stop()


@pytest.mark.parametrize(
    ("fault", "state", "reason", "mode"),
    [
        (Fault(status=400, body='{"error":"columns"}'), "DEAD", "http-400", "open"),
        (Fault(status=415), "DEAD", "http-415", "open"),
        (Fault(status=422), "DEAD", "http-422", "open"),
        (Fault(status=403), "RETRY", "http-403", "paused"),
        (Fault(status=404), "RETRY", "http-404", "paused"),
        (Fault(status=407), "RETRY", "http-407", "paused"),
        (Fault(status=302, location="https://elsewhere.invalid/"), "RETRY", "http-302", "paused"),
        (Fault(status=307, location="https://elsewhere.invalid/"), "RETRY", "http-307", "paused"),
        (Fault(status=408), "RETRY", "http-408", "open"),
        (Fault(status=429), "RETRY", "http-429", "open"),
        (Fault(status=500), "RETRY", "http-500", "open"),
        (Fault(status=503), "RETRY", "http-503", "open"),
        (Fault(status=502), "HELD", "http-502", "open"),
        (Fault(status=504), "HELD", "http-504", "open"),
        (Fault(status=520), "HELD", "http-520", "open"),
        (Fault(reset_before_last_byte=True), "HELD", "reset-after-commit", "open"),
        (Fault(reset_after_last_byte=True), "HELD", "reset-after-commit", "open"),
        (Fault(reset_after_last_byte=True, keep=False), "HELD", "reset-after-commit", "open"),
        (Fault(close_without_reply=True), "HELD", "reset-after-commit", "open"),
        (page_fault(), "HELD", "html-answer", "open"),
    ],
    ids=lambda value: getattr(value, "label", None) or str(value),
)
def test_what_an_answer_means(rig: Rig, fault: Fault, state: str, reason: str, mode: str) -> None:
    """Each reply of the service leads to its state of the batch and of the circuit breaker."""
    rig.accept([row(1)])
    rig.emulator.faults.next(fault)
    rig.drain()
    assert rig.states() == [(state, reason)]
    assert load_breaker(rig.outbox)[0].mode == mode


def test_in_doubt_may_be_resent_where_the_destination_says_so(tmp_path: Path) -> None:
    """With `in_doubt: resend` a lost reply leads to another upload, which may keep rows twice."""
    rig = Rig(tmp_path)
    rig.profile = rig.profile.at(replace(rig.profile.connector, in_doubt="resend"))
    rig.start()
    rig.accept([row(1)])
    rig.emulator.faults.next(Fault(reset_after_last_byte=True))
    rig.drain()
    assert rig.states() == [("RETRY", "reset-after-commit")]
    write_state(rig.outbox, rig.batches()[0], not_before=0.0)
    assert rig.drain().sent == 1
    assert rig.kept() == ["user1@contoso.com"] * 2
    rig.emulator.stop()


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (7, 6, 8),
        ("7", 6, 8),
        (999_999_999, 3599, 3601),
        ("soon", 4, 6),
        (datetime.timedelta(minutes=10), 590, 601),
        (datetime.datetime(1999, 1, 1, tzinfo=datetime.UTC), -1, 1),
    ],
    ids=str,
)
def test_retry_after_is_obeyed_in_all_its_forms(
    rig: Rig, asked: int | str | datetime.datetime | datetime.timedelta, least: float, most: float
) -> None:
    """Retry-After, in seconds or as a date, delays the next attempt by up to an hour; nonsense is ignored."""
    rig.accept([row(1)])
    if isinstance(asked, datetime.timedelta):
        asked = datetime.datetime.now(datetime.UTC) + asked
    rig.emulator.faults.next(Fault(status=429, retry_after=asked))
    now = time.time()
    report = rig.drain()
    state = rig.batches()[0].state
    assert state is not None
    wait = state.not_before - now if state.not_before else 0.0
    assert least <= wait <= most
    assert report.queued == 1


def test_a_401_gets_one_new_token_and_the_same_batch_goes(rig: Rig) -> None:
    """A token that the service no longer accepts is replaced once, and the batch is sent."""
    rig.accept([row(1)])
    assert rig.drain().sent == 1
    rig.emulator.entra.revoke_tokens()
    rig.accept([row(2)])
    assert rig.drain().sent == 1
    assert rig.emulator.entra.token_requests == 2
    assert [upload.status for upload in rig.emulator.uploads] == [200, 401, 200]


def test_a_second_401_pauses_the_connector(rig: Rig) -> None:
    """If the new token is refused too, the connector pauses and no batch is dead."""
    rig.accept([row(1)])
    rig.emulator.faults.next(Fault(status=401), count=2)
    rig.drain()
    assert rig.states() == [("RETRY", "http-401")]
    assert load_breaker(rig.outbox)[0].mode == circuit_breaker.PAUSED


def test_an_early_answer_is_read_and_used(rig: Rig) -> None:
    """A 403 that comes before the body is complete counts, and nothing is in doubt."""
    rig.accept([row(n, "x" * 2000) for n in range(300)])
    rig.emulator.faults.next(Fault(early_status=403))
    rig.drain()
    assert rig.states() == [("RETRY", "http-403")]


def test_a_file_too_large_is_split_until_it_fits(tmp_path: Path) -> None:
    """A 413 halves a batch, repeatedly if needed; each row arrives once, and the whole batch is done."""
    rig = Rig(tmp_path, Options(max_records=2))
    rig.start()
    done = rig.accept([row(n) for n in range(7)])
    report = rig.drain()
    assert (report.sent, report.rows_sent, report.dead) == (4, 7, 0)
    assert rig.kept() == sorted(f"user{n}@contoso.com" for n in range(7))
    assert rig.batches() == []
    whole = rig.outbox.get(done.batches[0])
    assert whole.folder == "done"
    assert whole.state is not None
    assert whole.state.name == "SPLIT"
    assert rig.accept([row(n) for n in range(7)]).counts.skipped == 7
    rig.emulator.stop()


def test_a_single_row_too_large_is_dead(tmp_path: Path) -> None:
    """A batch that cannot be halved any more needs a person."""
    rig = Rig(tmp_path, Options(max_bytes=150))
    rig.start()
    rig.accept([row(1)])
    assert rig.drain().dead == 1
    assert rig.states() == [("DEAD", "http-413")]
    rig.emulator.stop()


def test_one_bad_batch_does_not_block_the_others(tmp_path: Path) -> None:
    """A refused batch is DEAD, and the next ones are sent."""
    rig = Rig(tmp_path, limits=ONE_ROW)
    rig.start()
    rig.accept([row(n) for n in range(3)])
    rig.emulator.faults.next(Fault(status=400))
    assert rig.drain().sent == 2
    assert rig.states() == [("DEAD", "http-400")]
    rig.emulator.stop()


def test_three_refusals_pause_the_connector_and_probes_kill_no_more(tmp_path: Path) -> None:
    """A wrong column costs three batches, not the queue; a probe that is refused stays queued."""
    rig = Rig(tmp_path, limits=ONE_ROW)
    clock = rig.clock = FakeClock(time.time())
    rig.start()
    rig.accept([row(n) for n in range(6)])
    rig.emulator.faults.until_cleared(Fault(status=400))
    report = rig.drain()
    assert (report.dead, report.queued) == (3, 3)
    for _ in range(5):
        clock.advance(4000)
        rig.drain()
    names = sorted(name for name, _ in rig.states())
    assert names == ["DEAD"] * 3 + ["READY"] * 2 + ["RETRY"]
    rig.emulator.faults.clear()
    clock.advance(4000)
    assert rig.drain().sent == 3
    rig.emulator.stop()


def test_an_outage_of_hours_holds_two_batches_not_the_queue(tmp_path: Path) -> None:
    """Two lost replies trip the breaker; then one batch an hour is tried until one succeeds."""
    rig = Rig(tmp_path, limits=ONE_ROW)
    clock = rig.clock = FakeClock(time.time())
    rig.start()
    rig.accept([row(n) for n in range(8)])
    rig.emulator.faults.until_cleared(Fault(status=504))
    assert rig.drain().held == 2
    uploads = len(rig.emulator.uploads)
    for _ in range(60):
        clock.advance(60)
        rig.drain()
    assert len(rig.emulator.uploads) - uploads == 3, "5, 15 and 35 minutes after the start"
    rig.emulator.faults.clear()
    clock.advance(3600)
    assert rig.drain().sent == 3
    assert sum(name == "HELD" for name, _ in rig.states()) == 5
    rig.emulator.stop()


def test_a_changed_configuration_ends_a_pause(rig: Rig) -> None:
    """After a 403 a corrected setting sends at once, without waiting for the probe."""
    rig.accept([row(1)])
    rig.emulator.faults.next(Fault(status=403))
    rig.drain()
    assert rig.drain().sent == 0

    def corrected(connection: Connection) -> Connection:
        return replace(connection, connector=replace(connection.connector, deadline=399))

    assert rig.sender(corrected).drain().sent == 1


def test_a_slow_reply_ends_at_the_deadline(rig: Rig) -> None:
    """The deadline covers the whole exchange: a reply that comes byte by byte does not extend it."""
    rig.accept([row(1)])
    rig.emulator.faults.next(Fault(status=200, drip=0.2, keep=True))
    started = time.monotonic()
    rig.sender(deadline=1.5).drain()
    assert time.monotonic() - started < 10
    assert rig.states() == [("HELD", "timeout-after-commit")]


def test_a_reply_that_does_not_come_is_in_doubt(rig: Rig) -> None:
    """If no reply comes within the deadline after the whole body left, the batch is held."""
    rig.accept([row(1)])
    rig.emulator.faults.next(Fault(status=200, delay=8))
    rig.sender(deadline=1.0).drain()
    assert rig.states() == [("HELD", "timeout-after-commit")]


def test_there_is_one_sender_a_connector(rig: Rig) -> None:
    """While one sender runs, another one fails with a message and sends nothing."""
    rig.accept([row(1)])
    lock = rig.outbox.sender_lock()
    assert lock is not None
    with pytest.raises(OutboxBusy):
        rig.drain()
    lock.release()
    assert rig.drain().sent == 1


@pytest.mark.parametrize("damage", ["payload", "manifest.json", "state"])
def test_a_damaged_batch_is_quarantined_and_the_others_go(tmp_path: Path, damage: str) -> None:
    """A bit that flipped on disk quarantines only its batch."""
    rig = Rig(tmp_path, limits=ONE_ROW)
    rig.start()
    rig.accept([row(1), row(2)])
    file = Path(rig.batches()[0].path) / damage
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.write_bytes(data)
    report = rig.drain()
    assert (report.sent, report.quarantined) == (1, 1)
    assert [batch.folder for batch in rig.outbox.quarantined()] == ["quarantine"]
    rig.emulator.stop()


def test_a_state_whose_newest_records_are_damaged_is_not_believed(rig: Rig) -> None:
    """The older records say that nothing was sent, but that is uncertain, so the batch is quarantined."""
    rig.accept([row(1)])
    rig.emulator.faults.next(Fault(reset_after_last_byte=True))
    assert rig.drain().held == 1
    file = Path(rig.batches()[0].path) / "state"
    data = bytearray(file.read_bytes())
    for record in (2, 3):  # COMMIT and HELD; READY and INTENT stay
        data[512 * record + 40] ^= 1
    file.write_bytes(data)
    report = rig.drain()
    assert (report.sent, report.quarantined) == (0, 1)
    assert rig.kept() == ["user1@contoso.com"]


def test_a_later_versions_batch_is_left_untouched(tmp_path: Path) -> None:
    """A state of a format that this version does not know is neither sent nor changed."""
    rig = Rig(tmp_path, limits=ONE_ROW)
    rig.start()
    rig.accept([row(1), row(2)])
    file = Path(rig.batches()[0].path) / "state"
    record = state_file.encode({"v": 1, "name": "READY"}, 0)
    body = json.dumps({"v": 2, "n": 0, "name": "QUEUED"}).encode().ljust(state_file.RECORD_BYTES - 9)
    later = body + b"%08x\n" % zlib.crc32(body)
    assert len(later) == len(record)
    file.write_bytes(later.ljust(state_file.RECORD_BYTES * state_file.RECORD_COUNT, b"\0"))
    before = file.read_bytes()
    report = rig.drain()
    assert (report.sent, report.queued, report.trouble) == (1, 1, "unknown-format")
    assert file.read_bytes() == before
    rig.emulator.stop()
