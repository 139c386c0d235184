"""The alert templates search for what the app logs: they are run on a log of the built app."""

from __future__ import annotations

import ast
import json
import re
import time

import pytest
from irmcore.delivery.replies import Action
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator

from tests.fakes.splunkd_alert import SID, Alert
from tests.fakes.splunkd_input import Input
from tests.fakes.splunkd_rest import SplunkdRest
from tests.needs import find_python
from tests.splunk_app import spl, spl_run
from tests.splunk_app.conftest import Searches, save_secret
from tests.splunk_app.test_command import HEADER, ROW
from tests.splunk_app.test_content import SEARCHES
from tests.splunk_app.test_settings import GLUE

TEMPLATES = {
    name: stanza["search"]
    for name, stanza in SEARCHES.items()
    if stanza["search"].startswith("index=_internal")
}
#: The fields that Splunk adds to each event.
SPLUNK_FIELDS = {"host", "_time"}
#: The functions of the app that log an event, and the position of the event's name.
WRITERS = {"write": 1, "_log": 0, "report": 2}


def filters(search: str) -> dict[str, set[str]]:
    """The fields in a template's first command, each with its values."""
    first = spl.commands(search)[0]
    found = {key: {value} for key, value in re.findall(r'(\w+)="?([\w:-]+)"?', first)}
    for key, values in re.findall(r"(\w+) IN \(([^)]*)\)", first):
        found[key] = set(re.findall(r'"([^"]+)"', values))
    assert found.pop("index") == {"_internal"}
    assert found.pop("sourcetype") == {"irmexport:log"}
    return found


def fields(search: str) -> set[str]:
    """The fields that its stats command reads: the aggregated ones and those after BY."""
    (stats,) = [command for command in spl.commands(search) if command.startswith("stats ")]
    aggregated, by = stats.split(" BY ")
    return {
        *re.findall(r"\w+\((\w+)\)", aggregated),
        *(field.strip() for field in by.split(",")),
    } - SPLUNK_FIELDS


def events_of_the_code() -> set[str]:
    """Every event that the code can log: literals, and the names of actions."""
    found = {action.value for action in Action}
    for file in GLUE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                at = WRITERS.get(name)
                if at is not None and len(node.args) > at:
                    argument = node.args[at]
                    if isinstance(argument, ast.Constant):
                        found.add(str(argument.value))
    return found


def test_the_templates_of_the_log() -> None:
    """All alerts but one, which reads a lookup, search the app's log."""
    assert [name.rpartition(" - ")[2] for name in TEMPLATES] == [
        "export failed",
        "held",
        "rows not queued",
        "paused or delayed",
        "waiting for release",
        "queued without a sender",
        "not promoted",
        "nothing exported for a day",
        "sender silent",
    ]
    (other,) = {name for name in SEARCHES if " - alert - " in name} - set(TEMPLATES)
    assert spl.commands(SEARCHES[other]["search"])[0] == "inputlookup irmexport_identities"


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_searches_for_events_of_the_code(name: str) -> None:
    """The code can log each event that a template names."""
    assert filters(TEMPLATES[name])["event"] <= events_of_the_code()


HOUR, DAY = 3600.0, 86_400.0
NOW = 1_700_000_000.0 // DAY * DAY + 8 * HOUR
#: What `relative_time(now(), …)` is at NOW, in UTC.
TIMES = {
    '"-1d@d"': NOW - 8 * HOUR - DAY,
    '"-7d@d"': NOW - 8 * HOUR - 7 * DAY,
    '"-130m"': NOW - 130 * 60,
    '"-15m"': NOW - 15 * 60,
}


def fired(name: str, log: list[spl_run.Row]) -> list[spl_run.Row]:
    """What an alert finds in a log at NOW. Each event has Splunk's fields, and is in its index."""
    search = TEMPLATES[f"irmexport - alert - {name}"]
    for text, seconds in TIMES.items():
        search = search.replace(f"relative_time(now(), {text})", f"{seconds:.0f}")
    common = {"index": "_internal", "sourcetype": "irmexport:log", "host": "sh1", "_time": NOW}
    return spl_run.run(search, [{**common, **line} for line in log])


@pytest.mark.needs("python3.13")
def test_each_outcome_that_loses_or_delays_rows_fires_an_alert(
    on_3_13: Searches, splunkd: SplunkdRest, emulator: PurviewEmulator
) -> None:
    """The log is the built app's; each alert finds its outcome there, and nothing in an untroubled log."""
    python, home = find_python("3.13") or "", on_3_13.home

    def log() -> list[spl_run.Row]:
        lines = [json.loads(line) for line in home.log.read_text().splitlines()]
        home.log.unlink()
        return lines

    def names(lines: list[spl_run.Row]) -> set[str]:
        found = {name.rpartition(" - ")[2] for name in TEMPLATES}
        return {name for name in found if fired(name, lines)}

    wait = ("profile=leavers", "wait=60")
    with Input(python, home, splunkd):
        on_3_13.run(HEADER + ROW, args=wait)
    assert names(log()) == set()
    with Input(python, home, splunkd):
        emulator.faults.next(Fault(reset_after_last_byte=True))
        on_3_13.run(HEADER + ROW.replace(b"sarad", b"bradh"), args=wait)
    assert names(log()) == {"held"}
    on_3_13.run(HEADER + ROW, args=("profile=nothing",))
    assert names(log()) == {"export failed"}
    on_3_13.run(HEADER + ROW.replace(b"sarad@contoso.com", b"sarad"), args=wait)
    assert names(log()) == {"rows not queued"}
    (on_3_13.dispatch / "finalize").touch()
    on_3_13.run(HEADER + ROW, args=wait)
    assert names(log()) == {"rows not queued"}
    (on_3_13.dispatch / "finalize").unlink()
    results = Alert(python, home, splunkd)
    splunkd.state.jobs[SID] = {"owner": "ana", "resultCount": 3}
    results.fire(HEADER + ROW)
    assert names(log()) == {"rows not queued"}
    (home.outbox / "heartbeat.json").unlink(missing_ok=True)
    on_3_13.run(HEADER + ROW.replace(b"sarad", b"megan"), args=("profile=leavers", "wait=0"))
    assert names(log()) == {"queued without a sender"}
    save_secret(splunkd, "emulator-only-wrong")
    with Input(python, home, splunkd):
        replies, _ = on_3_13.run(HEADER + ROW.replace(b"sarad", b"henri"), args=wait)
    assert "paused" in str(replies[-1].messages)
    with Input(python, home, splunkd):  # a sender logs the state of each connector when it starts
        end = time.monotonic() + 60
        while '"event": "status"' not in home.log.read_text() and time.monotonic() < end:
            time.sleep(0.05)
    assert "paused or delayed" in names(log())


def test_rows_that_have_waited_for_an_hour_fire_an_alert() -> None:
    """Whatever the reason; rows of the last minutes do not."""
    logged = {"event": "status", "connector": "leavers", "mode": "closed", "reason": "throttled"}
    assert not fired("paused or delayed", [{**logged, "rows_queued": 9, "oldest_seconds": 600}])
    assert fired("paused or delayed", [{**logged, "rows_queued": 9, "oldest_seconds": 3700}])
    assert not fired("paused or delayed", [{**logged, "rows_queued": 0, "oldest_seconds": 0}])


def test_rows_that_were_sent_after_all_fire_no_alert() -> None:
    """Only the search head where rows are still queued is named."""
    outcome = {"event": "outcome", "connector": "leavers", "sender": "not running", "state": "queued"}
    sent = {"event": "sent", "connector": "leavers", "rows": 1, "_time": NOW + 9}
    (row,) = fired("queued without a sender", [outcome, {**outcome, "host": "sh2"}, {**sent, "host": "sh2"}])
    assert row["problem"] == "queued on sh1, sender not running"
    assert not fired("queued without a sender", [{**outcome, "sender": "running"}])


def test_rows_that_a_member_did_not_promote_fire_an_alert() -> None:
    """It names the member, also one that is lost; not where there is no cluster, nor for rows just queued."""
    old = {"connector": "leavers", "batches": 1, "_time": NOW - HOUR}
    queued = {**old, "event": "queued", "run": "r1", "host": "sh2"}
    other = [{**old, "event": "queued", "run": "r2"}, {**old, "event": "promoted", "run": "r2", "rows": 5}]
    (row,) = fired("not promoted", [queued, *other])
    assert row["problem"] == "queued on sh2, and not in the cluster's outbox"
    assert not fired("not promoted", [queued])
    assert not fired("not promoted", [{**queued, "_time": NOW - 600}, *other])
    assert not fired("not promoted", [{**queued, "batches": 0}, *other])
    for done in ("promoted", "sent"):  # the latter before it joined the cluster
        assert not fired("not promoted", [queued, {**old, "event": done, "run": "r1"}, *other])


def test_rows_that_no_member_could_ever_promote_fire_an_alert() -> None:
    """KV store is away from the first day, so nothing was promoted yet."""
    queued = {"connector": "leavers", "batches": 1, "event": "queued", "run": "r1", "_time": NOW - HOUR}
    away = {"connector": "leavers", "event": "cluster-away", "_time": NOW - HOUR}
    (row,) = fired("not promoted", [queued, away])
    assert row["problem"] == "queued on sh1, and not in the cluster's outbox"
    assert not fired("not promoted", [queued, {**away, "connector": "risky"}])
    assert not fired("not promoted", [queued, away, {**queued, "event": "sent"}])


def test_rows_that_another_member_sends_fire_no_alert() -> None:
    """They were queued where no sender runs, and promoted at the end of the search."""
    outcome = {"event": "outcome", "connector": "leavers", "sender": "not running", "state": "queued"}
    promoted = {"event": "promoted", "connector": "leavers", "run": "r1", "_time": NOW + 1}
    assert not fired("queued without a sender", [outcome, promoted])


def test_a_silent_connector_fires_an_alert_but_no_weekend_does() -> None:
    """Each connector by itself, compared with the same weekday."""

    def sent(connector: str, *days_ago: int) -> list[spl_run.Row]:
        return [
            {"event": "sent", "connector": connector, "rows": 5, "_time": NOW - 8 * HOUR - days * DAY + HOUR}
            for days in days_ago
        ]

    log = sent("silent", 8, 7, 3, 2) + sent("daily", 8, 7, 3, 2, 1) + sent("weekdays", 7, 6, 5, 4, 3)
    assert [row["connector"] for row in fired("nothing exported for a day", log)] == ["silent"]


def test_a_sender_that_ended_without_a_word_fires_an_alert() -> None:
    """Or one that left rows; not one that is idle because there is nothing to do."""
    old = {"part": "sender", "_time": NOW - 3 * HOUR}
    assert fired("sender silent", [{**old, "event": "started"}])
    assert fired("sender silent", [{**old, "event": "ended", "rows_queued": 3}])
    assert not fired("sender silent", [{**old, "event": "ended", "rows_queued": 0}])
    assert not fired("sender silent", [{**old, "event": "started", "_time": NOW - HOUR}])


def test_filters_and_fields_of_a_template_are_found() -> None:
    """The helpers read both from a search."""
    search = (
        'index=_internal sourcetype="irmexport:log" event="x" part="y" | stats sum(rows) AS r BY host, why'
    )
    assert filters(search) == {"event": {"x"}, "part": {"y"}}
    assert fields(search) == {"rows", "why"}


def test_rows_that_wait_for_their_release() -> None:
    """The alert fires once rows have waited for more than a day."""

    def status(proposed: int, seconds: int) -> spl_run.Row:
        found = {"event": "status", "connector": "leavers"}
        return {**found, "proposed": proposed, "proposed_seconds": seconds}

    assert fired("waiting for release", [status(2, 90_000)])
    assert not fired("waiting for release", [status(2, 3_600)])
    assert not fired("waiting for release", [status(0, 0)])
