"""The emulated Management API and Logs Ingestion, as any client sees them over HTTPS."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from irmsentinel.emulators.collector_session import APP, RULES, TENANT

from tests.fakes.emulated_faults import azure_fault
from tests.sentinel.irmsentinel.collector.collecting import DAY, HOUR, NOW, TABLE, Rig

FEED = f"/api/v1.0/{TENANT}/activity/feed"
RULE = f"/dataCollectionRules/{RULES[TABLE]}/streams/Custom-{TABLE}?api-version=2023-01-01"


def ask(
    rig: Rig, path: str, *, scope: str = "manage.office.com", token: str | None = None, **more: Any
) -> requests.Response:
    """A plain request, with a token for ``scope``."""
    form = {
        "grant_type": "client_credentials",
        "client_id": APP,
        "client_secret": rig.emulator.secret,
        "scope": f"https://{scope}/.default",
    }
    verify = str(rig.emulator.ca_file)
    if token is None:
        url = f"{rig.emulator.url}/{TENANT}/oauth2/v2.0/token"
        token = requests.post(url, data=form, verify=verify, timeout=20).json()["access_token"]
    method = more.pop("method", "GET")
    headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
    return requests.request(
        method, f"{rig.emulator.url}{path}", headers=headers, verify=verify, timeout=20, **more
    )


def code(answer: requests.Response) -> str:
    """The error code in an answer."""
    return str(answer.json()["error"]["code"])


def window(start: str, end: str) -> str:
    """The address of a list of content."""
    times = f"&startTime={start}&endTime={end}"
    return f"{FEED}/subscriptions/content?contentType=Audit.General{times}"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-11-20T12:00:00", "2026-11-21T12:00:00", ""),
        ("2026-11-20", "2026-11-21", ""),
        ("2026-11-20T11:59:59", "2026-11-21T12:00:00", "AF20030"),
        ("2026-11-14T11:00:00", "2026-11-14T12:00:00", "AF20030"),
        ("2026-11-20T12:00:00", "", "AF20030"),
        ("2026-11-20T12:00:00.5", "2026-11-21T12:00:00", "AF20002"),
        ("2026-11-20T12:00:00Z", "2026-11-21T12:00:00", "AF20002"),
    ],
)
def test_windows_are_held_to_the_reference(rig: Rig, start: str, end: str, expected: str) -> None:
    """A window has both times or neither, in whole seconds; at most 24 hours, and at most 7 days back."""
    answer = ask(rig, window(start, end))
    assert answer.json() == [] if not expected else code(answer) == expected


def test_a_window_has_its_start_and_not_its_end(rig: Rig) -> None:
    """The list has content with start <= contentCreated < end."""
    rig.emulator.feed.add(NOW - 2 * HOUR, [], id_="start")
    rig.emulator.feed.add(NOW - HOUR, [], id_="end")
    listed = ask(rig, window("2026-11-21T10:00:00", "2026-11-21T11:00:00")).json()
    assert [entry["contentId"] for entry in listed] == ["start"]
    assert listed[0]["contentCreated"] == "2026-11-21T10:00:00.000Z"
    assert listed[0]["contentExpiration"] == "2026-11-28T10:00:00.000Z"


def test_content_expires_after_seven_days(rig: Rig) -> None:
    """Content older than that is neither listed nor returned."""
    rig.emulator.feed.add(NOW - 7 * DAY, [], id_="old")
    assert code(ask(rig, f"{FEED}/audit/old")) == "AF20051"
    assert code(ask(rig, f"{FEED}/audit/none")) == "AF20050"


def test_requests_without_the_right_are_refused(make_rig: Callable[..., Rig]) -> None:
    """A wrong token, tenant, subscription or publisher is refused with the API's error."""
    rig = make_rig(subscribed=False)
    assert ask(rig, f"{FEED}/subscriptions/list", token="x").status_code == 401
    assert ask(rig, f"{FEED}/subscriptions/list", scope="monitor.azure.com").status_code == 401
    assert code(ask(rig, "/api/v1.0/other/activity/feed/subscriptions/list")) == "AF20010"
    assert code(ask(rig, f"{FEED}/subscriptions/content?contentType=Audit.General")) == "AF20022"
    assert code(ask(rig, f"{FEED}/subscriptions/list?PublisherIdentifier=me")) == "AF20002"


def test_too_many_requests_are_refused(make_rig: Callable[..., Rig]) -> None:
    """Throttling has the code AF429, and not always the status 429."""
    rig = make_rig(per_minute=2)
    answers = [ask(rig, f"{FEED}/subscriptions/list") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 403]
    assert code(answers[2]) == "AF429"


def test_uploads_are_held_to_the_limit_raw_and_compressed(rig: Rig) -> None:
    """A payload that is too large is refused although it compresses well."""
    body = json.dumps([{"Name": "x" * 1_000_000}]).encode()
    for data, headers in ((body, {}), (gzip.compress(body), {"Content-Encoding": "gzip"})):
        answer = ask(rig, RULE, scope="monitor.azure.com", method="POST", data=data, headers=headers)
        assert (answer.status_code, code(answer)) == (413, "ContentLengthLimitExceeded")
    assert rig.ids() == []


def test_a_fault_spoils_one_request_at_its_endpoint(rig: Rig) -> None:
    """A fault spoils one request that has its endpoint and its pattern; the next reply is the true one."""
    rig.emulator.faults.next(azure_fault("list", 500, "AF50000"))
    rig.emulator.faults.next(azure_fault("content", 500, "AF50000", matching="nextPage"))
    assert code(ask(rig, f"{FEED}/subscriptions/list")) == "AF50000"
    assert ask(rig, f"{FEED}/subscriptions/list").status_code == 200
    assert ask(rig, window("2026-11-20", "2026-11-21")).json() == []
