"""The client of the Management Activity API against the emulator, over HTTPS."""

import gzip
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from irmcore.http.auth import TokenTrouble
from irmemulator.entra import TOKEN_PATH
from irmemulator.faults import Fault
from irmsentinel.collector.api_client import Account, ApiClient
from irmsentinel.collector.api_errors import CODES, ErrorKind, meaning
from irmsentinel.collector.http import MAX_BYTES, SMALL_BYTES, Answer, Unreachable
from irmsentinel.collector.management_api import HOSTS, ApiError, ContentItem, _text
from irmsentinel.collector.rate_limit import RateLimiter, Stopped
from irmsentinel.emulators.collector_session import TENANT

from tests.fakes.clock import FakeClock
from tests.fakes.connector import Tokens
from tests.fakes.emulated_faults import azure_fault
from tests.sentinel.irmsentinel.collector.collecting import DAY, HOUR, NOW, Rig

Made = Callable[..., Rig]
START, END = int(NOW) - DAY, int(NOW)


def test_start_stop_and_list(make_rig: Made) -> None:
    """Starting or stopping twice is not an error."""
    rig = make_rig(subscribed=False)
    feed = rig.feed()
    assert feed.subscriptions() == []
    assert [feed.start(), feed.start()] == [True, False]
    assert [(s.content_type, s.status) for s in feed.subscriptions()] == [("Audit.General", "enabled")]
    assert [feed.stop(), feed.stop()] == [True, False]


def test_every_request_has_the_publisher(rig: Rig) -> None:
    """Also for a next page and for a blob's own URL. Without it, a shared quota applies."""
    for hours in range(1, 7):
        rig.alert(hours * HOUR)
    rig.emulator.options.page_size = 2
    feed = rig.feed()
    feed.check()
    for item in feed.content(START, END):
        feed.records(item)
    assert dict(rig.emulator.feed.publishers) == {TENANT: 1 + 3 + 6}


@pytest.mark.parametrize("header", ["NextPageUri", "NextPageUrl", "nextpageuri"])
def test_every_page_is_read_once_and_in_order(make_rig: Made, header: str) -> None:
    """Other collectors drop the last page or read the first twice. The header has two documented names."""
    rig = make_rig(page_size=3, next_page=header)
    made = [rig.emulator.feed.add(NOW - minutes * 60, []).id for minutes in range(10, 0, -1)]
    assert [item.id for item in rig.feed().content(START, END)] == made


def test_a_window_is_written_in_whole_seconds_of_24_hours() -> None:
    """Other collectors write 12-hour times. The API accepts no fractions of a second."""
    assert _text(int(NOW) + HOUR + 5) == "2026-11-21T13:00:05"


def test_a_list_that_leads_back_ends(rig: Rig) -> None:
    """A next page that was read before is an error, not an endless loop."""
    address = f"{rig.emulator.url}/api/v1.0/{TENANT}/activity/feed/subscriptions/content?nextPage=1"
    rig.emulator.faults.next(azure_fault("content", 200, body=b"[]", headers={"NextPageUri": address}), 9)
    with pytest.raises(ApiError, match="page-loop"):
        list(rig.feed().content(START, END))


@pytest.mark.parametrize(
    "there", ["https://evil.example/x", "http://localhost:1/x", "https://localhost:1/x", "x"]
)
def test_the_token_is_sent_to_no_other_host(rig: Rig, there: str) -> None:
    """Neither a content URL nor a next page can send it elsewhere; no request goes there."""
    feed = rig.feed()
    item = ContentItem("id", f"{there}/api/v1.0/{TENANT}/activity/feed/audit/1", NOW)
    with pytest.raises(ApiError, match="foreign-address"):
        feed.records(item)
    rig.emulator.faults.next(azure_fault("content", 200, body=b"[]", headers={"NextPageUri": there}))
    with pytest.raises(ApiError, match="foreign-address"):
        list(feed.content(START, END))


def test_another_tenants_path_on_the_same_host_is_refused(rig: Rig) -> None:
    """The URL must be in this tenant's feed."""
    item = ContentItem("id", f"{rig.emulator.url}/api/v1.0/another/activity/feed/audit/1", NOW)
    with pytest.raises(ApiError, match="foreign-address"):
        rig.feed().records(item)


def test_a_redirect_is_not_followed(rig: Rig) -> None:
    """It would carry the token elsewhere."""
    rig.emulator.faults.next(azure_fault("list", 302, headers={"Location": "https://localhost:1/"}), 5)
    with pytest.raises(ApiError, match="http-302"):
        rig.feed().subscriptions()


AGAIN = {
    "throttled with 403": azure_fault("list", 403, "AF429"),
    "throttled with 429": azure_fault("list", 429, "AF429", headers={"Retry-After": "7"}),
    "an internal error": azure_fault("list", 500, "AF50000"),
    "an internal error with 400": azure_fault("list", 400, "AF50000"),
    "an error object with 200": azure_fault("list", 200, "AF50000"),
    "no array with 200": azure_fault("list", 200, body=b'{"value": []}'),
    "a proxy's page": azure_fault(
        "list", 200, body=b"<html>sign in</html>", headers={"Content-Type": "text/html"}
    ),
    "half a document": azure_fault("list", 200, body=b'[{"contentType":'),
    "a gateway's 502": azure_fault("list", 502, body=b"Bad Gateway"),
    "a connection that ends": Fault("list", close_without_reply=True),
}


@pytest.mark.parametrize("fault", AGAIN.values(), ids=AGAIN.keys())
def test_a_temporary_error_is_retried(rig: Rig, fault: Fault) -> None:
    """The retries wait, and the first success counts."""
    rig.emulator.faults.next(fault)
    assert len(rig.feed().subscriptions()) == 1
    assert rig.clock.now() > NOW


def test_all_requests_wait_for_retry_after(rig: Rig) -> None:
    """No request begins before the time that the service named."""
    rig.emulator.faults.next(azure_fault("list", 429, "AF429", headers={"Retry-After": "47"}))
    rig.feed().subscriptions()
    assert 47 <= rig.clock.now() - NOW < 49


@pytest.mark.parametrize("fault", AGAIN.values(), ids=AGAIN.keys())
def test_an_error_that_persists_is_raised(rig: Rig, fault: Fault) -> None:
    """After five attempts, with the kind that the next run retries."""
    rig.emulator.faults.next(fault, 5)
    with pytest.raises(ApiError) as raised:
        rig.feed().subscriptions()
    assert raised.value.kind in (ErrorKind.WAIT, ErrorKind.THROTTLED)
    assert rig.emulator.count("subscriptions/list") == 5


def test_a_failed_start_without_a_body_is_an_error(rig: Rig) -> None:
    """The status alone is enough; otherwise the subscription would seem to exist."""
    rig.emulator.faults.next(azure_fault("start", 500), 5)
    with pytest.raises(ApiError, match="http-500"):
        rig.feed().start()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "AF20022", ErrorKind.SUBSCRIBE),
        (403, "AF10001", ErrorKind.SETTINGS),
        (500, "AF20051", ErrorKind.GONE),
    ],
)
def test_the_code_decides_and_not_the_status(rig: Rig, status: int, code: str, kind: ErrorKind) -> None:
    """A permanent error is not retried."""
    rig.emulator.faults.next(azure_fault("list", status, code))
    with pytest.raises(ApiError, match=code) as raised:
        rig.feed().subscriptions()
    assert raised.value.kind is kind
    assert rig.emulator.count("subscriptions/list") == 1


def test_each_code_has_a_message_and_a_next_step() -> None:
    """The error says what to do."""
    for code, what in CODES.items():
        assert what.message, code
        assert what.next_step or what.kind in (ErrorKind.GONE, ErrorKind.ALREADY), code
    assert meaning("AF77777", 400).kind is ErrorKind.SETTINGS
    assert meaning("AF77777", 503).kind is ErrorKind.WAIT


def test_a_token_that_is_refused_is_renewed_once_for_all_threads(rig: Rig) -> None:
    """A rotated secret or an expired token costs one sign-in, not one per connection."""
    feed = rig.feed()
    item = next(feed.content(START, END)) if rig.alert(HOUR) else None
    assert item is not None
    rig.emulator.entra.revoke_tokens()
    threads = [threading.Thread(target=feed.records, args=(item,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(TOKEN_PATH.fullmatch(request.path) is not None for request in rig.emulator.requests) == 2
    assert feed.records(item)


def test_a_wrong_secret_is_reported_with_entras_code(rig: Rig) -> None:
    """No request goes to the API without a token."""
    feed = rig.feed()
    (rig.emulator.directory / "secret").write_text("emulator-only-another")
    with pytest.raises(TokenTrouble, match="AADSTS7000215"):
        feed.subscriptions()
    assert rig.emulator.count("/activity/") == 0


def test_the_check_reports_a_missing_subscription(make_rig: Made) -> None:
    """A missing subscription and one that an administrator disabled are two errors."""
    rig = make_rig(subscribed=False)
    with pytest.raises(ApiError, match="AF20022"):
        rig.feed().check()
    rig.emulator.feed.disable()
    with pytest.raises(ApiError, match="AF20023"):
        rig.feed().check()


def test_the_services_clock_counts(rig: Rig) -> None:
    """With a wrong local clock, the API would refuse the windows, or they would be empty."""
    feed = rig.feed()
    rig.emulator.options.now = lambda: NOW - 5 * DAY
    assert feed.check() == NOW - 5 * DAY


def test_an_answer_without_end_is_read_once_more_alone(rig: Rig) -> None:
    """32 KB of gzip become more than the largest answer; it would be the same a third time."""
    bomb = gzip.compress(b"[" + b" " * MAX_BYTES + b"]")
    rig.emulator.faults.next(azure_fault("list", 200, body=bomb, headers={"Content-Encoding": "gzip"}), 5)
    with pytest.raises(ApiError, match="too-large") as raised:
        rig.feed().subscriptions()
    assert "proxy" in raised.value.next_step
    assert rig.emulator.count("subscriptions/list") == 2


def test_a_long_blob_is_complete(rig: Rig) -> None:
    """It is longer than those that are read at the same time."""
    records = [{"Id": "1", "Text": "x" * SMALL_BYTES}]
    rig.emulator.feed.add(NOW - HOUR, json.dumps(records).encode())
    feed = rig.feed()
    assert feed.records(next(feed.content(START, END))) == records


class LongAnswers:
    """Answers of ``size`` bytes, and how many requests for whole ones are at work at a time, at most."""

    def __init__(self, size: int) -> None:
        self.size, self.at_work, self.most, self._lock = size, 0, 0, threading.Lock()

    def request(self, method: str, url: str, token: str, max_bytes: int) -> Answer:
        if max_bytes < self.size:
            raise Unreachable("too-large")
        with self._lock:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        time.sleep(0.01)  # so that another one would be at work, too
        with self._lock:
            self.at_work -= 1
        return Answer(200, {}, b"[" + b" " * (self.size - 2) + b"]")

    def close(self) -> None:
        """There is no connection."""


def test_long_answers_are_read_one_at_a_time(rig: Rig) -> None:
    """24 connections with 32 MiB each would not fit into the memory of a container or a Function app."""
    http = LongAnswers(SMALL_BYTES + 1)
    limiter = RateLimiter(1_000_000, rig.clock)
    client = ApiClient(
        Account("https://here", TENANT, TENANT), http, Tokens(), limiter=limiter, clock=rig.clock
    )
    url = f"https://here/api/v1.0/{TENANT}/activity/feed/audit/1"
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(client.request, "GET", url, {}) for _ in range(16)]
    assert [one.result()[1] for one in found] == [[]] * 16
    assert http.most == 1


def test_numbers_that_json_lacks_become_null(rig: Rig) -> None:
    """NaN would make an upload invalid."""
    blob = rig.emulator.feed.add(NOW - HOUR, json.dumps([{"Id": "1", "X": float("nan")}]).encode())
    feed = rig.feed()
    assert feed.records(next(feed.content(START, END))) == [{"Id": "1", "X": None}]
    assert blob.id


def test_the_hosts_are_the_four_of_the_reference() -> None:
    """A typo here would send tokens elsewhere."""
    assert sorted(HOSTS.values()) == [
        "https://manage-gcc.office.com",
        "https://manage.office.com",
        "https://manage.office365.us",
        "https://manage.protection.apps.mil",
    ]


def test_no_more_than_the_allowed_requests_begin_in_any_minute() -> None:
    """The first requests need not wait; the others wait until the window has passed."""
    clock = FakeClock()
    limiter = RateLimiter(5, clock)
    begun = []
    for _ in range(17):
        limiter.acquire()
        begun.append(clock.monotonic())
    assert begun[:5] == [0.0] * 5
    assert all(later - earlier >= 60 for earlier, later in zip(begun, begun[5:], strict=False))
    assert begun[-1] < 185


def test_a_stopped_rate_limiter_ends_a_wait() -> None:
    """A failed run does not wait for its threads' pauses, and the next run starts afresh."""
    clock = FakeClock()
    limiter = RateLimiter(1, clock)
    limiter.pause(3600)
    limiter.stop()
    with pytest.raises(Stopped):
        limiter.acquire()
    with pytest.raises(Stopped):
        limiter.sleep(10)
    limiter.restart()
    limiter.acquire()
    assert clock.monotonic() >= 3600
