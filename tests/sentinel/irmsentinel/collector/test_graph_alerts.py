"""IRM alerts from the emulated Microsoft Graph to the table: each version once, whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from irmcore import alert_list
from irmcore.errors import AddressRefused, ConfigurationError, WaitError
from irmemulator.faults import Fault
from irmemulator.http_messages import Request
from irmsentinel.azure.graph_client import Page
from irmsentinel.collector import cursor, graph_alerts
from irmsentinel.content import artefacts as content
from irmsentinel.content import tables
from irmsentinel.emulators.synthetic_records import graph_alert

from tests.fakes.chaos import ChaosProxy, Weather
from tests.fakes.emulated_faults import azure_fault, page_fault
from tests.sentinel.irmsentinel.collector.collecting import DAY, HOUR, NOW, Rig

Made = Callable[..., Rig]
COLUMNS = tables.shapes(tables.load(content.root() / "tables"))["IRMAlertsGraph_CL"][""].columns


@pytest.fixture
def graph(make_rig: Made) -> Rig:
    """A rig whose collectors read Microsoft Graph, which has no alerts, in pages of ten."""
    return make_rig(source="graph", run_kql=False, page_size=10)


def lists(rig: Rig) -> list[Request]:
    """The requests for pages of alerts, without those of `check`."""
    pages = [request for request in rig.emulator.requests if request.path.endswith("/alerts_v2")]
    return [request for request in pages if request.parameters["$top"] != "1"]


def test_each_version_arrives_once(graph: Rig) -> None:
    """A new alert, its updates, and rounds in which nothing changes."""
    made = [graph.graph_alert(100 * DAY, 1), graph.graph_alert(2 * HOUR, 2)]
    collector_service = graph.collector_service()
    first = collector_service.round()
    assert (first.collected.listed, first.collected.new, first.acknowledged_rows) == (2, 2, 2)
    graph.clock.advance(HOUR)
    made.append(graph.graph_alert(60, 2, 1))
    again = collector_service.round().collected
    assert (again.listed, again.known, again.new) == (1, 0, 1)
    assert collector_service.round().collected.known == 1
    made.append(graph.graph_alert(30, 2, 2))
    assert collector_service.round().succeeded
    assert graph.versions() == sorted(made)
    (latest,) = [
        row for row in graph.emulator.ingestion.rows["IRMAlertsGraph_CL"] if row["Status"] == "resolved"
    ]
    assert latest["Classification"] == "truePositive"
    (user,) = latest["UserEvidence"]
    assert user["userAccount"]["userPrincipalName"] == "Person0002@contoso.com"
    assert [one["displayName"] for one in latest["Evidence"]] == ["Microsoft SharePoint Online"]


def test_every_page_is_read(graph: Rig) -> None:
    """Several pages are read twice, in case an alert was missed; a single page is read once."""
    made = [graph.graph_alert(HOUR + number, number) for number in range(25)]
    collector_service = graph.collector_service()
    done = collector_service.round().collected
    assert (done.listed, done.new) == (25, 25)
    assert graph.versions() == sorted(made)
    assert len(lists(graph)) == 6
    assert {request.headers["prefer"] for request in lists(graph)} == {"include-unknown-enum-members"}
    graph.clock.advance(2 * DAY)
    assert collector_service.round().succeeded
    assert collector_service.round().succeeded
    assert len(lists(graph)) == 6 + 6 + 1


# -- changes while pages are read -------------------------------------------------------


@pytest.mark.parametrize("newest_by", ["createdDateTime", "lastUpdateDateTime"])
def test_updates_while_pages_are_read_lose_nothing(graph: Rig, newest_by: str) -> None:
    """Alerts of each page are updated and new ones come, by whichever time the list is ordered."""
    made = {graph.graph_alert(HOUR + number, number) for number in range(25)}
    graph.emulator.graph.newest_by = newest_by

    def change(page: int) -> None:
        if page in (2, 3, 4):  # the first page is the one of `check`
            graph.clock.advance(5)
            for number in (page, 10 + page, 20 + page):
                made.add(graph.graph_alert(0, number, 1))
            made.add(graph.graph_alert(0, 300 + page))

    graph.emulator.graph.after_page = change
    collector_service = graph.collector_service()
    collector_service.round()
    graph.clock.advance(HOUR)
    collector_service.round()
    rows = graph.versions()
    assert len(rows) == len(set(rows))
    before = {version for version in made if version in rows}
    assert {name for name, _ in made} == {name for name, _ in before}
    latest = {name: max(at for each, at in made if each == name) for name, _ in made}
    assert set(latest.items()) <= set(rows)


def test_deletions_while_pages_are_read_lose_nothing(graph: Rig) -> None:
    """A deletion moves the first alert of the next page to the one that was read before."""
    made = {graph.graph_alert(100 * DAY + number, number) for number in range(25)}

    def delete(page: int) -> None:
        if page in (2, 3):
            graph.emulator.graph.delete(graph_alert(page, 0, 0, 0)["id"])

    graph.emulator.graph.after_page = delete
    collector_service = graph.collector_service()
    assert collector_service.round().succeeded
    assert set(graph.versions()) == made


def test_an_alert_that_two_readings_miss_is_found() -> None:
    """Deletions before each second page hide alert 5 twice; the second reading lacks what they deleted."""
    readings = iter([([1, 2], [3, 4], [6, 7]), ([2, 3], [6, 7]), ([4, 5], [6, 7]), ([4, 5], [6, 7])])

    def pages() -> list[Page]:
        made = (
            [{"id": str(n), "lastUpdateDateTime": f"2026-11-20T0{n}:00:00Z"} for n in page]
            for page in next(readings)
        )
        return [Page(tuple(page), None, None, NOW) for page in made]

    found = [one.alert["id"] for one in alert_list.versions(pages, 0, "Microsoft Graph")]
    assert found == ["1", "2", "3", "4", "6", "7", "5"]


def test_a_list_that_never_stays_whole_ends_the_round(graph: Rig) -> None:
    """Old versions appear after each reading: what was read is stored, and a later round reads the rest."""
    made = {graph.graph_alert(100 * DAY + number, number) for number in range(25)}

    def appear(page: int) -> None:
        if page % 3 == 1:
            made.add(graph.graph_alert(99 * DAY, 100 + page))

    graph.emulator.graph.after_page = appear
    collector_service = graph.collector_service()
    with pytest.raises(WaitError, match="lost entries during each of 5 readings"):
        collector_service.round()
    assert cursor.load(collector_service.outbox).collected == 0
    graph.emulator.graph.after_page = lambda _page: None
    assert collector_service.round().succeeded
    assert graph.versions() == sorted(made)


def test_a_deleted_alert_keeps_its_rows(graph: Rig) -> None:
    """Insider Risk Management deletes alerts after months; the table keeps what was collected."""
    gone, kept = graph.graph_alert(3 * HOUR, 1), graph.graph_alert(2 * HOUR, 2)
    collector_service = graph.collector_service()
    collector_service.round()
    graph.emulator.graph.delete(gone[0])
    assert collector_service.round().succeeded
    assert graph.versions() == sorted([gone, kept])


def test_the_clock_of_the_service_counts(graph: Rig) -> None:
    """This machine's clock is two days behind or ahead: the cursor is at the service's time."""
    collector_service = graph.collector_service()
    made = []
    for skew in (2 * DAY, -2 * DAY, 0):
        graph.clock.advance(HOUR)
        now = graph.clock.now() + abs(skew) + skew
        graph.emulator.options.now = lambda now=now: now  # type: ignore[misc]
        made.append(graph.graph_alert(600, len(made)))
        collector_service.round()
        assert cursor.load(collector_service.outbox).collected == int(now)
    assert set(made) <= set(graph.versions())


def test_an_alert_updated_after_the_services_own_time_does_not_move_the_cursor_past_it(graph: Rig) -> None:
    """A machine of the service may be ahead of the one that answers: the version is read once."""
    collector_service = graph.collector_service()
    ahead = graph.graph_alert(-2 * HOUR, 1)
    collector_service.round()
    assert cursor.load(collector_service.outbox).collected == int(NOW)
    graph.clock.advance(3 * HOUR)
    assert collector_service.round().collected.new == 0
    assert graph.versions() == [ahead]


# -- throttling, errors, tokens ---------------------------------------------------------


def test_no_more_requests_than_the_service_allows(graph: Rig) -> None:
    """With five requests a minute, nine take more than a minute, and none is refused."""
    for number in range(40):
        graph.graph_alert(HOUR + number, number)
    begin = graph.clock.now()
    collector_service = graph.collector_service(requests_per_minute=5)
    graph.emulator.options.graph_per_minute = 5
    assert collector_service.round().collected.new == 40
    assert 60 <= graph.clock.now() - begin < 120
    assert len(lists(graph)) == 8


def test_a_429_is_waited_for(graph: Rig) -> None:
    """Others use the same application: the collector waits as long as the service asks."""
    made = [graph.graph_alert(HOUR + number, number) for number in range(40)]
    graph.emulator.options.graph_per_minute = 5
    begin = graph.clock.now()
    assert graph.collector_service().round().succeeded
    assert graph.clock.now() - begin >= 60
    assert graph.versions() == sorted(made)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("alerts", close_without_reply=True),
        page_fault("alerts"),
        azure_fault("alerts", 200, body=b'{"value": [{"id": "a"'),
        azure_fault("alerts", 200, body=b'{"value": [1]}'),
        azure_fault("alerts", 503, "ServiceUnavailable"),
        azure_fault("alerts", 429, "TooManyRequests", headers={"Retry-After": "20"}),
    ],
    ids=["no-answer", "page-of-a-proxy", "half-a-page", "not-alerts", "503", "429"],
)
def test_a_page_that_fails_once_is_read_again(graph: Rig, fault: Fault) -> None:
    """Whichever page it is, nothing is lost and nothing comes twice."""
    made = [graph.graph_alert(HOUR + number, number) for number in range(15)]
    graph.emulator.graph.after_page = lambda page: page == 2 and graph.emulator.faults.next(fault)
    assert graph.collector_service().round().succeeded
    assert graph.versions() == sorted(made)


def test_a_page_that_fails_for_good_ends_the_round_and_loses_nothing(graph: Rig) -> None:
    """What was read before is stored; the next round reads the list again."""
    made = [graph.graph_alert(HOUR + number, number) for number in range(15)]
    fault = azure_fault("alerts", 503, "ServiceUnavailable")
    graph.emulator.graph.after_page = lambda page: page == 2 and graph.emulator.faults.next(fault, 5)
    collector_service = graph.collector_service()
    with pytest.raises(WaitError, match="unavailable"):
        collector_service.round()
    assert len(graph.versions()) == 10
    assert cursor.load(collector_service.outbox).collected == 0
    assert collector_service.round().collected.new == 5
    assert graph.versions() == sorted(made)


@pytest.mark.parametrize("down_cut", [0, 3_000, 9_000])
def test_an_answer_that_is_cut_is_no_page(graph: Rig, down_cut: int) -> None:
    """In the handshake, in the headers, or in the middle of a page."""
    made = [graph.graph_alert(HOUR + number, number) for number in range(15)]
    with ChaosProxy(("127.0.0.1", int(graph.emulator.url.rsplit(":", 1)[1]))) as line:
        collector_service = graph.collector_service(lambda settings: replace(settings, root=line.url))
        line.weather = Weather(down_cut=down_cut)
        with pytest.raises(WaitError):
            collector_service.round()
        assert set(graph.versions()) <= set(made)
        line.weather = Weather()
        graph.clock.advance(HOUR)
        assert collector_service.round().succeeded
    assert graph.versions() == sorted(made)


def test_a_token_that_expires_between_two_pages_is_renewed(graph: Rig) -> None:
    """Nothing is read twice for it, and a service that refuses every token is reported."""
    made = [graph.graph_alert(HOUR + number, number) for number in range(25)]
    graph.emulator.graph.after_page = lambda _page: graph.emulator.entra.revoke_tokens()
    assert graph.collector_service().round().succeeded
    assert graph.versions() == sorted(made)
    graph.emulator.faults.next(azure_fault("alerts", 401, "InvalidAuthenticationToken"), 20)
    with pytest.raises(ConfigurationError, match="rejected the token, also a new one"):
        graph.collector_service().round()


def test_a_missing_permission_is_named(graph: Rig) -> None:
    """The least privileged one."""
    graph.emulator.options.may_read_alerts = False
    with pytest.raises(
        ConfigurationError, match=r"lacks the application permission SecurityAlert\.Read\.All"
    ):
        graph.collector_service().round()
    assert graph.health()[-1][1:] == ("failed", graph.emulator.url.removeprefix("https://"))


def test_a_wrong_secret_is_reported_with_entras_code(graph: Rig) -> None:
    """The sign-in is that of the audit records' collector."""
    collector_service = graph.collector_service()
    (graph.emulator.directory / "secret").write_text("emulator-only-wrong")
    with pytest.raises(ConfigurationError, match="AADSTS7000215"):
        collector_service.round()


# -- what the answers lead to -----------------------------------------------------------


@pytest.mark.parametrize("link", ["https://graph.microsoft.com.example.com/next", "https://[::1"])
def test_the_token_goes_to_no_other_host(graph: Rig, link: str) -> None:
    """A link of a page to another host, or one that cannot be read, ends the round."""
    body = json.dumps({"value": [], "@odata.nextLink": link})
    collector_service = graph.collector_service()
    graph.emulator.faults.next(azure_fault("alerts", 200, body=body.encode()), 2)
    with pytest.raises(AddressRefused, match="link to another host"):
        collector_service.round()


@pytest.mark.parametrize("source", ["unknownFutureValue", "microsoftDefenderForEndpoint", None])
def test_alerts_of_other_products_are_not_stored_and_reported(graph: Rig, source: str | None) -> None:
    """A proxy that drops the filter or the header Prefer: no alert becomes one of Insider Risk Management.

    A time in the future does not move the cursor there.
    """
    graph.graph_alert(HOUR, 1)
    foreign = {**graph_alert(2, 0, NOW - HOUR, NOW + 2 * HOUR), "serviceSource": source}
    collector_service = graph.collector_service()
    body = json.dumps({"value": [foreign]}).encode()
    graph.emulator.graph.after_page = lambda page: (
        page == 1 and graph.emulator.faults.next(azure_fault("alerts", 200, body=body))
    )
    done = collector_service.round().collected
    assert (done.failed, done.new, done.trouble) == (1, 0, "foreign-alert")
    assert "not one of Insider Risk Management" in done.warning
    assert cursor.load(collector_service.outbox).collected < int(NOW)
    assert collector_service.round().collected.new == 1


def test_entries_without_an_id_or_a_time_are_kept(graph: Rig) -> None:
    """Each is one row, however often it is listed."""
    whole = graph_alert(1, 0, NOW - HOUR, NOW - HOUR)
    bad: list[dict[str, Any]] = [
        {name: value for name, value in whole.items() if name != "id"},
        {name: value for name, value in whole.items() if name != "lastUpdateDateTime"},
        {**whole, "id": "x", "lastUpdateDateTime": "soon"},
    ]
    collector_service = graph.collector_service()
    for _ in range(2):
        ticks = iter(range(2))

        def once(_page: int, ticks: Any = ticks) -> None:
            if next(ticks, 1) == 0:
                graph.emulator.faults.next(
                    azure_fault("alerts", 200, body=json.dumps({"value": bad}).encode())
                )

        graph.emulator.graph.after_page = once
        assert collector_service.round().succeeded
    assert len(graph.emulator.ingestion.rows["IRMAlertsGraph_CL"]) == 3


# -- rows -------------------------------------------------------------------------------


def alert_with(*evidence: Any) -> dict[str, Any]:
    """An alert with this evidence."""
    return {**graph_alert(1, 0, NOW, NOW), "evidence": list(evidence)}


def test_a_row_has_the_columns_of_the_table_and_no_field_is_dropped() -> None:
    """Names that Azure Monitor reserves are changed; what has no column is in AdditionalFields."""
    alert = {**alert_with(), "tenantId": "t", "systemTags": ["a"], "": 1}
    values = json.loads(graph_alerts.row(alert, COLUMNS).line)
    assert values["AlertTitle"] == alert["title"]
    assert values["AlertId"] == alert["id"]
    assert values["LastUpdateDateTime"] == "2026-11-21T12:00:00Z"
    assert values.keys() <= {column.name for column in COLUMNS}
    assert values["AdditionalFields"]["TenantId"] == "t"
    assert values["AdditionalFields"]["SystemTags"] == ["a"]


def test_large_evidence_does_not_cut_off_the_user() -> None:
    """Evidence of other types can exceed what the service keeps of a value."""
    user = {
        "@odata.type": "#microsoft.graph.security.userEvidence",
        "userAccount": {"userPrincipalName": "ana@contoso.com"},
    }
    files = {"@odata.type": "#microsoft.graph.security.fileEvidence", "names": ["x" * 1000] * 100}
    made = graph_alerts.row(alert_with(files, user, "odd", {"@odata.type": "#new"}), COLUMNS)
    values = json.loads(made.line)
    assert values["UserEvidence"] == [user]
    assert values["Evidence"] == {}
    assert values["AdditionalFields"]["CutFields"] == ["Evidence"]
    assert made.cut == 1


def test_only_user_evidence_names_a_user() -> None:
    """A type that is not published today never becomes a person."""
    newer = {
        "@odata.type": "#microsoft.graph.security.riskyUserEvidence",
        "userAccount": {"userPrincipalName": "bo@contoso.com"},
    }
    values = json.loads(graph_alerts.row(alert_with(newer), COLUMNS).line)
    assert values["UserEvidence"] == []
    assert values["Evidence"] == [newer]


def test_a_version_is_its_id_and_its_time() -> None:
    """In whatever order its fields come, whatever Graph adds without a new time; another has another key."""
    alert = alert_with()
    same = [dict(reversed(alert.items())), {**alert, "comments": ["seen"]}]
    others = [{**alert, "lastUpdateDateTime": "2026-11-21T12:00:01Z"}, {**alert, "id": "x"}]
    keys = [graph_alerts.row(one, COLUMNS).key for one in (alert, *same, *others)]
    assert (keys.count(keys[0]), len(set(keys))) == (3, 3)
