"""Defender's activities from the emulated hunting queries to the tables: each row once, whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from irmcore.errors import ConfigurationError, WaitError
from irmemulator.faults import Fault
from irmsentinel.collector import activities, cursor
from irmsentinel.content import artefacts as content
from irmsentinel.content import tables
from irmsentinel.emulators.synthetic_records import data_security_behavior, data_security_event

from tests.fakes.emulated_faults import azure_fault, page_fault
from tests.sentinel.irmsentinel.collector.collecting import DAY, HOUR, NOW, Rig

Made = Callable[..., Rig]
TABLE = "IRMDataSecurityEvents_CL"
COLUMNS = tables.shapes(tables.load(content.root() / "tables"))[TABLE][""].columns


@pytest.fixture
def defender(make_rig: Made) -> Rig:
    """A rig whose collectors read DataSecurityEvents, which has no rows."""
    return make_rig(source="events")


def put(rig: Rig, *ago: float) -> list[str]:
    """Put an event of each age in seconds into DataSecurityEvents; returns their ids."""
    events = [data_security_event(int(seconds), rig.clock.now() - seconds) for seconds in ago]
    rig.emulator.graph.hunting.put("DataSecurityEvents", *events)
    return [event["ActivityId"] for event in events]


def ids(rig: Rig) -> list[str]:
    """The ids of the rows in the workspace."""
    return sorted(row["ActivityId"] for row in rig.emulator.ingestion.rows.get(TABLE, []))


def spans(rig: Rig) -> list[str]:
    """The time spans of the hunting queries so far, without those of `check`."""
    sent = [json.loads(one.body or b"") for one in rig.emulator.requests if "Hunting" in one.path]
    return [one["Timespan"] for one in sent if "Timespan" in one]


def test_each_row_arrives_once(defender: Rig) -> None:
    """Thirty days in the first round, then what is new; the table has Defender's columns with their types."""
    made = put(defender, 29 * DAY, 5 * DAY, HOUR)
    put(defender, 31 * DAY)
    collector = defender.collector_service()
    first = collector.round()
    assert (first.collected.new, first.acknowledged_rows, first.succeeded) == (3, 3, True)
    defender.clock.advance(HOUR)
    made += put(defender, 60)
    again = collector.round().collected
    assert (again.new, again.repeated) == (1, 1)
    assert ids(defender) == sorted(made)
    latest = next(row for row in defender.emulator.ingestion.rows[TABLE] if row["ActivityId"] == made[-1])
    assert latest["Timestamp"] == latest["TimeGenerated"] == "2026-11-21T12:59:00Z"
    assert latest["IsHidden"] is False
    assert latest["ObjectSize"] == 1_060
    assert latest["IrmPolicyMatchInfo"] == [{"PolicyName": "Data theft by departing users"}]


def test_a_behavior_is_stored_in_each_version(make_rig: Made) -> None:
    """Its numbers grow while its day goes on; one that is unchanged is not sent again."""
    rig = make_rig(source="behaviors")
    behavior = data_security_behavior(7, NOW - HOUR)
    collector = rig.collector_service()
    for number in (3, 3, 4):
        rig.emulator.graph.hunting.put("DataSecurityBehaviors", {**behavior, "ActivityCount": number})
        collector.round()
        rig.clock.advance(HOUR)
    rows = rig.emulator.ingestion.rows["IRMDataSecurityBehaviors_CL"]
    assert [row["ActivityCount"] for row in rows] == [3, 4]
    assert {row["BehaviorId"] for row in rows} == {behavior["BehaviorId"]}


def test_rows_that_arrive_two_days_late_are_found(defender: Rig) -> None:
    """The cursor has passed their time; every round reads three days again."""
    collector = defender.collector_service()
    collector.round()
    made = []
    for ago in (47 * HOUR, 71 * HOUR, 5 * 60):
        defender.clock.advance(HOUR)
        made += put(defender, ago)
        assert collector.round().collected.new == 1
    assert ids(defender) == sorted(made)


def test_one_answer_at_a_time_is_in_memory(defender: Rig) -> None:
    """The rows of each are in the workspace before the next query: answers can be large."""
    put(defender, HOUR, 26 * HOUR, 50 * HOUR)
    defender.emulator.options.hunting_bytes = 600  # an answer with one of them
    stored: list[int] = []
    defender.emulator.graph.hunting.after_query = lambda: stored.append(len(ids(defender)))
    assert defender.collector_service(connections=1).round().succeeded
    assert {0, 1, 2} <= set(stored)


# -- answers that are cut off -----------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"schema": [], "results": [{}] * activities.MAX_ROWS}).encode(),
        b" " * activities.MAX_BYTES + b" {}",
    ],
    ids=["100,000-rows", "too-many-bytes"],
)
def test_an_answer_with_the_most_rows_or_bytes_is_asked_for_again_in_halves(
    defender: Rig, body: bytes
) -> None:
    """Its rows may be any part of the whole. The halves meet at one time and are all of it."""
    made = put(defender, HOUR, 26 * DAY, 28 * DAY, 29 * DAY)
    ticks = iter([True])
    defender.emulator.graph.hunting.after_query = lambda: (
        next(ticks, False) and defender.emulator.faults.next(azure_fault("hunting", 200, body=body), 2)
    )
    assert defender.collector_service().round().succeeded
    assert ids(defender) == sorted(made)
    # The first of six windows, its first half, the quarters of that, its second half; then the others.
    first, half, quarter, *_ = (span.split("/") for span in spans(defender))
    assert first[0] == half[0] == quarter[0] == "2026-10-22T12:09:59.0000000Z"
    assert (first[1], half[1]) == ("2026-10-27T12:10:01.0000000Z", "2026-10-25T00:10:01.0000000Z")
    assert quarter[1] == "2026-10-23T18:10:01.0000000Z"
    assert len(spans(defender)) == 3 + 2 + 5


def test_an_answer_above_the_services_own_size_is_split_until_it_fits(defender: Rig) -> None:
    """The service refuses it; rows a tick apart end in own answers, after an hour."""
    made = [data_security_event(number, NOW - HOUR) for number in range(3)]
    for number, event in enumerate(made):
        event["Timestamp"] = f"2026-11-21T11:00:00.000000{number}Z"
    defender.emulator.graph.hunting.put("DataSecurityEvents", *made)
    defender.emulator.options.hunting_bytes = 2 * len(json.dumps(made[0])) - 1
    begin = defender.clock.now()
    assert defender.collector_service(requests_per_minute=1).round().succeeded
    assert defender.clock.now() - begin > HOUR
    assert ids(defender) == sorted(event["ActivityId"] for event in made)


def test_an_instant_with_more_rows_than_an_answer_is_an_error(defender: Rig) -> None:
    """It is reported in each round and holds the cursor. All other rows arrive."""
    made = put(defender, 2 * HOUR, 2 * DAY)
    same = [data_security_event(number, NOW - 30 * HOUR) for number in range(2)]
    defender.emulator.graph.hunting.put("DataSecurityEvents", *same)
    defender.emulator.options.hunting_bytes = len(json.dumps(same)) - 1
    collector = defender.collector_service()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"100,000 rows.*some are missing") as raised:
            collector.round()
        assert raised.value.where == "Microsoft Graph, full-instant"
        assert ids(defender) == sorted(made)
        assert cursor.load(collector.outbox).collected <= NOW - 30 * HOUR
        assert ("failed", "failed", "Microsoft Graph, full-instant") in defender.health()


# -- throttling, errors, tokens ---------------------------------------------------------


def test_no_more_queries_than_the_service_allows(defender: Rig) -> None:
    """With four a minute, the seven of a first round take more than a minute, and none is refused."""
    begin = defender.clock.now()
    defender.emulator.options.hunting_per_minute = 4
    assert defender.collector_service(requests_per_minute=4).round().succeeded
    assert 60 <= defender.clock.now() - begin < 120
    assert len(spans(defender)) == 6


def test_a_429_is_waited_for(defender: Rig) -> None:
    """Others run queries too: the collector waits as long as the service asks."""
    made = put(defender, HOUR, 2 * DAY)
    defender.emulator.options.hunting_per_minute = 3
    begin = defender.clock.now()
    assert defender.collector_service().round().succeeded
    assert defender.clock.now() - begin >= 60
    assert ids(defender) == sorted(made)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("hunting", close_without_reply=True),
        page_fault("hunting"),
        azure_fault("hunting", 200, body=b'{"results": [{"Timestamp": "2026'),
        azure_fault("hunting", 504, "GatewayTimeout"),
        azure_fault("hunting", 429, "TooManyRequests", headers={"Retry-After": "20"}),
    ],
    ids=["no-answer", "page-of-a-proxy", "half-an-answer", "504", "429"],
)
def test_a_query_that_fails_once_is_sent_again(defender: Rig, fault: Fault) -> None:
    """Nothing is lost and nothing comes twice."""
    made = put(defender, HOUR, 2 * DAY)
    defender.emulator.faults.next(fault)
    assert defender.collector_service().round().succeeded
    assert ids(defender) == sorted(made)


@pytest.mark.parametrize("body", [b"{}", b'{"results": 7}', b'{"results": [7]}'])
def test_an_answer_without_rows_is_no_empty_one(defender: Rig, body: bytes) -> None:
    """The cursor does not pass its time, and the next round reads it."""
    made = put(defender, HOUR)
    collector = defender.collector_service()
    ticks = iter([True])
    defender.emulator.graph.hunting.after_query = lambda: (
        next(ticks, False) and defender.emulator.faults.next(azure_fault("hunting", 200, body=body))
    )
    with pytest.raises(WaitError, match="has no rows"):
        collector.round()
    assert cursor.load(collector.outbox).collected == 0
    assert collector.round().succeeded
    assert ids(defender) == made


def test_a_token_that_expires_between_two_queries_is_renewed(defender: Rig) -> None:
    """Every query finds an expired token."""
    made = put(defender, HOUR, 2 * DAY)
    defender.emulator.graph.hunting.after_query = defender.emulator.entra.revoke_tokens
    assert defender.collector_service().round().succeeded
    assert ids(defender) == sorted(made)


def test_a_missing_permission_is_named(defender: Rig) -> None:
    """The least privileged one."""
    defender.emulator.options.may_hunt = False
    with pytest.raises(
        ConfigurationError, match=r"lacks the application permission ThreatHunting\.Read\.All"
    ):
        defender.collector_service().round()


def test_a_missing_table_names_the_setting_and_the_role(defender: Rig) -> None:
    """A person must act in Purview; until then nothing is collected and nothing passed over."""
    made = put(defender, HOUR)
    defender.emulator.options.hunted = ()
    collector = defender.collector_service()
    with pytest.raises(ConfigurationError, match="no table DataSecurityEvents for this identity") as raised:
        collector.round()
    assert "Share user risk details with other security solutions" in raised.value.next_step
    assert "Insider Risk Management Analyst or Investigator" in raised.value.next_step
    assert "unverified" in raised.value.next_step
    defender.emulator.options.hunted = ("DataSecurityEvents",)
    assert collector.round().succeeded
    assert ids(defender) == made


def test_an_answer_that_is_gone_ends_the_round(defender: Rig) -> None:
    """Like any other error of the service: the next round reads it."""
    made = put(defender, HOUR)
    defender.emulator.faults.next(azure_fault("hunting", 410, "Gone"))
    collector = defender.collector_service()
    with pytest.raises(WaitError, match="asks to begin again"):
        collector.round()
    assert collector.round().succeeded
    assert ids(defender) == made


def test_another_error_of_the_query_says_how_to_see_it(defender: Rig) -> None:
    """The service's message may quote rows and is not shown."""
    defender.emulator.faults.next(azure_fault("hunting", 400, "BadRequest"))
    with pytest.raises(ConfigurationError, match=r"refused the query of DataSecurityEvents") as raised:
        defender.collector_service().round()
    assert "DataSecurityEvents | take 0" in raised.value.next_step


# -- crashes ----------------------------------------------------------------------------


def test_a_crash_before_the_cursor_is_written_sends_nothing_twice(defender: Rig) -> None:
    """The rows are delivered and the cursor knows nothing of them: the row ledger skips them."""
    made = put(defender, HOUR, 2 * DAY)
    collector = defender.collector_service()
    assert collector.round().succeeded
    (defender.root / collector.settings.target.outbox_name / cursor.FILE).unlink()
    made += put(defender, 2 * HOUR)
    again = defender.collector_service().round().collected
    assert (again.new, again.repeated) == (1, 2)
    assert ids(defender) == sorted(made)


def test_a_round_that_ends_halfway_goes_on_there(defender: Rig) -> None:
    """What was read is stored, with the cursor behind it; the next round reads the rest."""
    made = put(defender, 28 * DAY, 10 * DAY, HOUR)
    collector = defender.collector_service()
    ticks = iter(range(20))
    defender.emulator.graph.hunting.after_query = lambda: (
        next(ticks, 0) == 1
        and defender.emulator.faults.next(azure_fault("hunting", 503, "ServiceUnavailable"), 5)
    )
    with pytest.raises(WaitError, match="unavailable"):
        collector.round()
    assert ids(defender) == made[:1]
    assert 0 < cursor.load(collector.outbox).collected < NOW - 20 * DAY
    assert collector.round().succeeded
    assert ids(defender) == sorted(made)


# -- rows -------------------------------------------------------------------------------


def values(**given: Any) -> dict[str, Any]:
    """The row of an event with these columns."""
    return dict(json.loads(activities.row({**data_security_event(1, NOW), **given}, COLUMNS).line))


def test_no_column_is_dropped() -> None:
    """Those that the preview adds, and numbers that an int cannot hold, are in AdditionalFields."""
    made = values(NewColumn="x", ObjectSize=2**40, IsHidden=1, IsManagedDevice="maybe")
    assert made["AdditionalFields"] == {"NewColumn": "x", "ObjectSize": 2**40, "IsManagedDevice": "maybe"}
    assert made["IsHidden"] is True
    assert "SensitivityLabelId" not in made
    assert made.keys() <= {column.name for column in COLUMNS}


def test_a_row_is_all_of_its_values() -> None:
    """In any order; a column that is empty makes no other row, so Defender may add some."""
    event = data_security_event(1, NOW)
    empty = [{**event, "NewColumn": nothing} for nothing in (None, "")]  # a string of KQL is never null
    same = [event, dict(reversed(event.items())), *empty]
    keys = {activities.row(one, COLUMNS).key for one in same}
    assert len(keys) == 1
    assert activities.row({**event, "ObjectSize": 7}, COLUMNS).key not in keys
    assert activities.row(event, COLUMNS).day == NOW // DAY
