"""The connection to the service is cut, slowed and refused: rows arrive once at most, no loss is silent."""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from irmcore.delivery import circuit_breaker
from irmcore.delivery.breaker_store import load_breaker, store_breaker
from irmcore.delivery.connection import Connection
from irmcore.http.auth import MsalTokens
from irmcore.http.credentials import read
from irmcore.http.deadlines import TokenHttp
from irmcore.http.outcome import Failure, Outcome, Reply
from irmcore.http.upload import HttpsTransport, Upload
from irmcore.outbox.transitions import write_state
from irmemulator.faults import Fault
from irmemulator.settings import Options

from tests.fakes.chaos import CONNECTED, ChaosProxy, Weather
from tests.fakes.impostor import WRONGS, Impostor
from tests.with_emulator.connector import HEADER, Rig, row

#: Between two cut points in `make test`; `make faults` tries each.
STRIDE = 67
EACH = pytest.mark.parametrize("stride", [STRIDE, pytest.param(1, marks=pytest.mark.faults)])


@pytest.fixture
def line(rig: Rig) -> Iterator[ChaosProxy]:
    """A relay in front of the rig's emulator."""
    with ChaosProxy(("127.0.0.1", int(rig.emulator.url.rsplit(":", 1)[1]))) as proxy:
        yield proxy


class Uploads:
    """Uploads of one row each through a bad connection, with their outcomes."""

    def __init__(self, rig: Rig, line: ChaosProxy) -> None:
        self._rig, self._line = rig, line
        self._token = rig.sender()._service.tokens.token()  # noqa: SLF001 - one sign-in for all
        self._transport = HttpsTransport(ca_file=str(rig.emulator.ca_file), user_agent="tests")
        self.outcomes: list[Outcome] = []
        self.committed: list[bool] = []

    def send(self, weather: Weather, deadline: float = 5.0) -> Outcome:
        """Upload one more row in this weather."""
        number = len(self.outcomes)
        content = f"{HEADER}\r\nuser{number}@contoso.com,x,High,1,2026-11-20T08:00:00Z,Dropbox,,\r\n".encode()
        url = f"{self._line.url}/api/signals?jobid={self._rig.job}"
        upload = Upload(url, self._token, "rows.csv", "text/csv", io.BytesIO(content), len(content), deadline)
        self._line.weather = weather
        commits: list[int] = []
        self.outcomes.append(self._transport.post(upload, lambda: commits.append(1)))
        self.committed.append(bool(commits))
        return self.outcomes[-1]

    def kept(self) -> Counter[int]:
        """How often the service has kept each row, after all connections have ended."""
        self._line.wait_until_idle()
        seen = -1
        while seen != len(self._rig.emulator.uploads):
            seen = len(self._rig.emulator.uploads)
            time.sleep(0.2)  # the emulator's threads end a moment after the connections
        return Counter(int(name[4:].split("@")[0]) for name in self._rig.kept())

    def check(self) -> None:
        """For each row, assert that its outcome agrees with what the service kept."""
        kept = self.kept()
        for number, outcome in enumerate(self.outcomes):
            times = kept[number]
            if isinstance(outcome, Failure):
                assert outcome.committed == self.committed[number]
                assert times <= int(outcome.committed), (number, outcome)
            else:
                assert times == int(outcome.status == 200), (number, outcome)


@EACH
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("way", ["up_cut", "down_cut"])
@pytest.mark.timeout(600)
def test_cut_after_any_byte(rig: Rig, line: ChaosProxy, way: str, *, reset: bool, stride: int) -> None:
    """Cut at any byte: without COMMIT nothing was kept, after it at most once."""
    uploads = Uploads(rig, line)
    fair = uploads.send(Weather())
    assert isinstance(fair, Reply)
    assert fair.status == 200
    line.wait_until_idle()
    whole = line.passed[-1]
    last = whole.up if way == "up_cut" else whole.down
    for cut in [*range(0, last, stride), *range(max(0, last - 200), last + 1, max(stride // 4, 1))]:
        uploads.send(Weather(**{way: cut, "reset": reset}))
    uploads.check()
    kinds = Counter(
        f"committed {outcome.committed}" if isinstance(outcome, Failure) else "reply"
        for outcome in uploads.outcomes
    )
    assert min(kinds["committed True"], kinds["committed False"]) > 3, kinds
    if way == "down_cut":
        doubtful = [
            n
            for n, outcome in enumerate(uploads.outcomes)
            if isinstance(outcome, Failure) and outcome.committed
        ]
        assert any(uploads.kept()[number] for number in doubtful), "what the doubt is for"


@pytest.mark.parametrize("way", ["up_cut", "down_cut"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.8, 0.9, 0.97, 0.995])
def test_a_cut_line_and_then_a_whole_one(rig: Rig, line: ChaosProxy, way: str, share: float) -> None:
    """After a cut a batch is sent again if it cannot have arrived, and held otherwise."""

    def drain() -> Any:
        return rig.sender(url=lambda _: f"{line.url}/api/signals?jobid={rig.job}").drain()

    rig.accept([row(0)])
    assert drain().sent == 1
    line.wait_until_idle()
    total = line.passed[-1].up if way == "up_cut" else line.passed[-1].down
    rig.accept([row(1)])
    line.weather = Weather(**{way: int(total * share)})
    drain()
    line.wait_until_idle()
    (after,) = rig.states() or [("SENT", "")]
    line.weather = Weather()
    for batch in rig.batches():
        if batch.state is not None and batch.state.name == "RETRY":
            write_state(rig.outbox, batch, not_before=0.0)
    drain()
    kept = Counter(rig.kept())["user1@contoso.com"]
    if after[0] == "RETRY":
        assert (kept, rig.states()) == (1, [])
    elif after[0] == "HELD":
        assert kept <= 1
        assert rig.states() == [after]
    else:
        assert kept == 1


@pytest.mark.parametrize(
    ("weather", "committed"),
    [
        (Weather(drip=0.1), False),
        (Weather(up_cut=0, hang=True), False),
        (Weather(down_cut=0, hang=True), False),
        (Weather(up_cut=700, hang=True), None),
        (Weather(down_cut=1500, hang=True), None),
    ],
    ids=["drip", "silent", "no-hello", "stuck-body", "stuck-reply"],
)
def test_a_line_that_hangs_ends_at_the_deadline(
    rig: Rig,
    line: ChaosProxy,
    weather: Weather,
    committed: bool | None,  # noqa: FBT001 - a case
) -> None:
    """However slow the connection, an upload ends at its deadline and reports whether it is in doubt."""
    uploads = Uploads(rig, line)
    begin = time.monotonic()
    outcome = uploads.send(weather, deadline=1.0)
    assert time.monotonic() - begin < 5
    assert isinstance(outcome, Failure)
    assert outcome.kind == "timeout"
    assert outcome.committed == (uploads.committed[0] if committed is None else committed)


# -- TLS --------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:ssl:DeprecationWarning")  # an old protocol is the case
@pytest.mark.parametrize("wrong", WRONGS)
def test_a_server_that_must_not_be_trusted(tmp_path: Path, wrong: str) -> None:
    """With a wrong name, date, authority or TLS version, no byte of the request is sent."""

    def never() -> None:
        raise AssertionError("nothing may be committed")

    with Impostor(tmp_path, wrong) as there:
        content = io.BytesIO(b"a,b\r\n1,2\r\n")
        upload = Upload(there.url, "a-token", "rows.csv", "text/csv", content, 10, 5.0)
        outcome = HttpsTransport(ca_file=str(there.ca_file), user_agent="tests").post(upload, never)
    assert outcome == Failure("tls", committed=False)
    assert (there.connections, there.heard) == (1, b"")


# -- a proxy in between -----------------------------------------------------------------------------


def through(rig: Rig, line: ChaosProxy) -> Any:
    """A drain with all connections through the HTTP proxy."""

    def change(same: Connection) -> Connection:
        return replace(same, connector=replace(same.connector, proxy=line.proxy))

    return rig.sender(change).drain()


def test_delivered_through_a_proxy(rig: Rig, line: ChaosProxy) -> None:
    """Everything arrives through a proxy, and the proxy sees no token, secret or row."""
    line.weather = Weather(answer=CONNECTED)
    rig.accept([row(1)])
    assert through(rig, line).sent == 1
    asked = b"".join(passed.asked for passed in line.passed)
    assert asked.count(b"CONNECT ") == len(line.passed) >= 2
    secret = (rig.directory / "emulator" / "secret").read_bytes().strip()
    for hidden in (b"Bearer", b"uthorization", secret, b"user1", b"jobid"):
        assert hidden not in asked


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n\r\n",
        b"HTTP/1.1 403 Forbidden\r\n\r\n<html>blocked</html>",
        b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.invalid/\r\n\r\n",
        b"220 mail.example ESMTP\r\n",
        b"\x00\xff\x00",
        b"",
    ],
    ids=["407", "502", "503", "403", "302", "no-http", "noise", "nothing"],
)
@pytest.mark.parametrize("signed_in", [True, False], ids=["upload", "token"])
def test_a_proxy_that_refuses_costs_no_batch(
    rig: Rig, line: ChaosProxy, answer: bytes, *, signed_in: bool
) -> None:
    """Whatever a proxy replies to CONNECT, for token or upload, the batch stays queued and is sent later."""
    rig.accept([row(1)])
    if signed_in:
        rig.sender()._service.tokens.token()  # noqa: SLF001 - the token is had, the upload fails
    line.weather = Weather(answer=answer)
    report = through(rig, line)
    assert report.trouble
    ((state, reason),) = rig.states()
    assert state in ("READY", "RETRY")
    if signed_in and b" 407 " in answer:
        assert (reason, load_breaker(rig.outbox)[0].mode) == ("http-407", circuit_breaker.PAUSED)
    line.weather = Weather(answer=CONNECTED)
    store_breaker(rig.outbox, circuit_breaker.CircuitBreaker(), load_breaker(rig.outbox)[1])
    for batch in rig.batches():
        write_state(rig.outbox, batch, not_before=0.0)
    assert through(rig, line).sent == 1
    assert rig.kept() == ["user1@contoso.com"]


# -- redirects --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("on", ["upload", "token", "discovery"])
def test_no_redirect_is_followed(rig: Rig, tmp_path: Path, status: int, on: Any) -> None:
    """Neither token nor secret follows a redirect: the other server sees no connection."""
    (tmp_path / "other").mkdir()
    other = Rig(tmp_path / "other")
    other.start()
    rig.accept([row(1)])
    rig.emulator.faults.next(Fault(on=on, status=status, location=f"{other.emulator.url}/elsewhere"))
    report = rig.drain()
    assert report.sent == 0
    assert report.trouble
    assert other.emulator.connections == 0
    other.emulator.stop()
    assert rig.states()[0][0] in ("READY", "RETRY")


# -- the token endpoint -----------------------------------------------------------------------------


def patient(rig: Rig, seconds: float) -> MsalTokens:
    """The tokens of the rig's connector, with another deadline."""
    connection = rig.connection
    place = connection.connector.credential
    return MsalTokens(
        login=connection.endpoints().login,
        tenant_id=connection.connector.tenant_id,
        app_id=connection.connector.app_id,
        secret=lambda: read(place.kind, place.name, {}),
        scope=f"https://microsoft.onmicrosoft.com/{connection.connector.resource_app_id}/.default",
        http=TokenHttp(ca_file=connection.ca_file(), proxy=None, deadline=seconds),
        known_login=False,
    )


def bodies(on: Any) -> Iterable[Fault]:
    """Replies with status 200 that Entra ID would never send."""
    for body in ("", "null", "[1, 2]", '"text"', "{", "<html>", "{}", '{"token_endpoint": 5}', "\x00"):
        yield Fault(on=on, status=200, body=body)


@pytest.mark.parametrize(
    "fault",
    [
        *bodies("token"),
        *bodies("discovery"),
        Fault(
            on="token", status=200, body='{"access_token": "", "expires_in": 3599, "token_type": "Bearer"}'
        ),
        Fault(on="token", status=200, body='{"access_token": 5, "expires_in": 3599, "token_type": "Bearer"}'),
        Fault(on="token", status=200, body='{"access_token": null, "expires_in": 3599}'),
        Fault(on="token", status=200, body='{"access_token": "x", "expires_in": "soon"}'),
        Fault(on="token", status=200, body='{"access_token": "a\\r\\nX: y", "expires_in": 3599}'),
        Fault(on="token", status=200, body='{"access_token": "\\u20ac", "expires_in": 3599}'),
        *(Fault(on="token", status=status) for status in (400, 401, 403, 404, 429, 500, 502, 503, 504)),
        *(Fault(on="discovery", status=status) for status in (400, 404, 429, 500, 503)),
        Fault(on="token", delay=5.0),
        Fault(on="discovery", delay=5.0),
        Fault(on="token", drip=0.2),
        Fault(on="token", reset_before_last_byte=True),
        Fault(on="token", reset_after_last_byte=True),
        Fault(on="token", close_without_reply=True),
    ],
    ids=lambda fault: f"{fault.on}-{fault.label}-{fault.status}-{fault.body!r}"[:60],
)
def test_a_token_endpoint_that_misbehaves(rig: Rig, fault: Fault) -> None:
    """Whatever comes instead of a token, no row is lost or in doubt, and the next drain delivers it."""
    rig.accept([row(1)])
    rig.emulator.faults.next(fault)
    tokens = patient(rig, 1.5)
    begin = time.monotonic()
    report = rig.sender(tokens=tokens).drain()
    assert time.monotonic() - begin < 8
    assert report.sent == 0
    assert report.trouble
    assert [state for state, _ in rig.states()] in (["READY"], ["RETRY"])
    store_breaker(rig.outbox, circuit_breaker.CircuitBreaker(), load_breaker(rig.outbox)[1])
    for batch in rig.batches():
        write_state(rig.outbox, batch, not_before=0.0)
    assert rig.sender(tokens=tokens).drain().sent == 1
    assert rig.kept() == ["user1@contoso.com"]


def test_tokens_that_end_at_once(tmp_path: Path) -> None:
    """Tokens that last a few seconds are renewed in time, and every batch is sent."""
    rig = Rig(tmp_path, Options(token_lifetime=2.0))
    rig.start()
    for number in range(3):
        rig.accept([row(number)])
        assert rig.drain().sent == 1
    assert rig.emulator.entra.token_requests == 3
    rig.emulator.stop()
