"""The emulated alerts of Microsoft Graph, as any client sees them over HTTPS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
import requests
from irmsentinel.emulators.synthetic_records import data_security_event, graph_alert

from tests.sentinel.irmsentinel.collector.collecting import NOW, Rig
from tests.sentinel.irmsentinel.emulators.test_management_api import ask, code

Made = Callable[..., Rig]
IRM = "serviceSource eq 'microsoftInsiderRiskManagement'"


def alerts(
    rig: Rig, filter_: str = "", more: str = "", *, prefer: bool = True, **given: Any
) -> requests.Response:
    """An answer of the list."""
    given.setdefault("scope", "graph.microsoft.com")
    headers = {"Prefer": "include-unknown-enum-members"} if prefer else {}
    query = f"$filter={quote(filter_)}&{more}" if filter_ else more
    return ask(rig, f"/v1.0/security/alerts_v2?{query}", headers=headers, **given)


def ids(answer: requests.Response) -> list[str]:
    """The numbers of the alerts in an answer, in order."""
    return [alert["id"].rpartition("_")[2] for alert in answer.json()["value"]]


@pytest.fixture
def three(rig: Rig) -> Rig:
    """Alerts 1 to 3, created in this order; the first was updated last."""
    for number, updated in ((1, NOW), (2, NOW - 80), (3, NOW - 70)):
        rig.emulator.graph.put(graph_alert(number, 0, NOW - 100 + number, updated))
    return rig


def test_the_newest_comes_first_and_pages_are_linked(three: Rig) -> None:
    """$top and $skip as in Microsoft's example; a link keeps the filter."""
    assert ids(alerts(three)) == ["3", "2", "1"]
    three.emulator.graph.newest_by = "lastUpdateDateTime"
    first = alerts(three, IRM, "$top=2&$count=true")
    assert ids(first) == ["1", "3"]
    assert first.json()["@odata.count"] == 3
    link = first.json()["@odata.nextLink"].removeprefix(three.emulator.url)
    second = ask(three, link, scope="graph.microsoft.com")
    assert ids(second) == ["2"]
    assert "@odata.nextLink" not in second.json()
    assert ids(alerts(three, "", "$skip=1")) == ["3", "2"]


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        (IRM, ["3", "2", "1"]),
        ("serviceSource eq 'microsoftDefenderForEndpoint'", []),
        ("severity ne 'high' and status eq 'new'", ["2", "1"]),
        ("createdDateTime gt 2026-11-21T11:58:22Z", ["3"]),
        ("createdDateTime ge 2026-11-21T11:58:22Z", ["3", "2"]),
        ("lastUpdateDateTime lt 2026-11-21T11:58:50Z", ["2"]),
        ("lastUpdateDateTime le 2026-11-21T11:58:50Z", ["3", "2"]),
    ],
)
def test_a_filter_selects(three: Rig, filter_: str, expected: list[str]) -> None:
    """Times to the second or finer, words without case."""
    assert ids(alerts(three, filter_)) == expected


@pytest.mark.parametrize(
    ("filter_", "more"),
    [
        ("detectionSource eq 'microsoftInsiderRiskManagement'", ""),
        ("severity gt 'low'", ""),
        ("lastUpdateDateTime ge '2026-11-21T11:58:50Z'", ""),
        ("lastUpdateDateTime ge 2026-11-21", ""),
        ("lastUpdateDateTime ge 2026-99-21T11:58:50Z", ""),
        ("status eq 'new' or status eq 'resolved'", ""),
        ("", "$orderby=createdDateTime"),
        ("", "$top=0"),
        ("", "$top=many"),
        ("", "$skip=-1"),
    ],
)
def test_what_the_list_does_not_support_is_refused(three: Rig, filter_: str, more: str) -> None:
    """Only the documented options and properties."""
    answer = alerts(three, filter_, more)
    assert (answer.status_code, code(answer)) == (400, "BadRequest")


def test_newer_words_need_the_header(three: Rig) -> None:
    """Without Prefer a client sees `unknownFutureValue`, and the filter still works."""
    answer = alerts(three, IRM, prefer=False)
    assert {alert["serviceSource"] for alert in answer.json()["value"]} == {"unknownFutureValue"}
    shown = {alert["serviceSource"] for alert in alerts(three, IRM).json()["value"]}
    assert shown == {"microsoftInsiderRiskManagement"}


def test_requests_without_the_right_are_refused(three: Rig) -> None:
    """No token, a token for another service, and an application without the permission."""
    assert alerts(three, token="x").status_code == 401
    assert alerts(three, scope="manage.office.com").status_code == 401
    assert ask(three, "/v1.0/security/incidents", scope="graph.microsoft.com").status_code == 404
    three.emulator.options.may_read_alerts = False
    assert alerts(three).status_code == 403


def test_the_limit_of_requests(three: Rig) -> None:
    """The answer says when the next request is accepted."""
    three.emulator.options.graph_per_minute = 2
    assert [alerts(three).status_code for _ in range(2)] == [200, 200]
    three.clock.advance(20)
    refused = alerts(three)
    assert (refused.status_code, code(refused)) == (429, "TooManyRequests")
    assert refused.headers["Retry-After"] == "40"
    three.clock.advance(40)
    assert alerts(three).status_code == 200


def test_a_deleted_alert_is_gone(three: Rig) -> None:
    """An update replaces an alert."""
    three.emulator.graph.delete(graph_alert(2, 0, 0, 0)["id"])
    three.emulator.graph.put(graph_alert(1, 2, NOW - 99, NOW))
    assert ids(alerts(three)) == ["3", "1"]
    assert ids(alerts(three, "status eq 'resolved'")) == ["1"]


# -- hunting queries --------------------------------------------------------------------

TIMES = "datetime(2026-11-21T11:00:00.0000000Z)", "datetime(2026-11-21T12:00:00.0000000Z)"
QUERY = f"DataSecurityEvents | where Timestamp >= {TIMES[0]} and Timestamp < {TIMES[1]}"


def hunt(rig: Rig, query: str = QUERY, timespan: Any = "P30D", **given: Any) -> requests.Response:
    """The answer to a hunting query."""
    body = {"Query": query, "Timespan": timespan}
    given.setdefault("scope", "graph.microsoft.com")
    return ask(rig, "/v1.0/security/runHuntingQuery", method="POST", json=body, **given)


@pytest.fixture
def events(rig: Rig) -> Rig:
    """Events 0 to 3: at both ends of the query's hour, within it, and 31 days ago."""
    for number, at in enumerate((NOW - 3600, NOW, NOW - 60, NOW - 31 * 86_400)):
        rig.emulator.graph.hunting.put("DataSecurityEvents", data_security_event(number, at))
    return rig


@pytest.mark.parametrize(
    ("query", "timespan", "expected"),
    [
        (QUERY, "P30D", [0, 2]),
        (QUERY, "2026-11-21T11:30:00Z/2026-11-21T12:00:00Z", [2]),
        (QUERY, "PT10M", [2]),
        (QUERY.replace("2026-11-21T11", "2026-01-01T11"), "P90D", [0, 2]),
        ("DataSecurityEvents | take 0", "P30D", []),
        ("DataSecurityBehaviors | take 0", "P30D", []),
    ],
)
def test_a_hunting_query_selects(events: Rig, query: str, timespan: str, expected: list[int]) -> None:
    """By its own times, its time span and what Defender still has."""
    answer = hunt(events, query, timespan)
    assert [row["ObjectSize"] - 1_000 for row in answer.json()["results"]] == expected


@pytest.mark.parametrize(
    ("query", "timespan", "said"),
    [
        (QUERY.replace("Events", "Secrets"), "P30D", "Failed to resolve table or column expression named"),
        ("DataSecurityEvents", "P30D", "recognition error"),
        ("DataSecurityEvents | take 5", "P30D", "recognition error"),
        (QUERY, "a month", "request is invalid"),
        (QUERY, None, "request is invalid"),
    ],
)
def test_a_hunting_query_with_an_error_is_refused(
    events: Rig, query: str, timespan: str | None, said: str
) -> None:
    """Also each that the collector does not send."""
    answer = hunt(events, query, timespan)
    assert (answer.status_code, code(answer)) == (400, "BadRequest")
    assert said in answer.json()["error"]["message"]


def test_the_limits_of_hunting_queries(events: Rig) -> None:
    """Missing rows leave no sign; too many bytes, too many queries and a missing right are errors."""
    options = events.emulator.options
    assert hunt(events, token="x").status_code == 401
    options.hunting_rows = 1
    assert len(hunt(events).json()["results"]) == 1
    options.hunting_bytes = 100
    assert "allowed result size" in hunt(events).json()["error"]["message"]
    options.hunting_per_minute = 2
    assert (hunt(events).status_code, alerts(events).status_code) == (429, 200)
    events.clock.advance(60)
    options.may_hunt = False
    assert hunt(events).status_code == 403
