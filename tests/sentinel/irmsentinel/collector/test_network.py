"""The collector's connections cut, slowed and refused: each record arrives, IRMAlerts counts it once."""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from irmcore.delivery.sender import Sender
from irmcore.errors import ConfigurationError, IrmError, WaitError
from irmcore.http.auth import MsalTokens
from irmcore.http.deadlines import TokenHttp
from irmcore.http.outcome import Failure, Outcome, Reply
from irmcore.http.upload import Upload
from irmcore.operations import operations
from irmemulator.faults import Fault
from irmsentinel.azure import ingestion
from irmsentinel.azure.ingestion import IngestionTransport
from irmsentinel.azure.target import Target
from irmsentinel.collector import cursor as feed_cursor
from irmsentinel.collector import records
from irmsentinel.collector.api_client import Account, ApiClient
from irmsentinel.collector.collector import Collector
from irmsentinel.collector.http import Answer, PooledHttp, Unreachable
from irmsentinel.collector.management_api import Feed
from irmsentinel.collector.rate_limit import RateLimiter
from irmsentinel.collector.service import CollectorService
from irmsentinel.collector.settings import CollectorSettings
from irmsentinel.collector.spool import Spool
from irmsentinel.content import artefacts as content
from irmsentinel.content import tables
from irmsentinel.emulators.collector_session import TENANT, read_secret
from irmsentinel.emulators.synthetic_records import alert_record

from tests.fakes.chaos import CONNECTED, ChaosProxy, Weather
from tests.fakes.emulated_faults import azure_fault
from tests.fakes.impostor import WRONGS, Impostor
from tests.sentinel.irmsentinel.collector.collecting import HOUR, NOW, ORIGIN, TABLE, Rig

Made = Callable[..., Rig]
#: Between two cut points of a client alone, and of whole rounds; `make faults` has closer ones.
STRIDE, ROUND_STRIDE = 299, 1499
EACH = pytest.mark.parametrize(
    ("reset", "stride"),
    [
        *((True, STRIDE), (False, STRIDE)),
        *(pytest.param(*pair, marks=pytest.mark.faults) for pair in ((True, 1), (False, 5))),
    ],
)
CLOSE = pytest.mark.parametrize("stride", [ROUND_STRIDE, pytest.param(149, marks=pytest.mark.faults)])
WAYS = pytest.mark.parametrize("way", ["up_cut", "down_cut"])


class Season:
    """Rounds through relays: ``api`` to the Management API, ``out`` to sign-in and ingestion."""

    def __init__(self, rig: Rig, api: ChaosProxy, out: ChaosProxy) -> None:
        self.rig, self.api, self.out = rig, api, out
        self.made: dict[str, tuple[float, str]] = {}

    def settings(self, same: CollectorSettings) -> CollectorSettings:
        """The same settings through the relays, without health rows."""
        target = replace(same.target, endpoint=self.out.url)
        return replace(same, root=self.api.url, target=target, health=None)

    def token(self) -> str:
        """A token for the Management API."""
        found = self.settings(self.rig.settings())
        return ingestion.tokens_for(found.target, f"{found.root}/.default", read_secret).token()

    def collector_service(self) -> CollectorService:
        """A collector as it starts: without a token or an open connection."""
        return self.rig.collector_service(self.settings, connections=2)

    def alert(self) -> None:
        """A new record, at a time that was not read before."""
        self.rig.clock.advance(HOUR / 4)
        record = self.rig.alert(600)
        self.made[record["Id"]] = (self.rig.clock.now() - 600, record["AlertId"])

    def round(self, collector_service: CollectorService) -> IrmError | None:
        """A round as ``collect`` makes it; checks its promises however it ends."""
        trouble = None
        try:
            collector_service.round()
        except IrmError as error:
            trouble = error
        self.check(collector_service)
        return trouble

    def check(self, collector_service: CollectorService) -> None:
        """The cursor is not past what is durable, and the workspace has what counts as acknowledged."""
        if not collector_service.outbox.exists():
            return
        cursor = feed_cursor.load(collector_service.outbox)
        acknowledged = feed_cursor.acknowledged(collector_service.outbox, cursor)
        assert acknowledged <= cursor.collected
        payloads = Path(collector_service.outbox.path).glob("*/**/payload")
        durable = {row["RecordId"] for file in payloads for row in json.loads(file.read_bytes())}
        for name, (created, _) in self.made.items():
            assert created >= cursor.collected or name in durable
            assert created >= acknowledged or name in self.rig.ids()

    def fair(self, collector_service: CollectorService | None = None) -> None:
        """Two hours later, without disturbance, everything has arrived."""
        self.api.weather = self.out.weather = Weather()
        self.rig.clock.advance(2 * HOUR)
        assert self.round(collector_service or self.collector_service()) is None
        assert set(self.rig.ids()) == set(self.made)

    def end(self) -> None:
        """All records are in the table, and each alert counts once."""
        self.fair()
        assert self.rig.alerts() == sorted((alert, 0) for _, alert in self.made.values())


@pytest.fixture
def season(make_rig: Made) -> Iterator[Season]:
    """Relays in front of an emulator without alerts."""
    rig = make_rig(run_kql=False)
    port = int(rig.emulator.url.rsplit(":", 1)[1])
    with ChaosProxy(("127.0.0.1", port)) as api, ChaosProxy(("127.0.0.1", port)) as out:
        yield Season(rig, api, out)


def most(line: ChaosProxy, way: str) -> int:
    """The most bytes that a connection has passed in that direction."""
    return max(passed.up if way == "up_cut" else passed.down for passed in line.passed)


# -- the line is cut --------------------------------------------------------------------


@CLOSE
@WAYS
@pytest.mark.parametrize("what", ["api", "out"])
@pytest.mark.timeout(300)
def test_rounds_whose_connections_are_cut(season: Season, what: str, way: str, stride: int) -> None:
    """Each connection is cut after some bytes: what counts as read is stored, the next round adds more."""
    line = {"api": season.api, "out": season.out}[what]
    season.alert()
    collector_service = season.collector_service()
    assert season.round(collector_service) is None
    last = most(line, way)
    ends = Counter[bool]()
    for number, cut in enumerate([*range(0, last, stride), last - 1]):
        season.alert()
        line.weather = Weather(**{way: cut, "reset": bool(number % 2)})
        trouble = season.round(season.collector_service())
        ends[trouble is None and not set(season.made) - set(season.rig.ids())] += 1
        season.fair()
    assert ends[False] >= 1, "no cut was felt"


@EACH
@WAYS
@pytest.mark.timeout(300)
def test_an_answer_of_the_api_is_complete_or_an_error(
    season: Season, way: str, *, reset: bool, stride: int
) -> None:
    """Cut after any byte, an answer is the service's, or there is an error."""
    many = [alert_record(number, 0, NOW, TENANT) for number in range(16)]
    season.rig.emulator.feed.add(NOW - 600, many)  # several TLS records: of one that is cut, nothing is seen
    feed = season.rig.feed(season.settings)
    (item,) = feed.content(int(NOW) - HOUR, int(NOW) + HOUR)
    url, token = item.uri, season.token()
    feed.close()

    def ask() -> Answer:
        http = PooledHttp(1, ca_file=str(season.rig.emulator.ca_file), proxy=None)
        try:
            return http.request("GET", url, token)
        finally:
            http.close()

    whole = ask()
    assert whole.status == 200
    season.api.wait_until_idle()
    last = season.api.passed[-1].up if way == "up_cut" else season.api.passed[-1].down
    kinds: Counter[str] = Counter()
    for cut in range(0, last, stride * (last // 2_000 + 1)):
        season.api.weather = Weather(**{way: cut, "reset": reset})
        try:
            answer = ask()
        except Unreachable as trouble:
            kinds[trouble.kind] += 1
        else:
            kinds["answer"] += 1
            # Where the connection's end counts as the headers', they do not say how long the body is.
            assert answer.body == whole.body or "content-length" not in answer.headers, cut
    assert kinds["reset"] > 1, kinds
    assert set(kinds) <= {"reset", "refused", "protocol", "tls", "answer"}, kinds


class Uploads:
    """Uploads of one row each through a relay, with their outcomes."""

    def __init__(self, season: Season) -> None:
        self._season = season
        target = season.settings(season.rig.settings()).target
        self._url = ingestion.service(target, read_secret).url(target.destination.address)
        self._transport = IngestionTransport(ca_file=target.ca_file)
        self._token = ingestion.tokens_for(target, ingestion.SCOPES[target.cloud], read_secret).token()
        self.outcomes: list[Outcome] = []

    def send(self, weather: Weather, deadline: float = 10.0, url: str = "") -> Outcome:
        """Upload one more row in this weather."""
        self._season.out.weather = weather
        body = json.dumps([{"RecordId": str(len(self.outcomes))}]).encode()
        upload = Upload(
            url or self._url, self._token, "", "application/json", io.BytesIO(body), len(body), deadline
        )
        self.outcomes.append(self._transport.post(upload, lambda: None))
        return self.outcomes[-1]

    def check(self) -> Counter[str]:
        """The cursor is not past what is durable, and the workspace has what counts as acknowledged."""
        self._season.out.wait_until_idle()
        time.sleep(0.3)  # the emulator's own threads end a moment after the connections
        kept = Counter(int(row["RecordId"]) for row in self._season.rig.emulator.ingestion.rows[TABLE])
        kinds: Counter[str] = Counter()
        for number, outcome in enumerate(self.outcomes):
            if isinstance(outcome, Reply):
                kinds["reply"] += 1
                assert (outcome.status, kept[number]) == (204, 1), number
            else:
                kinds[f"committed {outcome.committed}"] += 1
                kinds["lost"] += kept[number]
                assert kept[number] <= int(outcome.committed), (number, outcome)
        return kinds


@EACH
@WAYS
@pytest.mark.timeout(300)
def test_an_upload_cut_after_any_byte(season: Season, way: str, *, reset: bool, stride: int) -> None:
    """What counts as sent is in the table, and what counts as not sent is not. The rest is in doubt."""
    uploads = Uploads(season)
    assert isinstance(uploads.send(Weather()), Reply)
    season.out.wait_until_idle()
    last = season.out.passed[-1].up if way == "up_cut" else season.out.passed[-1].down
    cuts = [*range(0, last, stride), *range(max(0, last - 100), last, max(stride // 10, 1))]
    for cut in cuts:
        uploads.send(Weather(**{way: cut, "reset": reset}))
    kinds = uploads.check()
    # Only the last 64 bytes follow the COMMIT; of a cut just before them either may be recorded.
    in_the_tail = sum(cut > last - 64 for cut in cuts)
    assert kinds["committed True"] >= (in_the_tail if way == "up_cut" else 4), kinds
    if way == "down_cut":
        assert kinds["lost"], "what the doubt is for"


# -- it hangs, or drips -----------------------------------------------------------------

SLOW = [
    Weather(drip=0.1),
    Weather(up_cut=0, hang=True),
    Weather(down_cut=0, hang=True),
    Weather(up_cut=700, hang=True),
    Weather(down_cut=1500, hang=True),
]


def test_a_request_of_the_api_ends_at_its_deadline(season: Season) -> None:
    """However slow the answer, the request times out, and its connection is not used again."""
    http = PooledHttp(1, ca_file=str(season.rig.emulator.ca_file), proxy=None, deadline=0.4)
    url = f"{season.api.url}/api/v1.0/{TENANT}/activity/feed/subscriptions/list"
    for weather in SLOW:
        http.close()
        season.api.weather = weather
        begin = time.monotonic()
        with pytest.raises(Unreachable, match="timeout"):
            http.request("GET", url, "a-token")
        assert time.monotonic() - begin < 4, weather
        season.api.weather = Weather()
        assert http.request("GET", url, "a-token").status == 401
    season.rig.emulator.faults.next(azure_fault("list", 200, body=b"[]" + b" " * 500, drip=0.05))
    begin = time.monotonic()
    with pytest.raises(Unreachable, match="timeout"):
        http.request("GET", url, season.token())
    assert time.monotonic() - begin < 4, "no time-out between two bytes ends this"
    http.close()


def test_the_second_request_of_a_connection_ends_at_its_deadline_too(season: Season) -> None:
    """A connection that serves several requests has a deadline for each of them."""
    url = f"{season.api.url}/api/v1.0/{TENANT}/activity/feed/subscriptions/list"

    def connected() -> PooledHttp:
        """A connection that answered one request. A busy machine may miss the deadline of the first try."""
        for _ in range(10):
            http = PooledHttp(1, ca_file=str(season.rig.emulator.ca_file), proxy=None, deadline=1.0)
            try:
                assert http.request("GET", url, "a-token").status == 401
            except Unreachable:
                http.close()
            else:
                return http
        pytest.fail("no request was answered within its deadline")

    connected().close()
    season.api.wait_until_idle()  # a piece is counted after it was forwarded
    season.api.weather = Weather(down_cut=most(season.api, "down_cut") + 20, hang=True)
    http = connected()
    connections = len(season.api.passed)
    begin = time.monotonic()
    with pytest.raises(Unreachable, match="timeout"):
        http.request("GET", url, "a-token")
    assert 0.5 < time.monotonic() - begin < 4
    assert len(season.api.passed) == connections
    http.close()


def test_an_upload_ends_at_its_deadline(season: Season) -> None:
    """However slow the answer, the upload times out, in doubt unless nothing can have arrived."""
    uploads = Uploads(season)
    for weather in SLOW:
        begin = time.monotonic()
        outcome = uploads.send(weather, deadline=0.4)
        assert time.monotonic() - begin < 4, weather
        assert isinstance(outcome, Failure)
        assert outcome.kind == "timeout"
        assert season.rig.ids() == [] or outcome.committed
    season.rig.emulator.faults.next(azure_fault("upload", 500, body=b" " * 500, drip=0.05))
    begin = time.monotonic()
    assert uploads.send(Weather(), deadline=0.4) == Failure("timeout", committed=True)
    assert time.monotonic() - begin < 4, "no time-out between two bytes ends this"


class Hasty:
    """A collector and a sender with a deadline of ``seconds`` for every request."""

    def __init__(self, season: Season, seconds: float) -> None:
        self._season = season
        settings = season.settings(season.rig.settings(connections=2))
        target, clock = settings.target, season.rig.clock
        self.collector_service = season.collector_service()  # for its outbox, and what it says of it
        client = ApiClient(
            Account(settings.root, target.tenant_id, settings.publisher_id),
            PooledHttp(2, ca_file=target.ca_file, proxy=None, deadline=seconds),
            self._tokens(target, f"{settings.root}/.default", seconds),
            limiter=RateLimiter(2000, clock),
            clock=clock,
        )
        feed = Feed(client)
        known = tables.shapes(tables.load(content.root() / "tables"))
        self._collector = Collector(
            feed,
            RateLimiter(2000, clock),
            Spool(self.collector_service.outbox, self.collector_service.outbox),
            target,
            lambda found: [records.row(record, known[TABLE][""].columns) for record in found],
            settings.options,
            ORIGIN,
        )
        scope = ingestion.SCOPES[target.cloud]
        service = replace(
            ingestion.service(target, read_secret),
            deadline=seconds,
            tokens=self._tokens(target, scope, seconds),
        )
        self._sender = Sender(self.collector_service.outbox, service)

    def _tokens(self, target: Target, scope: str, seconds: float) -> MsalTokens:
        return MsalTokens(
            login=target.login,
            tenant_id=target.tenant_id,
            app_id=target.app_id,
            secret=lambda: read_secret(target.credential),
            scope=scope,
            http=TokenHttp(ca_file=target.ca_file, proxy=None, deadline=seconds),
            known_login=False,
        )

    def round(self) -> IrmError | None:
        """A round as ``collect`` makes it; checks its promises however it ends."""
        trouble = None
        try:
            self._collector.run()
        except IrmError as error:
            trouble = error
        self._sender.drain()
        self._season.check(self.collector_service)
        return trouble


@pytest.mark.parametrize("what", ["api", "out"])
def test_a_round_on_a_slow_connection_ends(season: Season, what: str) -> None:
    """Sign-in, API or workspace hang or drip: the round ends, and the next round delivers what it missed."""
    for weather in (Weather(up_cut=0, hang=True), Weather(drip=0.1)):
        season.alert()
        hasty = Hasty(season, 0.3)
        {"api": season.api, "out": season.out}[what].weather = weather
        begin = time.monotonic()
        assert isinstance(hasty.round(), WaitError)
        assert time.monotonic() - begin < 15
        season.fair()


def test_a_hanging_workspace_does_not_stop_collecting(season: Season) -> None:
    """Its uploads end at their deadline. What is collected meanwhile waits, and arrives."""
    hasty = Hasty(season, 0.3)
    season.alert()
    assert hasty.round() is None
    season.out.weather = Weather(up_cut=0, hang=True)
    for _ in range(3):
        season.rig.clock.advance(HOUR)
        season.alert()
        assert hasty.round() is None
    assert len(season.rig.ids()) == 1
    season.end()


# -- TLS, redirects, proxies ------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:ssl:DeprecationWarning")  # an old protocol is the case
@pytest.mark.parametrize("wrong", WRONGS)
def test_an_untrusted_server_gets_nothing(season: Season, tmp_path: Path, wrong: str) -> None:
    """Another name, a wrong date, another CA, TLS 1.1: no token, secret or row is sent."""
    uploads = Uploads(season)
    with Impostor(tmp_path, wrong) as there:
        http = PooledHttp(1, ca_file=str(there.ca_file), proxy=None, deadline=5.0)
        with pytest.raises(Unreachable, match="tls"):
            http.request("GET", f"{there.url}/", "a-token")
        http.close()
        uploads._transport = IngestionTransport(ca_file=str(there.ca_file))  # noqa: SLF001
        url = f"{there.url}/dataCollectionRules/dcr-1/streams/Custom-X"
        assert uploads.send(Weather(), url=url) == Failure("tls", committed=False)

        def astray(same: CollectorSettings) -> CollectorSettings:
            target = replace(same.target, endpoint=there.url, ca_file=str(there.ca_file))
            return replace(same, target=target, health=None)

        with pytest.raises(WaitError, match="certificate"):
            season.rig.collector_service(astray).round()
    assert there.connections >= 3
    assert there.heard == b""


@pytest.mark.parametrize("where", ["discovery", "token", "list", "content", "blob", "upload"])
def test_no_redirect_of_the_collector_is_followed(season: Season, tmp_path: Path, where: str) -> None:
    """No token, secret or row goes where an answer points; no connection is made there."""
    with Impostor(tmp_path) as other:
        for status in (301, 302, 303, 307, 308):
            season.alert()
            to = {"Location": f"{other.url}/elsewhere"}
            season.rig.emulator.faults.next(azure_fault(where, status, headers=to), 20)
            trouble = season.round(season.collector_service())
            assert trouble is not None or set(season.made) - set(season.rig.ids())
            season.rig.emulator.faults.clear()
            season.fair()
    assert (other.connections, other.heard) == (0, b"")


def test_everything_goes_through_the_proxy(season: Season) -> None:
    """All rows arrive, and the proxy sees no token, secret or row."""
    season.alert()
    season.out.weather = Weather(answer=CONNECTED)
    collector_service = season.rig.collector_service(lambda same: via(season, same))
    collector_service.round()
    assert set(season.rig.ids()) == set(season.made)
    asked = b"".join(passed.asked for passed in season.out.passed)
    assert asked.count(b"CONNECT ") == len(season.out.passed) >= 6
    for hidden in (b"uthorization", season.rig.emulator.secret.encode(), b"activity/feed", b"streams"):
        assert hidden not in asked


def via(season: Season, same: CollectorSettings) -> CollectorSettings:
    """Settings with the relay ``out`` as their proxy."""
    return replace(same, target=replace(same.target, proxy=season.out.proxy), health=None)


REFUSALS = [
    b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\n\r\n",
    b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.invalid/\r\n\r\n",
    b"220 mail.example ESMTP\r\n",
    b"",
]


@pytest.mark.parametrize("signed_in", [True, False], ids=["api-and-upload", "token"])
def test_a_refusing_proxy_loses_no_record(season: Season, *, signed_in: bool) -> None:
    """Whatever it answers to CONNECT, all records arrive once it allows connections."""
    season.out.weather = Weather(answer=CONNECTED)
    collector_service = season.rig.collector_service(lambda same: via(season, same))
    season.alert()
    season.round(collector_service)
    for answer in REFUSALS:
        if not signed_in:
            collector_service = season.rig.collector_service(lambda same: via(season, same))
        season.alert()
        season.out.weather = Weather(answer=answer)
        asked = len(season.out.passed)
        trouble = season.round(collector_service)
        assert trouble is not None
        assert set(season.made) - set(season.rig.ids())
        if signed_in and b" 407 " in answer:
            assert isinstance(trouble, ConfigurationError)
            assert len(season.out.passed) - asked == 1, "a proxy that wants a sign-in is not asked again"
        season.out.weather = Weather(answer=CONNECTED)
        season.rig.clock.advance(2 * HOUR)
        assert season.round(collector_service) is None
        assert set(season.rig.ids()) == set(season.made)


# -- what answers is not the service ----------------------------------------------------

NONE_OF_ITS_OWN = [b"", b"null", b"{}", b"[null]", b'[{"contentType": 5}]', b"<html>\xfc", b"\x00"]
ANSWERED = [
    (where, status)
    for where in ("discovery", "token", "list", "content", "blob", "upload")
    for status in (200, 403, 500, 503)
]


@pytest.mark.parametrize(
    ("where", "status"),
    [
        pytest.param(
            where,
            status,
            marks=() if status == 200 or (where, status) == ("upload", 503) else pytest.mark.faults,
        )
        for where, status in ANSWERED
    ],
)
def test_answers_of_something_else_end_the_round_with_an_error(
    season: Season, where: str, status: int
) -> None:
    """Empty, other JSON, HTML, bytes that are not text: nothing is lost."""
    collector_service = season.collector_service()
    for body in NONE_OF_ITS_OWN:
        if where == "blob" and status == 200 and body.startswith(b"["):
            continue  # a list is a blob, whatever is in it
        season.alert()
        season.rig.emulator.faults.next(azure_fault(where, status, body=body), 20)
        if where in ("discovery", "token"):
            collector_service = season.collector_service()  # which has no token yet
        assert season.round(collector_service) is not None or set(season.made) - set(season.rig.ids())
        season.rig.emulator.faults.clear()
        season.rig.clock.advance(2 * HOUR)
        operations.resume(collector_service.outbox, who="me")
    season.fair(collector_service)


def test_a_page_in_another_encoding_counts_by_its_status(season: Season) -> None:
    """The batch waits, and the other batches are sent."""
    uploads = Uploads(season)
    for status in (200, 403, 503):
        season.rig.emulator.faults.next(
            azure_fault("upload", status, body=b"<html>\xfc</html>", headers={"Retry-After": "7"})
        )
        outcome = uploads.send(Weather())
        assert isinstance(outcome, Reply)
        assert (outcome.status, outcome.wait, outcome.page) == (status, 7.0, status == 200)


# -- away for hours ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "weather"),
    [
        ("api", Weather(down_cut=200, reset=False)),
        ("out", Weather(up_cut=0)),
        pytest.param("api", Weather(up_cut=0), marks=pytest.mark.faults),
        pytest.param("out", Weather(down_cut=200, reset=False), marks=pytest.mark.faults),
    ],
    ids=["api-cut", "out-refused", "api-refused", "out-cut"],
)
def test_an_outage_of_thirty_hours(season: Season, what: str, weather: Weather) -> None:
    """Without a connection to the API or to the workspace: the first good round delivers everything."""
    collector_service = season.collector_service()
    season.alert()
    season.round(collector_service)
    {"api": season.api, "out": season.out}[what].weather = weather
    for _ in range(10):
        season.rig.clock.advance(2.75 * HOUR)
        season.alert()
        season.round(collector_service)
    assert len(season.rig.ids()) == 1
    season.end()


def test_hours_in_which_every_answer_of_the_workspace_is_lost(season: Season) -> None:
    """Rows arrive without an acknowledgement: each is sent again at most once an hour, and counted once."""
    collector_service = season.collector_service()
    season.alert()
    season.round(collector_service)
    season.rig.emulator.faults.next(Fault("upload", close_without_reply=True, keep=True), 500)
    for _ in range(24):
        season.rig.clock.advance(HOUR / 4)
        season.alert()
        season.round(collector_service)
    assert len(season.rig.emulator.ingestion.uploads) <= 1 + 2 + 3 + 12
    season.rig.emulator.faults.clear()
    season.end()
    assert max(Counter(season.rig.ids()).values()) > 1, "what IRMAlerts is for"
