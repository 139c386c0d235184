"""The collector from the emulated API to the table: nothing lost, nothing twice, every gap told."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from irmcore.disk import PosixDisk
from irmcore.errors import ConfigurationError, OutboxBusy, OutboxFull, UnknownFormat, WaitError
from irmcore.operations import operations
from irmcore.outbox import Outbox
from irmemulator.faults import Fault
from irmsentinel.azure import health_events as health
from irmsentinel.azure.health_events import Event
from irmsentinel.collector import cursor
from irmsentinel.collector.collector import windows
from irmsentinel.collector.records import RecordFilter
from irmsentinel.emulators.azure_errors import azure_fault
from irmsentinel.emulators.collector_session import TENANT
from irmsentinel.emulators.synthetic_records import alert_record, other_record

from tests.sentinel.irmsentinel.collector.collecting import DAY, HOUR, NOW, ORIGIN, TABLE, Rig

Made = Callable[..., Rig]


def test_alerts_arrive_once_and_irmalerts_finds_them(rig: Rig) -> None:
    """New alerts and their updates, among other records; a second round finds nothing new."""
    records = [rig.alert(3 * DAY, 1), rig.alert(2 * DAY, 1, 1), rig.alert(5 * HOUR, 2)]
    rig.emulator.feed.add(NOW - HOUR, [other_record(1, NOW, TENANT)])
    collector_service = rig.collector_service()
    first = collector_service.round()
    assert (first.collected.fetched, first.collected.new, first.acknowledged_rows) == (4, 3, 3)
    assert rig.ids() == sorted(record["Id"] for record in records)
    assert rig.alerts() == sorted([(records[0]["AlertId"], 1), (records[2]["AlertId"], 0)])
    again = collector_service.round()
    assert (again.collected.listed, again.collected.known, again.collected.fetched) == (2, 2, 0)
    assert len(rig.ids()) == 3


def test_each_window_is_at_most_a_day_and_the_next_begins_where_it_ended() -> None:
    """Windows over 24 h give partial results; a hole between two loses what lies in it."""
    found = list(windows(int(NOW) - 6 * DAY - 5, int(NOW)))
    assert all(0 < end - start <= DAY for start, end in found)
    assert [start for start, _ in found[1:]] == [end for _, end in found[:-1]]
    assert (found[0][0], found[-1][1]) == (int(NOW) - 6 * DAY - 5, int(NOW))
    assert list(windows(5, 5)) == []


def test_content_at_the_edges_of_windows_is_read_once(rig: Rig) -> None:
    """An edge belongs to one window only."""
    collector_service = rig.collector_service()
    begin = int(NOW) - 7 * DAY + 600
    for day in range(7):
        rig.emulator.feed.add(begin + day * DAY, [alert_record(day, 0, NOW, TENANT)])
    done = collector_service.round().collected
    assert (done.listed, done.fetched, done.new) == (7, 7, 7)


def test_content_that_appears_late_is_still_read(rig: Rig) -> None:
    """The list is not in order of time: each round reads a day behind the cursor again."""
    collector_service = rig.collector_service()
    collector_service.round()
    late = rig.alert(20 * HOUR)
    rig.clock.advance(HOUR)
    assert collector_service.round().collected.new == 1
    assert rig.ids() == [late["Id"]]


def test_the_same_record_in_other_blobs_and_days_later_is_one_row(rig: Rig) -> None:
    """The API delivers records again, with their fields in another order."""
    record = rig.alert(3 * DAY)
    rig.emulator.feed.add(NOW - 2 * DAY, [dict(reversed(record.items())), record])
    collector_service = rig.collector_service()
    assert collector_service.round().collected.repeated == 2
    rig.clock.advance(2 * DAY)
    rig.emulator.feed.add(rig.clock.now() - HOUR, [record])
    assert collector_service.round().collected.repeated == 1
    assert rig.ids() == [record["Id"]]


def test_other_categories_and_types_only_if_they_are_asked_for(rig: Rig) -> None:
    """The filter is a setting; what was not wanted is not stored."""
    other = {**rig.alert(HOUR), "Id": "other", "Category": "ThreatManagement"}
    newer = {"Id": "newer", "RecordType": 307, "CreationTime": "2026-11-21T09:00:00"}
    rig.emulator.feed.add(NOW - HOUR, [other, newer, "no record", None])
    assert rig.collector_service().round().collected.new == 1
    wanted = RecordFilter(frozenset({"insiderriskmanagement", "threatmanagement"}), frozenset({307}))
    assert rig.collector_service(filter=wanted).round(backfill=True).collected.new == 2
    assert {"other", "newer"} < set(rig.ids())


# -- the cursor -------------------------------------------------------------------------


def stored(rig: Rig) -> cursor.Cursor:
    """The cursor on disk."""
    return cursor.load(rig.collector_service().outbox)


def test_the_cursor_stays_where_a_blob_failed_and_the_others_are_kept(rig: Rig) -> None:
    """A cursor that is saved before the fetch loses what fails: here it waits at that blob's own time."""
    first, second = rig.alert(5 * HOUR), rig.alert(3 * HOUR)
    rig.emulator.faults.next(azure_fault("blob", 500, "AF50000"), 5)
    collector_service = rig.collector_service(connections=1)
    done = collector_service.round().collected
    assert (done.failed, done.fetched, done.complete) == (1, 1, False)
    assert rig.ids() == [second["Id"]]
    assert int(NOW) - 5 * HOUR - 1 <= stored(rig).collected <= int(NOW) - 5 * HOUR
    assert collector_service.round().collected.complete
    assert set(rig.ids()) == {first["Id"], second["Id"]}
    assert stored(rig).collected >= int(NOW)


def test_a_late_blob_that_fails_keeps_the_cursor_and_is_asked_for_until_it_comes(rig: Rig) -> None:
    """It lies behind the cursor: that neither passes it over nor creeps back day by day."""
    collector_service = rig.collector_service()
    collector_service.round()
    at = stored(rig).collected
    late = rig.alert(20 * HOUR)
    for _ in range(3):
        rig.clock.advance(12 * HOUR)
        rig.emulator.faults.next(azure_fault("blob", 500, "AF50000"), 5)
        assert collector_service.round().collected.failed == 1
        assert stored(rig).collected == at
    assert collector_service.round().collected.complete
    assert rig.ids() == [late["Id"]]
    assert stored(rig).collected > at


def test_blobs_that_can_never_be_read_stop_no_others(rig: Rig) -> None:
    """However many there are, and whatever comes after them: they are told in each round, and expire."""
    for minutes in range(12):
        rig.emulator.feed.add(NOW - 2 * HOUR + 60 * minutes, b'[{"Id":')
    record = rig.alert(HOUR)
    collector_service = rig.collector_service(connections=1)
    done = collector_service.round().collected
    assert (done.failed, done.new, done.trouble) == (12, 1, "not-json")
    rig.clock.advance(HOUR)
    newer = rig.alert(60)
    assert collector_service.round().collected.new == 1
    assert set(rig.ids()) == {record["Id"], newer["Id"]}


def test_a_list_that_fails_half_way_keeps_what_was_read(make_rig: Made) -> None:
    """The cursor stays before the window; blobs of the pages before the failure are not fetched again."""
    rig = make_rig(page_size=2)
    for hours in range(9, 1, -1):
        rig.alert(hours * HOUR)
    rig.emulator.faults.next(azure_fault("content", 500, "AF50000", matching="nextPage=6"), 5)
    collector_service = rig.collector_service()
    with pytest.raises(WaitError):
        collector_service.round()
    assert stored(rig).collected < int(NOW) - 9 * HOUR
    assert len(rig.ids()) == 6
    assert collector_service.round().collected.fetched == 2
    assert len(rig.ids()) == 8


def test_a_cursor_that_cannot_be_read_costs_no_record(rig: Rig) -> None:
    """All is read again, and nothing is stored twice; a later version's is left alone."""
    rig.alert(HOUR)
    collector_service = rig.collector_service()
    collector_service.round()
    file = Path(collector_service.outbox.path) / "cursor"
    file.write_text("{")
    done = collector_service.round().collected
    assert (done.fetched, done.new, done.repeated) == (1, 0, 1)
    assert len(rig.ids()) == 1
    file.write_text(json.dumps({"format": 2}))
    with pytest.raises(UnknownFormat):
        collector_service.round()


def test_a_clock_that_was_ahead_passes_nothing_over(rig: Rig) -> None:
    """A cursor in the service's future is not believed."""
    collector_service = rig.collector_service()
    collector_service.outbox.create()
    cursor.store(collector_service.outbox, cursor.Cursor(collected=int(NOW) + 9 * DAY))
    rig.alert(6 * DAY)
    assert collector_service.round().collected.new == 1


def test_one_collector_at_a_time(rig: Rig) -> None:
    """Two would fetch everything twice; the second says who is at work."""
    collector_service = rig.collector_service()
    collector_service.round()
    lock = PosixDisk().try_lock(f"{collector_service.outbox.path}/collect.lock")
    assert lock is not None
    with pytest.raises(OutboxBusy, match="another process is collecting"):
        collector_service.round()
    lock.release()
    collector_service.round()


# -- gaps -------------------------------------------------------------------------------


def test_an_absence_longer_than_seven_days_is_a_gap(rig: Rig) -> None:
    """What nobody can fetch any more is said, once, with its hours, and kept on record."""
    collector_service = rig.collector_service()
    collector_service.round()
    at = stored(rig).collected
    rig.clock.advance(9 * DAY)
    (gap,) = collector_service.round().collected.gaps
    assert (gap.start, gap.end) == (at, int(NOW) + 9 * DAY - 7 * DAY + 600)
    assert collector_service.round().collected.gaps == []
    assert stored(rig).gaps == [gap]
    assert ("gap", "failed", "older than 7 days") in rig.health()


@pytest.mark.parametrize("code", ["AF20050", "AF20051"])
def test_a_blob_that_is_gone_is_counted_and_stops_nothing(rig: Rig, code: str) -> None:
    """It is told as a gap, and not asked for again."""
    rig.alert(5 * HOUR)
    rig.alert(3 * HOUR)
    rig.emulator.faults.next(azure_fault("blob", 400, code))
    collector_service = rig.collector_service(connections=1)
    done = collector_service.round().collected
    assert (done.gone, done.fetched, done.complete, done.gaps[0].why) == (1, 1, True, code)
    again = collector_service.round().collected
    assert (again.gone, again.known) == (0, 2)


def test_backfill_reads_all_that_is_left_and_stores_nothing_twice(rig: Rig) -> None:
    """For a table that was emptied, or a batch that was given up: its records are new again."""
    rig.alert(5 * DAY)
    given_up = rig.alert(4 * HOUR)
    collector_service = rig.collector_service()
    rig.emulator.faults.next(azure_fault("upload", 403), 9)
    collector_service.round()
    batches = [
        b for b in collector_service.outbox.ready() if given_up["Id"] in Path(b.path, "payload").read_text()
    ]
    operations.resolve(collector_service.outbox, batches[0].id, "withdraw", who="tester", why="a test")
    operations.resume(collector_service.outbox)
    rig.emulator.faults.clear()
    done = collector_service.round(backfill=True).collected
    assert done.fetched == 2
    assert len(rig.ids()) == len(set(rig.ids())) == 2


# -- faults -----------------------------------------------------------------------------


def test_without_a_subscription_nothing_is_asked_for(make_rig: Made) -> None:
    """The message names the command."""
    rig = make_rig(subscribed=False)
    with pytest.raises(ConfigurationError, match="subscribe start"):
        rig.collector_service().round()
    assert rig.emulator.count("subscriptions/content") == 0
    assert ("failed", "failed", "Management API, AF20022") in rig.health()


def test_a_service_that_is_away_ends_the_round_soon(rig: Rig) -> None:
    """Thousands of blobs are not each tried five times; the cursor stays, the next round goes on."""
    for minutes in range(60):
        rig.alert(HOUR + 60 * minutes)
    rig.emulator.faults.next(azure_fault("blob", 503), 200)
    collector_service = rig.collector_service()
    done = collector_service.round().collected
    assert done.trouble
    assert done.fetched == 0
    assert rig.emulator.count("/audit/") < 200
    rig.emulator.faults.clear()
    assert collector_service.round().collected.new == 60


def test_permission_that_is_withdrawn_in_the_middle_loses_nothing(rig: Rig) -> None:
    """Each blob answers 403: the round ends and says so; the next one brings them all."""
    for hours in range(1, 20):
        rig.alert(hours * HOUR)
    rig.emulator.faults.next(azure_fault("blob", 403, "AF10001"), 19)
    collector_service = rig.collector_service()
    done = collector_service.round().collected
    assert "AF10001" in done.warning
    assert not done.complete
    rig.emulator.faults.clear()
    assert collector_service.round().collected.complete
    assert len(rig.ids()) == 19


def test_the_governor_holds_the_whole_run(rig: Rig) -> None:
    """In no minute are there more requests than the settings allow, however many connections there are."""
    for minutes in range(100):
        rig.alert(HOUR + 60 * minutes)
    rig.collector_service(requests_per_minute=20, connections=8).round()
    assert len(rig.ids()) == 100
    assert rig.clock.now() - NOW >= 5 * 60  # 100 blobs and their lists by twenty


def test_many_blobs_are_fetched_at_a_time(make_rig: Made) -> None:
    """As many as there are connections, while the list goes on."""
    rig = make_rig(latency=0.02, page_size=20)
    for minutes in range(60):
        rig.alert(HOUR + 60 * minutes)
    rig.collector_service(connections=12).round()
    assert 6 <= rig.emulator.feed.most_at_once <= 12


# -- the way to the workspace -----------------------------------------------------------


def test_a_workspace_that_is_away_stops_no_collecting(rig: Rig) -> None:
    """Rows wait in the outbox past the API's seven days, and arrive once it is back."""
    first = rig.alert(HOUR)
    rig.emulator.faults.next(azure_fault("upload", 503), 50)
    collector_service = rig.collector_service()
    result = collector_service.round()
    assert result.overview.rows_queued == 1
    assert result.acknowledged < stored(rig).collected == result.collected.collected
    for _ in range(4):
        rig.clock.advance(3 * DAY)
        rig.alert(HOUR)
        collector_service.round()
    rig.emulator.faults.clear()
    rig.clock.advance(2 * HOUR)
    result = collector_service.round()
    assert result.overview.rows_queued == 0
    assert len(rig.ids()) == 5
    assert first["Id"] in rig.ids()
    assert result.acknowledged == stored(rig).collected


def test_an_upload_whose_answer_is_lost_is_sent_again_and_counted_once(rig: Rig) -> None:
    """The policy of this destination is resend: the table has the row twice, IRMAlerts the alert once."""
    record = rig.alert(HOUR)
    rig.emulator.faults.next(Fault("upload", close_without_reply=True, keep=True))
    collector_service = rig.collector_service()
    assert collector_service.round().overview.items == ()
    rig.clock.advance(HOUR)
    collector_service.round()
    assert rig.ids() == [record["Id"]] * 2
    assert rig.alerts() == [(record["AlertId"], 0)]


def test_a_missing_role_pauses_and_says_which(rig: Rig) -> None:
    """403: nothing is given up; once the role is there a probe goes through."""
    rig.alert(HOUR)
    rig.emulator.faults.next(azure_fault("upload", 403, "OperationFailed"))
    collector_service = rig.collector_service()
    result = collector_service.round()
    assert result.overview.mode == "paused"
    assert "Monitoring Metrics Publisher" in result.overview.next_step
    rig.clock.advance(HOUR)
    assert collector_service.round().overview.queued == 0
    assert len(rig.ids()) == 1


def test_a_payload_too_large_for_the_service_goes_in_halves(rig: Rig) -> None:
    """Should the limit be lower than it is said to be."""
    for hours in range(1, 5):
        rig.alert(hours * HOUR)
    rig.emulator.faults.next(azure_fault("upload", 413), 2)
    assert rig.collector_service(connections=1).round().overview.queued == 0
    assert len(rig.ids()) == len(set(rig.ids())) == 4


def test_many_records_are_few_uploads_each_within_the_limit(rig: Rig) -> None:
    """Not one POST an event, and never more than a million bytes."""
    records = [{**alert_record(n, 0, NOW, TENANT), "Comments": "é" * 3_000} for n in range(400)]
    rig.emulator.feed.add(NOW - HOUR, records)
    rig.collector_service().round()
    tables = [size for size in rig.emulator.ingestion.uploads if size > 10_000]
    assert len(rig.ids()) == 400
    assert len(tables) == 3
    assert max(tables) <= 1_000_000


def test_a_record_too_large_arrives_cut_and_counted(rig: Rig) -> None:
    """The row says what was cut of it."""
    rig.emulator.feed.add(NOW - HOUR, [{**rig.alert(2 * HOUR), "Id": "large", "Comments": "x" * 2_000_000}])
    assert rig.collector_service().round().collected.cut == 1
    (row,) = [row for row in rig.emulator.ingestion.rows[TABLE] if row["RecordId"] == "large"]
    assert row["AdditionalFields"]["CutFields"] == ["Comments"]


def test_a_damaged_batch_holds_the_acknowledged_time_back(rig: Rig) -> None:
    """A payload that changed on disk is set aside and told; the rest goes on."""
    rig.alert(HOUR)
    rig.emulator.faults.next(azure_fault("upload", 503), 2)
    collector_service = rig.collector_service()
    collector_service.round()
    (batch,) = collector_service.outbox.ready()
    Path(batch.path, "payload").write_bytes(b"[]")
    rig.clock.advance(2 * HOUR)
    rig.alert(HOUR)
    result = collector_service.round()
    assert result.overview.needs_person
    assert len(rig.ids()) == 1
    assert result.acknowledged < int(NOW) - HOUR < result.collected.collected
    assert ("held", "held", "damaged") in rig.health()
    (batch,) = collector_service.outbox.quarantined()
    Path(batch.path, "manifest.json").unlink()
    assert collector_service.round().acknowledged == 0


def test_a_full_disk_ends_the_round_in_words_and_loses_nothing(rig: Rig) -> None:
    """Nothing counts as read that is not durable; the next round brings it."""
    rig.alert(HOUR)
    collector_service = rig.collector_service()
    collector_service.round()
    late = rig.alert(HOUR)
    outbox = Path(collector_service.outbox.path)
    (outbox / "ready").chmod(0o500)
    (outbox / "tmp").rename(outbox / "was-tmp")  # root may write what it may not: the directory is away
    with pytest.raises(OutboxFull):
        collector_service.round()
    (outbox / "was-tmp").rename(outbox / "tmp")
    (outbox / "ready").chmod(0o700)
    assert collector_service.round().collected.new == 1
    assert late["Id"] in rig.ids()
    records = [json.loads(file.read_bytes())["collected"] for file in (outbox / "runs").glob("*.json")]
    assert sum(record["new"] for record in records) == len(rig.ids()), "no record of rows that were not kept"


def test_a_disk_that_takes_no_health_row_ends_the_round_in_words(rig: Rig) -> None:
    """Whoever repeats rounds must not be ended by it; the alerts are there, and the next round is whole."""
    collector_service = rig.collector_service()
    collector_service.round()
    record = rig.alert(HOUR)
    target = rig.settings().health
    assert target is not None
    outbox = rig.root / target.outbox_name
    (outbox / "tmp").rename(outbox / "was-tmp")
    with pytest.raises(OutboxFull):
        collector_service.round()
    assert rig.ids() == [record["Id"]]
    rig.emulator.feed.disable()
    with pytest.raises(OutboxFull):
        collector_service.round()
    (outbox / "was-tmp").rename(outbox / "tmp")
    with pytest.raises(ConfigurationError, match="disabled"):
        collector_service.round()
    assert ("failed", "failed", "Management API, AF20023") in rig.health()


def test_a_gap_that_grows_is_one_gap(make_rig: Made) -> None:
    """Rounds that do not come to their end find the same absence again, a little longer."""
    rig = make_rig()
    collector_service = rig.collector_service()
    collector_service.round()
    rig.clock.advance(9 * DAY)
    rig.emulator.faults.next(azure_fault("content", 500, "AF50000"), 10)
    rig.alert(6 * DAY)
    for _ in range(2):
        with pytest.raises(WaitError):
            collector_service.round()
        rig.clock.advance(HOUR)
    collector_service.round()
    assert len(stored(rig).gaps) == 1


# -- health -----------------------------------------------------------------------------


def test_each_round_writes_a_heartbeat_and_a_run_that_did_something(rig: Rig) -> None:
    """Silence can be told from peace: a quiet round has its heartbeat too."""
    collector_service = rig.collector_service()
    collector_service.round()
    assert rig.health() == [("heartbeat", "ok", "")]
    rig.alert(HOUR)
    collector_service.round()
    assert rig.health()[1:] == [("heartbeat", "ok", ""), ("run", "ok", "")]
    row = rig.emulator.ingestion.rows["IRMExportHealth_CL"][-1]
    assert (row["Component"], row["Name"], row["Rows"], row["LagSeconds"]) == (
        "collector",
        "irm-alerts",
        1,
        0.0,
    )


def test_heartbeats_do_not_fill_the_outbox_while_the_workspace_is_away(rig: Rig) -> None:
    """Beyond a number they are left out; anything else is not."""
    target = rig.settings().health
    assert target is not None
    outbox = Outbox(PosixDisk(), rig.clock, f"{rig.root}/{target.outbox_name}")
    heartbeat = Event("collector", "irm-alerts", "heartbeat", "ok")

    def write(event: Event) -> bool:
        rig.clock.advance(60)
        return health.write(outbox, target, [event], ORIGIN, max_queued=3)

    assert [write(heartbeat) for _ in range(5)] == [True] * 3 + [False] * 2
    assert write(heartbeat.as_event("gap"))
    assert len(outbox.ready()) == 4


def test_a_word_that_is_not_in_the_contract_is_refused() -> None:
    """Rules look for these words."""
    with pytest.raises(ValueError, match="heart-beat"):
        Event("collector", "irm-alerts", "heart-beat", "ok")
