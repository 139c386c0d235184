"""An export's connections cut, slowed and refused: each row is in the outbox once, the cursor is right."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.identity import ClientSecretCredential
from click.testing import CliRunner
from irmcli.main import main
from irmcore.errors import ConfigurationError, IrmError, WaitError
from irmsentinel.azure.bounded_transport import Network
from irmsentinel.azure.identity import NoToken
from irmsentinel.azure.ingestion import StaticToken
from irmsentinel.azure.query_errors import Throttled
from irmsentinel.azure.workspace import Workspace
from irmsentinel.emulators.query_api import QueryApiEmulator
from irmsentinel.export import sources
from irmsentinel.export.cursor import CursorFile
from irmsentinel.export.reader import Source

from tests.fakes.chaos import CONNECTED, ChaosProxy, Weather
from tests.fakes.clock import FakeClock
from tests.fakes.emulated_faults import query_fault
from tests.fakes.impostor import WRONGS, Impostor
from tests.sentinel.irmsentinel.export.exports import NOW, PLAIN, WORKSPACE, Stage, api, export, okta

#: Between two cut points of a client alone, and of whole exports; `make faults` has closer ones.
STRIDE, EXPORT_STRIDE = 299, 1499
EACH = pytest.mark.parametrize(
    ("reset", "stride"),
    [
        *((True, STRIDE), (False, STRIDE)),
        *(pytest.param(*pair, marks=pytest.mark.faults) for pair in ((True, 2), (False, 7))),
    ],
)
CLOSE = pytest.mark.parametrize("stride", [EXPORT_STRIDE, pytest.param(199, marks=pytest.mark.faults)])
WAYS = pytest.mark.parametrize("way", ["up_cut", "down_cut"])
CHANGES: Mapping[str, Any] = {"first": timedelta(days=4), "overlap": timedelta(days=1), "query": PLAIN}
DAYS = [f"2026-11-{day}" for day in range(17, 21)]


class Season:
    """Exports of four days, one row each, through a relay in front of the query API."""

    def __init__(self, directory: Path, stage: Stage, there: QueryApiEmulator, line: ChaosProxy) -> None:
        self.stage, self.api, self.line = stage, there, line
        self.clock = FakeClock(NOW.timestamp())
        self.proxy: str | None = None
        self._place = directory / "by-the-line"
        self._place.mkdir()
        described = json.loads((directory / "api" / "api.json").read_text())
        (self._place / "api.json").write_text(json.dumps({**described, "url": line.url}))

    def source(self, *deadlines: float) -> Source:
        """The real client through the relay, without a token; it waits on the fake clock."""
        query, token = (*deadlines, 20.0, 20.0)[:2]
        return sources.emulated_workspace(
            self._place, deadlines=(token, query), clock=self.clock, proxy=self.proxy
        )[0]

    def export(self, source: Source | None = None, hours: int = 0) -> IrmError | None:
        """An export; checks the cursor however it ends."""
        trouble = None
        try:
            now = NOW + timedelta(hours=hours)
            export(source or self.source(), self.stage.session(), now=now, clock=self.clock, **CHANGES)
        except IrmError as error:
            trouble = error
        self.check()
        return trouble

    def rows(self) -> list[str]:
        """The days of the rows in the outbox, sorted."""
        payloads = Path(self.stage.session().outbox.path).glob("*/**/payload")
        lines = (line for file in payloads for line in file.read_text().splitlines()[1:])
        return sorted(next(day for day in DAYS if day in line) for line in lines)

    def check(self) -> None:
        """No row is in the outbox twice, and all rows before the cursor are in it."""
        rows, cursor = self.rows(), CursorFile(self.stage.session().outbox, "okta", WORKSPACE).load()
        assert len(rows) == len(set(rows))
        for day in DAYS:
            before = cursor is not None and datetime.fromisoformat(day).replace(tzinfo=UTC) < cursor.read_to
            assert day in rows or not before

    def fair(self) -> None:
        """Without disturbance everything is there once."""
        self.line.weather = Weather()
        assert self.export() is None
        assert self.rows() == DAYS

    def end(self) -> None:
        """The connector stores each row once."""
        self.fair()
        assert self.stage.session().drain() == 0
        assert self.stage.counts() == [("sarad@contoso.com", day, 1) for day in DAYS]

    def again(self) -> None:
        """Start over as if nothing had been exported."""
        outbox = Path(self.stage.session().outbox.path)
        outbox.rename(outbox.parent / f"was-{time.monotonic_ns()}")


@pytest.fixture
def season(tmp_path: Path) -> Iterator[Season]:
    """Ready to export."""
    rows = [okta(f"{day}T08:00:00Z") for day in DAYS]
    with (
        Stage(tmp_path).running() as stage,
        api({"OktaSystemLogs": rows}, tmp_path / "api") as there,
        ChaosProxy(("127.0.0.1", int(there.url.rsplit(":", 1)[1]))) as line,
    ):
        yield Season(tmp_path, stage, there, line)


# -- the line is cut --------------------------------------------------------------------


@CLOSE
@WAYS
@pytest.mark.timeout(300)
def test_exports_whose_connections_are_cut(season: Season, way: str, stride: int) -> None:
    """Each connection is cut after some bytes: a row is in the outbox once, or the next run brings it."""
    assert season.export() is None
    last = max(passed.up if way == "up_cut" else passed.down for passed in season.line.passed)
    failed = 0
    for number, cut in enumerate([*range(0, last, stride), last - 1]):
        season.again()
        season.line.weather = Weather(**{way: cut, "reset": bool(number % 2)})
        failed += season.export() is not None
        season.fair()
    assert failed > 1, "no cut was felt"
    season.end()


@EACH
@WAYS
@pytest.mark.timeout(400)
def test_an_answer_is_complete_or_an_error(season: Season, way: str, *, reset: bool, stride: int) -> None:
    """Cut after any byte, a query's answer has all its rows, or there is an error."""
    source = season.source()
    query = "OktaSystemLogs | project TimeGenerated, ActorUsername"
    whole = source.query(query)
    assert len(whole.rows) == len(DAYS)
    passed = season.line.passed[-1]
    last = passed.up if way == "up_cut" else passed.down
    kinds = Counter[str]()
    for cut in range(0, last, stride):
        season.line.weather = Weather(**{way: cut, "reset": reset})
        try:
            answer = source.query(query)
            assert (answer.columns, list(answer.rows)) == (whole.columns, list(whole.rows))
            kinds["whole"] += 1
        except WaitError as error:
            kinds[error.what.partition("(")[0]] += 1
    assert kinds["Log Analytics cannot be reached "] > 3, kinds
    assert set(kinds) <= {
        "Log Analytics cannot be reached ",
        "does not come from Log Analytics, or broke off ",
        "whole",
    }, kinds


# -- it hangs, or drips -----------------------------------------------------------------

SLOW = [
    Weather(drip=0.1),
    Weather(up_cut=0, hang=True),
    Weather(down_cut=0, hang=True),
    Weather(up_cut=700, hang=True),
    Weather(down_cut=1500, hang=True),
]


@pytest.mark.parametrize("what", ["query", "token"])
def test_a_slow_connection_ends_at_the_deadlines(season: Season, what: str) -> None:
    """However slow sign-in or rows are, the export ends with a temporary error."""
    for weather in SLOW:
        source = season.source(0.3, 0.3)
        season.line.weather = Weather()
        if what == "query":
            source.query("print 1")  # the token is had
        season.line.weather = weather
        begin = time.monotonic()
        trouble = season.export(source)
        assert time.monotonic() - begin < 12, weather
        assert isinstance(trouble, WaitError), weather
        assert season.rows() == []
    season.line.weather = Weather()
    season.api.faults.until_cleared(query_fault(200, on=what, body=b" " * 500, drip=0.05))
    begin = time.monotonic()
    assert isinstance(season.export(season.source(0.3, 0.3)), WaitError)
    assert time.monotonic() - begin < 12, "no time-out between two bytes ends this"
    season.api.faults.clear()
    season.end()


# -- TLS, redirects, proxies ------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:ssl:DeprecationWarning")  # an old protocol is the case
@pytest.mark.parametrize("wrong", WRONGS)
def test_an_untrusted_server_gets_nothing(tmp_path: Path, wrong: str) -> None:
    """Another name, a wrong date, another CA, TLS 1.1: no secret or query is sent."""
    with Impostor(tmp_path, wrong) as there:
        network = Network(ca_file=str(there.ca_file))
        at: dict[str, Any] = {"deadline": 5.0, "clock": FakeClock()}
        credential = ClientSecretCredential(
            "contoso",
            "irmexport",
            "a-secret",
            authority=there.url,
            disable_instance_discovery=True,
            transport=network.transport(**at),
        )
        with pytest.raises(WaitError, match="issued no token"):
            Workspace(WORKSPACE, credential, f"{there.url}/v1", network, **at).query("print 1")
        with pytest.raises(WaitError, match="cannot be reached"):
            Workspace(WORKSPACE, StaticToken("a-token"), f"{there.url}/v1", network, **at).query("print 1")
    assert there.connections >= 2
    assert there.heard == b""


@pytest.mark.parametrize("on", ["discovery", "token", "query"])
def test_no_redirect_of_an_export_is_followed(season: Season, tmp_path: Path, on: str) -> None:
    """No secret, token or query goes where an answer points; no connection is made there."""
    with Impostor(tmp_path) as other:
        for status in (301, 302, 303, 307, 308):
            season.api.faults.until_cleared(
                query_fault(status, on=on, location=f"{other.url}/v1/elsewhere", body=b"")
            )
            assert season.export() is not None
            assert season.rows() == []
        season.api.faults.clear()
    assert (other.connections, other.heard) == (0, b"")
    season.end()


@pytest.fixture
def proxied(season: Season, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Season:
    """The same with the relay as the proxy. One of the environment would lead nowhere."""
    season.line.weather = Weather(answer=CONNECTED)
    season.proxy = season.line.proxy
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    (tmp_path / "by-the-line" / "api.json").write_text((tmp_path / "api" / "api.json").read_text())
    return season


def test_a_proxy_is_used_and_sees_nothing(proxied: Season) -> None:
    """Sign-in and query go through it; it sees no secret, token or query."""
    assert proxied.export() is None
    asked = b"".join(passed.asked for passed in proxied.line.passed)
    assert asked.count(b"CONNECT ") == len(proxied.line.passed) >= 3
    for hidden in (b"uthorization", proxied.api.secret.encode(), b"workspaces", b"Okta"):
        assert hidden not in asked


REFUSALS = [
    b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\n\r\n",
    b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
    b"220 mail.example ESMTP\r\n",
    b"",
]


def test_a_refusing_proxy_loses_no_row(proxied: Season) -> None:
    """Whatever it answers to CONNECT: a temporary error, no row lost or duplicated."""
    for answer in REFUSALS:
        for signed_in in (True, False):
            source = proxied.source()
            proxied.line.weather = Weather(answer=CONNECTED)
            if signed_in:
                source.query("print 1")
            proxied.line.weather = Weather(answer=answer)
            assert isinstance(proxied.export(source), WaitError), answer
            assert proxied.rows() == []
    proxied.line.weather = Weather(answer=CONNECTED)
    assert proxied.export(source) is None
    assert proxied.rows() == DAYS


# -- what answers is not the service ----------------------------------------------------

TABLE = '{"tables": [{"name": "P", "columns": %s, "rows": %s}]}'
COLUMNS = '[{"name": "UserPrincipalName", "type": "string"}]'
NONE_OF_ITS_OWN = [
    *(b"", b"null", b"[1, 2]", b'"text"', b"{", b"<html>\xfc", b"\x00\xff", b"{}", b'{"error": 5}'),
    *(b'{"tables": []}', b'{"tables": null}', b'{"tables": [5]}', b'{"tables": [{}]}'),
    *((TABLE % pair).encode() for pair in ((COLUMNS, "[[]]"), (COLUMNS, "[5]"), ("[5]", "[[1]]"))),
    (TABLE % (COLUMNS, '[["sarad@contoso.com"]]')).encode(),
    b'{"access_token": "", "expires_in": 3599, "token_type": "Bearer"}',
    b'{"access_token": 5, "expires_in": 3599}',
    b'{"access_token": "a\\r\\nX: y", "expires_in": 3599}',
    b'{"access_token": "\\u20ac", "expires_in": 3599}',
    b'{"access_token": "x", "expires_in": "soon"}',
]


@pytest.mark.parametrize(
    ("on", "status"),
    [
        *(("discovery", 200), ("token", 200), ("query", 200)),
        *(pytest.param(on, 500, marks=pytest.mark.faults) for on in ("discovery", "token", "query")),
    ],
)
def test_answers_of_something_else_are_errors(season: Season, on: str, status: int) -> None:
    """Empty, other JSON, HTML, bytes that are not text, an invalid token: an error of ours, and no row."""
    for body in NONE_OF_ITS_OWN:
        season.api.faults.until_cleared(query_fault(status, on=on, body=body))
        assert season.export() is not None, body
        assert season.rows() == []
    season.api.faults.clear()
    season.end()


def test_a_page_does_not_hide_the_status_that_it_comes_with(season: Season) -> None:
    """A busy service that answers with a page is retried like any other busy service."""
    season.api.faults.next(query_fault(503, body=b"<html>\xfc", retry_after="7"), 2)
    before = season.clock.monotonic()
    assert season.export() is None
    assert season.clock.monotonic() - before == 14.0
    season.end()


def test_temporary_errors_and_configuration_errors_differ(season: Season) -> None:
    """A rejected sign-in needs a person; a failing login host does not."""
    for fault, kind in (
        (query_fault(401, on="token", body=b'{"error": "invalid_client"}'), ConfigurationError),
        (query_fault(500, on="token"), NoToken),
        (query_fault(200, on="token", body=b"<html>"), NoToken),
        (query_fault(403), ConfigurationError),
        (query_fault(429), Throttled),
    ):
        season.api.faults.clear()
        season.api.faults.until_cleared(fault)
        assert type(season.export()) is kind, fault


def test_one_failing_export_does_not_stop_the_others(season: Season, tmp_path: Path) -> None:
    """The next export of the run is sent, and the error is in the document."""
    season.api.faults.until_cleared(query_fault(200, matching="OktaSystemLogs", body=b"{}"))
    lines = [
        "schema: 1",
        f"workspaces: [{WORKSPACE}]",
        "exports:",
        "- aggregation: okta",
        "- aggregation: box",
    ]
    (tmp_path / "sentinel.yaml").write_text("\n".join(lines))
    at = ("--config", tmp_path / "sentinel.yaml", "--emulator", tmp_path / "emulator")
    line = (
        "--json",
        "--outbox",
        tmp_path / "outbox",
        "sentinel",
        "run",
        *at,
        "--query-emulator",
        tmp_path / "api",
    )
    done = CliRunner().invoke(main, list(map(str, line)))
    assert done.exit_code == 1, done.output
    failed, other = json.loads(done.stdout)
    assert failed["error"]["kind"] == "WaitError"
    assert (other["error"], other["read_to"]) == (None, "2026-11-21T00:00:00Z")


# -- away for hours ---------------------------------------------------------------------


def test_an_outage_of_thirty_hours(season: Season) -> None:
    """Without a connection, runs leave the cursor; the first good run delivers everything."""
    season.line.weather = Weather(up_cut=0)
    for hours in range(0, 30, 3):
        assert isinstance(season.export(hours=hours), WaitError)
    assert season.rows() == []
    season.end()
