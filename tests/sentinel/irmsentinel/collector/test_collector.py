"""The collector from the emulated API to the table: no record lost, none twice, every gap reported."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from irmcore.disk import PosixDisk
from irmcore.errors import ConfigurationError, OutboxBusy, OutboxFull, UnknownFormat, WaitError
from irmcore.operations import operations
from irmcore.outbox import Outbox, audit_log, sealed
from irmemulator.faults import Fault
from irmsentinel.azure import health_events as health
from irmsentinel.azure.health_events import Event
from irmsentinel.collector import cursor
from irmsentinel.collector.collector import windows
from irmsentinel.collector.records import RecordFilter
from irmsentinel.emulators.collector_session import TENANT
from irmsentinel.emulators.synthetic_records import alert_record, other_record

from tests.fakes.emulated_faults import azure_fault
from tests.sentinel.irmsentinel.collector.collecting import DAY, HOUR, NOW, ORIGIN, TABLE, Rig

Made = Callable[..., Rig]


def test_alerts_arrive_once_and_irmalerts_finds_them(rig: Rig) -> None:
    """New alerts and their updates among other records. A second round finds nothing new."""
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
    """A window of more than 24 hours gives partial results. Content between two windows would be lost."""
    found = list(windows(int(NOW) - 6 * DAY - 5, int(NOW), DAY))
    assert all(0 < end - start <= DAY for start, end in found)
    assert [start for start, _ in found[1:]] == [end for _, end in found[:-1]]
    assert (found[0][0], found[-1][1]) == (int(NOW) - 6 * DAY - 5, int(NOW))
    assert list(windows(5, 5, DAY)) == []


def test_content_at_the_edges_of_windows_is_read_once(rig: Rig) -> None:
    """Each edge belongs to one window only."""
    collector_service = rig.collector_service()
    begin = int(NOW) - 7 * DAY + 600
    for day in range(7):
        rig.emulator.feed.add(begin + day * DAY, [alert_record(day, 0, NOW, TENANT)])
    done = collector_service.round().collected
    assert (done.listed, done.fetched, done.new) == (7, 7, 7)


def test_content_that_appears_late_is_still_read(rig: Rig) -> None:
    """The list is not ordered by time, so each round also reads the day before the cursor."""
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


def test_other_categories_and_types_are_opt_in(rig: Rig) -> None:
    """The settings decide which records are stored."""
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
    """The cursor waits at the time of the failed blob, and the other blobs are stored."""
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


def test_a_late_blob_that_fails_is_retried_and_the_cursor_stays(rig: Rig) -> None:
    """The cursor neither passes it nor moves back day by day."""
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


def test_unreadable_blobs_do_not_stop_others(rig: Rig) -> None:
    """Every round reports them, however many there are, until they expire."""
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


@pytest.mark.parametrize("count", [60, 150])
def test_blobs_that_always_fail_do_not_starve_those_behind_them(rig: Rig, count: int) -> None:
    """After 100 in a row, the next round begins with the blobs that have not failed yet."""
    for minutes in range(count):
        rig.emulator.feed.add(NOW - 4 * HOUR + minutes, [], error="AF50000")
    good = [rig.alert(2 * HOUR + number)["Id"] for number in range(20)]
    collector_service = rig.collector_service(connections=4)
    done = collector_service.round().collected
    if count > 100:
        done = collector_service.round().collected
    assert (done.fetched, done.complete) == (20, False)
    assert rig.ids() == sorted(good)
    assert stored(rig).collected <= int(NOW) - 4 * HOUR
    assert done.warning.count("AF50000") == 1, "the cause is reported once"


def test_content_of_another_cloud_is_requested_once_and_the_setting_is_named(rig: Rig) -> None:
    """AF20052 is not temporary: five attempts a blob would only use up the quota."""
    for minutes in range(20):
        rig.emulator.feed.add(NOW - HOUR + minutes, [], error="AF20052")
    done = rig.collector_service().round().collected
    assert (done.failed, done.trouble, done.failures) == (20, "AF20052", {"AF20052": 20})
    assert rig.emulator.count("/audit/") == 20
    assert done.warning.startswith("20 failed with AF20052: ")
    assert "Check `cloud`" in done.warning


#: A field of an entry, a value it may have instead, and whether the blob can still be fetched.
ENTRIES = [
    ("contentExpiration", None, True),
    ("contentExpiration", "soon", True),
    ("contentCreated", None, True),
    ("contentCreated", "9999-12-31T23:59:59", True),
    ("contentCreated", "0001-01-01T00:00:00", True),
    ("contentCreated", 5, True),
    ("contentId", None, True),
    ("contentUri", None, False),
    ("contentUri", 5, False),
    ("contentUri", "https://[", False),
    ("contentUri", "\ud800", False),
    ("contentUri", "https://manage.office.com:x/\ud800", False),
]


@pytest.mark.parametrize(("name", "value", "fetched"), ENTRIES)
def test_one_bad_entry_of_a_list_costs_only_itself(rig: Rig, name: str, value: object, fetched: bool) -> None:  # noqa: FBT001
    """The entries around it are collected, it is reported, and the cursor waits for it."""
    ids = [rig.alert((3 - number) * HOUR)["Id"] for number in range(3)]
    entries = rig.emulator.feed.entries(rig.emulator.url)
    entries[1] = {**entries[1], name: value}
    if value is None:
        del entries[1][name]
    body = json.dumps([None, "text", *entries]).encode()
    rig.emulator.faults.next(azure_fault("content", 200, body=body, matching="endTime=2026-11-21T12"))
    done = rig.collector_service().round().collected
    assert rig.ids() == sorted(ids if fetched else [ids[0], ids[2]])
    assert (done.listed, done.failed, done.complete) == (5, 2 if fetched else 3, False)
    assert stored(rig).collected < int(NOW) - 3 * HOUR


def test_a_blob_that_refuses_the_token_does_not_stop_others(rig: Rig) -> None:
    """Only when many in a row do is the round over."""
    rig.alert(3 * HOUR)
    record = rig.alert(2 * HOUR)
    rig.emulator.faults.next(azure_fault("blob", 401), 2)
    done = rig.collector_service(connections=1).round().collected
    assert (done.failed, done.trouble) == (1, "http-401")
    assert rig.ids() == [record["Id"]]


def test_a_list_that_fails_does_not_stop_the_other_windows(rig: Rig) -> None:
    """The error is raised at the end of the round, and the next one lists that window again."""
    old, new = rig.alert(6 * DAY + HOUR), rig.alert(HOUR)
    window = "startTime=2026-11-14"
    rig.emulator.faults.next(azure_fault("content", 200, body=b"{}", matching=window), 5)
    collector_service = rig.collector_service()
    with pytest.raises(WaitError, match="does not come from the API"):
        collector_service.round()
    assert rig.ids() == [new["Id"]]
    collector_service.round()
    assert rig.ids() == sorted([old["Id"], new["Id"]])


def test_lists_that_a_person_must_repair_do_not_stop_the_other_windows(rig: Rig) -> None:
    """However many there are: only those that were tried again in vain end the round, two in a row."""
    new = rig.alert(HOUR)
    rig.emulator.faults.next(azure_fault("content", 400, "AF20030"), 3)
    with pytest.raises(ConfigurationError):
        rig.collector_service().round()
    assert rig.ids() == [new["Id"]]


def test_many_blobs_that_are_gone_are_one_gap(rig: Rig) -> None:
    """The gap has their number, in one line and one health event."""
    for minutes in range(30):
        rig.emulator.feed.add(NOW - HOUR + 60 * minutes, [], error="AF20051")
    done = rig.collector_service().round().collected
    (gap,) = done.gaps
    assert (gap.start, gap.end, gap.blobs) == (int(NOW) - HOUR, int(NOW) - HOUR + 29 * 60 + 1, 30)
    assert stored(rig).gaps == [gap]
    assert [event for event, _, _ in rig.health()].count("gap") == 1


def test_a_list_that_fails_half_way_keeps_what_was_read(make_rig: Made) -> None:
    """The cursor stays before the window. Blobs of the pages before the failure are not fetched again."""
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


def test_a_damaged_cursor_loses_no_record(rig: Rig) -> None:
    """Everything is read again and nothing is stored twice. A cursor of a later version stays unchanged."""
    rig.alert(HOUR)
    collector_service = rig.collector_service()
    collector_service.round()
    file = Path(collector_service.outbox.path) / "cursor"
    file.write_text("{")
    done = collector_service.round().collected
    assert (done.fetched, done.new, done.repeated) == (1, 0, 1)
    assert len(rig.ids()) == 1
    file.write_bytes(sealed.encode({"format": 2}))
    with pytest.raises(UnknownFormat):
        collector_service.round()


def test_a_cursor_in_the_future_is_ignored(rig: Rig) -> None:
    """A clock that was ahead must not skip content."""
    collector_service = rig.collector_service()
    collector_service.outbox.create()
    cursor.store(collector_service.outbox, cursor.Cursor(collected=int(NOW) + 9 * DAY))
    rig.alert(6 * DAY)
    assert collector_service.round().collected.new == 1


def test_one_collector_at_a_time(rig: Rig) -> None:
    """The second collector stops with a message; two would fetch everything twice."""
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
    """Content that can no longer be fetched is reported once, with its hours, and recorded."""
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
    """It is reported as a gap and not requested again."""
    rig.alert(5 * HOUR)
    rig.alert(3 * HOUR)
    rig.emulator.faults.next(azure_fault("blob", 400, code))
    collector_service = rig.collector_service(connections=1)
    done = collector_service.round().collected
    assert (done.gone, done.fetched, done.complete, done.gaps[0].why) == (1, 1, True, code)
    again = collector_service.round().collected
    assert (again.gone, again.known) == (0, 2)


def test_backfill_reads_all_that_is_left_and_stores_nothing_twice(rig: Rig) -> None:
    """After a table was emptied or a batch withdrawn, its records are new again."""
    rig.alert(5 * DAY)
    given_up = rig.alert(4 * HOUR)
    collector_service = rig.collector_service()
    rig.emulator.faults.next(azure_fault("upload", 403), 9)
    collector_service.round()
    batches = [
        b for b in collector_service.outbox.ready() if given_up["Id"] in Path(b.path, "payload").read_text()
    ]
    operations.resolve(collector_service.outbox, batches[0].id, "withdraw", who="tester", why="a test")
    operations.resume(collector_service.outbox, who="me")
    rig.emulator.faults.clear()
    done = collector_service.round(backfill=True).collected
    assert done.fetched == 2
    assert len(rig.ids()) == len(set(rig.ids())) == 2


# -- faults -----------------------------------------------------------------------------


def test_without_a_subscription_nothing_is_requested(make_rig: Made) -> None:
    """The message names the command that starts one."""
    rig = make_rig(subscribed=False)
    with pytest.raises(ConfigurationError, match="subscribe start"):
        rig.collector_service().round()
    assert rig.emulator.count("subscriptions/content") == 0
    assert ("failed", "failed", "Management API, AF20022") in rig.health()


def test_an_unavailable_service_ends_the_round_soon(rig: Rig) -> None:
    """Thousands of blobs are not tried five times each. The cursor stays, and the next round goes on."""
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
    """Every blob answers 403: the round ends with an error, and the next round fetches them all."""
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


def test_the_rate_limit_applies_to_the_whole_run(rig: Rig) -> None:
    """No minute has more requests than the settings allow, however many connections there are."""
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


def test_an_unavailable_workspace_does_not_stop_collecting(rig: Rig) -> None:
    """Rows wait in the outbox for longer than the API's seven days, and arrive later."""
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
    """With the policy resend the table has the row twice, and IRMAlerts counts the alert once."""
    record = rig.alert(HOUR)
    rig.emulator.faults.next(Fault("upload", close_without_reply=True, keep=True))
    collector_service = rig.collector_service()
    assert collector_service.round().overview.items == ()
    rig.clock.advance(HOUR)
    collector_service.round()
    assert rig.ids() == [record["Id"]] * 2
    assert rig.alerts() == [(record["AlertId"], 0)]


def test_a_missing_role_pauses_sending_and_is_named(rig: Rig) -> None:
    """No batch fails on a 403. Once the role is assigned, a probe succeeds."""
    rig.alert(HOUR)
    rig.emulator.faults.next(azure_fault("upload", 403, "OperationFailed"))
    collector_service = rig.collector_service()
    result = collector_service.round()
    assert result.overview.mode == "paused"
    assert "Monitoring Metrics Publisher" in result.overview.next_step
    rig.clock.advance(HOUR)
    assert collector_service.round().overview.queued == 0
    assert len(rig.ids()) == 1


def test_a_payload_too_large_for_the_service_is_split(rig: Rig) -> None:
    """The limit may be lower than documented."""
    for hours in range(1, 5):
        rig.alert(hours * HOUR)
    rig.emulator.faults.next(azure_fault("upload", 413), 2)
    assert rig.collector_service(connections=1).round().overview.queued == 0
    assert len(rig.ids()) == len(set(rig.ids())) == 4


def test_many_records_are_few_uploads_each_within_the_limit(rig: Rig) -> None:
    """Not one POST per event, and never more than a million bytes."""
    records = [{**alert_record(n, 0, NOW, TENANT), "Comments": "é" * 3_000} for n in range(400)]
    rig.emulator.feed.add(NOW - HOUR, records)
    rig.collector_service().round()
    tables = [size for size in rig.emulator.ingestion.uploads if size > 10_000]
    assert len(rig.ids()) == 400
    assert len(tables) == 3
    assert max(tables) <= 1_000_000


def test_a_record_too_large_arrives_cut_and_counted(rig: Rig) -> None:
    """The row names its shortened fields."""
    rig.emulator.feed.add(NOW - HOUR, [{**rig.alert(2 * HOUR), "Id": "large", "Comments": "x" * 2_000_000}])
    assert rig.collector_service().round().collected.cut == 1
    (row,) = [row for row in rig.emulator.ingestion.rows[TABLE] if row["RecordId"] == "large"]
    assert row["AdditionalFields"]["CutFields"] == ["Comments"]


def test_a_damaged_batch_holds_the_acknowledged_time_back(rig: Rig) -> None:
    """A payload that changed on disk is quarantined and reported; the other batches are sent."""
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


def test_a_full_disk_ends_the_round_with_an_error_and_loses_nothing(rig: Rig) -> None:
    """Only durable content counts as read. The next round collects the rest."""
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
    events = audit_log.read(collector_service.outbox)
    records = [event["collected"] for event in events if "collected" in event]
    assert sum(record["new"] for record in records) == len(rig.ids()), "no record of rows that were not kept"


def test_a_full_disk_for_health_rows_ends_the_round_with_an_error(rig: Rig) -> None:
    """The loop over rounds survives it, the alerts are stored, and the next round is complete."""
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
    """Unfinished rounds find the same gap again, a little longer."""
    rig = make_rig()
    collector_service = rig.collector_service()
    collector_service.round()
    rig.clock.advance(9 * DAY)
    rig.emulator.faults.next(azure_fault("content", 500, "AF50000"), 20)  # two lists a round
    rig.alert(6 * DAY)
    for _ in range(2):
        with pytest.raises(WaitError):
            collector_service.round()
        rig.clock.advance(HOUR)
    collector_service.round()
    assert len(stored(rig).gaps) == 1


# -- health -----------------------------------------------------------------------------


def test_each_round_writes_a_heartbeat(rig: Rig) -> None:
    """A round without new content has one too, so that a stopped collector can be detected."""
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


def test_heartbeats_do_not_fill_the_outbox_while_the_workspace_is_unavailable(rig: Rig) -> None:
    """Above a number of batches heartbeats are dropped, and other events are not."""
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


def test_an_unknown_value_of_a_health_event_is_refused() -> None:
    """Analytic rules compare these values."""
    with pytest.raises(ValueError, match="heart-beat"):
        Event("collector", "irm-alerts", "heart-beat", "ok")
