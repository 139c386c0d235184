"""What monitoring gets of commands that nobody watches: metrics, a ping, and a log."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from irmcli.metrics import METRICS
from irmcli.scheduled import ping
from irmemulator.faults import Fault

from tests.fakes.otlp_receiver import OtlpReceiver
from tests.with_emulator.connector import HEADER, Rig, Run, row

VALUE, USER = "Canary Value", "canary.user@contoso.com"


@pytest.fixture
def file(rig: Rig) -> str:
    """A file with a good row and one that is refused."""
    path = rig.directory / "rows.csv"
    good = f"{USER},{VALUE},High,5,2026-11-20T08:00:00Z,Dropbox,,text"
    path.write_text(f"{HEADER}\n{good}\nbradh,{VALUE},Low,1,2026-11-20T08:00:00Z,Dropbox,,text\n")
    return str(path)


# -- metrics ------------------------------------------------------------------------------


@pytest.fixture
def in_trouble(rig: Rig, irmexport: Run, file: str) -> str:
    """A connector with a receipt, a refused batch and a queued one; its name."""
    irmexport("send", file, "{at}")
    rig.accept([row(1), row(2)])
    rig.emulator.faults.next(Fault(status=400))
    irmexport("drain")
    rig.accept([row(3)])
    return f"emulator-{rig.job}"


#: https://prometheus.io/docs/instrumenting/exposition_formats/, without escapes.
LINE = re.compile(r'(?P<name>[a-z_]+)\{(?P<labels>(?:[a-z]+="[^"\\]*",?)*)\} (?P<value>[0-9.]+)')


def numbers(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The numbers of a text in Prometheus' format, as `OtlpReceiver` has them."""
    found = {}
    described: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            described.add(line.split()[2])
            continue
        match = LINE.fullmatch(line)
        assert match, line
        assert match["name"] in described
        labels = re.findall(r'([a-z]+)="([^"]*)"', match["labels"])
        found[match["name"], tuple(sorted(labels))] = float(match["value"])
    return found


def test_the_metrics_of_a_connector(irmexport: Run, in_trouble: str) -> None:
    """Counts by state, whether it may send and whether a person is needed, and the last times."""
    found = numbers(irmexport("metrics").stdout)
    at = (("connector", in_trouble), ("profile", "salesforce-dropbox"))
    by_state = {
        name: [found[name, (*at, ("state", state))] for state in ("queued", "proposed", "needs_attention")]
        for name in ("irmexport_batches", "irmexport_rows")
    }
    assert by_state == {"irmexport_batches": [1, 0, 1], "irmexport_rows": [1, 0, 2]}
    assert found["irmexport_ready_to_send", at] == 1
    assert found["irmexport_needs_person", at] == 1
    oldest, receipt, run = (
        found[f"irmexport_{name}_timestamp_seconds", at]
        for name in ("oldest_queued", "last_receipt", "last_run")
    )
    assert 0 < receipt <= run
    assert oldest <= run
    assert {name for name, _ in found} == {metric.name for metric in METRICS}


def test_a_textfile_is_replaced_as_a_whole(rig: Rig, irmexport: Run, in_trouble: str) -> None:
    """node_exporter, another user, never reads half of it; a failure leaves the old one and nothing else."""
    folder = rig.directory / "textfiles"
    folder.mkdir()
    target = folder / "irmexport.prom"
    target.write_text("old\n")
    before = target.stat().st_ino
    assert irmexport("metrics", in_trouble, "--textfile", str(target)).exit_code == 0
    assert numbers(target.read_text())
    assert (target.stat().st_ino != before, target.stat().st_mode & 0o777) == (True, 0o644)
    assert irmexport("metrics", "--textfile", str(folder / "irmexport.txt")).exit_code == 2
    blocked = folder / "blocked.prom"
    blocked.mkdir()
    (blocked / "file").touch()
    refused = irmexport("metrics", "--textfile", str(blocked / "deeper" / "x.prom"))
    assert (refused.exit_code, "Choose another file with --textfile" in refused.stderr) == (2, True)
    assert sorted(path.name for path in folder.iterdir()) == ["blocked.prom", "irmexport.prom"]


def test_opentelemetry_gets_the_same_numbers(
    irmexport: Run, in_trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, labels and values are those of the text; each metric has its unit."""
    for name in ("HTTP_PROXY", "http_proxy"):  # as everywhere: no proxy but IRMEXPORT_PROXY
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.delenv(name.replace("http", "no").replace("HTTP", "NO"), raising=False)
    with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        assert irmexport("metrics", "--otlp").exit_code == 0
        assert receiver.numbers == numbers(irmexport("metrics", in_trouble).stdout)
        assert receiver.units == {metric.name: metric.unit for metric in METRICS}
        assert receiver.resource["service.name"] == "irmexport"
    with OtlpReceiver(400) as refusing:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", refusing.url)
        failed = irmexport("metrics", "--otlp")
        assert (failed.exit_code, refusing.requests) == (1, 1)
        assert "did not take the metrics" in failed.stderr


# -- ping ---------------------------------------------------------------------------------


class Monitor:
    """A monitor that expects pings. ``paths`` has what was requested; ``status`` is its answer."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.status = 200
        monitor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                monitor.paths.append(self.path)
                self.send_response(monitor.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/very-secret-uuid"


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Monitor]:
    """A monitor whose address the commands have."""
    made = Monitor()
    monkeypatch.setenv("IRMEXPORT_HEALTHCHECK_URL", made.url)
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join(30)


def test_a_ping_follows_each_scheduled_command(rig: Rig, irmexport: Run, file: str, monitor: Monitor) -> None:
    """After a success the address, after a failure the address and the exit code."""
    codes = [irmexport("drain").exit_code, irmexport("send", file, "{at}").exit_code]
    irmexport("status")
    codes.append(irmexport("drain", "--nonsense").exit_code)
    codes.append(irmexport("send", "nowhere.csv", "{at}").exit_code)
    rig.accept([row(1)])
    rig.emulator.faults.next(Fault(status=403))
    codes.append(irmexport("drain").exit_code)
    codes.append(irmexport("watch", "nowhere", "--once", "-p", "salesforce-dropbox").exit_code)
    assert codes == [0, 3, 2, 1, 4, 2]
    assert monitor.paths == [f"/very-secret-uuid{end}" for end in ("", "/3", "/2", "/1", "/4", "/2")]


def test_a_ping_that_fails_is_a_warning(
    irmexport: Run, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delivery's result stays, and no message has the address."""
    for status, url, said in (
        (500, monitor.url, "HTTP 500"),
        (302, monitor.url, "HTTP 302"),
        (200, "http://127.0.0.1:9/very-secret-uuid", "ConnectionError"),
        (200, "ftp://127.0.0.1/very-secret-uuid", "InvalidSchema"),
        (200, "very-secret-uuid", "MissingSchema"),
    ):
        monitor.status = status
        monkeypatch.setenv("IRMEXPORT_HEALTHCHECK_URL", url)
        result = irmexport("drain")
        assert result.exit_code == 0
        assert f"the ping of IRMEXPORT_HEALTHCHECK_URL failed ({said})" in result.stderr
        assert "very-secret" not in result.output


def test_a_monitor_that_hangs_does_not_hold_up_a_command() -> None:
    """The ping ends at its deadline, whatever the monitor does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        warnings: list[str] = []
        ping({"IRMEXPORT_HEALTHCHECK_URL": url}, 0, warnings.append, deadline=0.2)
    assert len(warnings) == 1


# -- log ----------------------------------------------------------------------------------


def records(text: str) -> list[dict[str, Any]]:
    """The events of a JSON log, each checked for what all have."""
    found = [json.loads(line) for line in text.splitlines()]
    for record in found:
        assert record.keys() >= {"time", "level", "part", "event", "pid", "version"}
    return found


def test_a_json_log_has_one_event_a_line(rig: Rig, irmexport: Run, file: str) -> None:
    """Rows, refusals, uploads and the end; standard output stays empty, or has the document."""
    result = irmexport("send", file, "{at}", "--log-format", "json")
    assert result.stdout == ""
    found = records(result.stderr)
    assert [record["event"] for record in found] == ["queued", "refused", "sent", "ended"]
    queued, refused, sent, ended = found
    connector = f"emulator-{rig.job}"
    assert (queued["counts"]["read"], queued["batches"], queued["connector"]) == (2, 1, connector)
    assert (refused["level"], refused["reason"], refused["rows"]) == ("WARN", "upn-without-domain", 1)
    assert (sent["status"], sent["rows"], sent["run"], sent["connector"]) == (
        200,
        1,
        queued["run"],
        connector,
    )
    assert (ended["command"], ended["code"]) == ("send", 3)
    rig.accept([row(1)])
    rig.emulator.faults.next(Fault(status=403))
    result = irmexport("--log-format", "json", "drain", "--json")
    assert json.loads(result.stdout)[connector]["trouble"] == "http-403"
    assert [(r["event"], r.get("code")) for r in records(result.stderr)] == [
        ("pause", "http-403"),
        ("waiting", "http-403"),
        ("ended", 4),
    ]


def test_an_error_is_an_event(irmexport: Run) -> None:
    """Also one of the usage, which the parser finds before any command runs."""
    missing, usage = (
        records(irmexport("--log-format", "json", "send", *words).stderr)
        for words in (("nowhere.csv", "{at}"), ("nowhere.csv",))
    )
    assert [(r["event"], r["level"]) for r in missing] == [("failed", "ERROR"), ("ended", "INFO")]
    assert missing[0]["next_step"]
    assert [(r["event"], r.get("code")) for r in usage] == [("failed", None), ("ended", 2)]
    assert "--profile" in usage[0]["what"]
    unknown = records(irmexport("--log-format", "json", "nonsense").stderr)
    assert [(r["event"], r.get("code")) for r in unknown] == [("failed", None), ("ended", 2)]


def test_quiet_and_verbose_hold_for_the_log(
    irmexport: Run, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """-q leaves warnings and errors, -v adds details."""
    monkeypatch.setenv("IRMEXPORT_LOG_FORMAT", "json")
    levels = {r["level"] for r in records(irmexport("check", file, "-p", "salesforce-dropbox", "-q").stderr)}
    assert levels == {"WARN"}
    assert {r["level"] for r in records(irmexport("-v", "drain").stderr)} == {"DEBUG", "INFO"}


def test_the_journal_gets_priorities(rig: Rig, irmexport: Run, file: str) -> None:
    """sd-daemon(3): each line begins with <N>. A space in a value is quoted."""
    result = irmexport("send", file, "{at}", "--log-format", "journald")
    lines = result.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == ["<6>queued", "<4>refused", "<6>sent", "<6>ended"]
    assert lines[1].endswith("column=User_Principal_Name reason=upn-without-domain rows=1")
    assert lines[3].startswith("<6>ended: command=send code=3 seconds=")
    assert f"connector=emulator-{rig.job}" in lines[2]


@pytest.mark.parametrize("remote", [False, True], ids=["socket", "udp"])
def test_syslog_gets_the_same_lines(
    irmexport: Run, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, remote: bool
) -> None:
    """With facility daemon, the priority of the level, and the process; if syslog is away, all goes on."""
    kind = socket.AF_INET if remote else socket.AF_UNIX
    with socket.socket(kind, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0) if remote else str(tmp_path / "log"))
        daemon.settimeout(30)
        address = f"127.0.0.1:{daemon.getsockname()[1]}" if remote else str(tmp_path / "log")
        monkeypatch.setenv("IRMEXPORT_SYSLOG", address)
        result = irmexport("send", file, "{at}", "--log-format", "syslog")
        assert result.stderr == ""
        lines = [daemon.recv(65_536).decode().rstrip("\0") for _ in range(4)]
    when, at = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.escape(socket.gethostname())
    head = rf"1 {when} {at} irmexport {os.getpid()} - - " if remote else rf"irmexport\[{os.getpid()}\]: "
    for line, priority, event in zip(
        lines, (6, 4, 6, 6), ("queued", "refused", "sent", "ended"), strict=True
    ):
        assert re.match(f"<{24 + priority}>{head}{event}: ", line), line
    if not remote:
        (tmp_path / "log").unlink()
        away = irmexport("drain", "--log-format", "syslog")
        assert (away.exit_code, away.stderr.splitlines()[-1][:20]) == (0, "ended: command=drain")
    else:
        monkeypatch.setenv("IRMEXPORT_SYSLOG", "nowhere.invalid:514")
        assert irmexport("drain", "--log-format", "syslog").exit_code == 2
        monkeypatch.delenv("IRMEXPORT_SYSLOG")
        monkeypatch.delattr(socket, "AF_UNIX")  # as on Windows
        refused = irmexport("drain", "--log-format", "syslog")
        assert (refused.exit_code, "Correct IRMEXPORT_SYSLOG" in refused.stderr) == (2, True)


@pytest.mark.parametrize("address", [f"{'a' * 64}:514", "host:\u00b2"], ids=["host", "port"])
def test_what_cannot_be_an_address_of_syslog_is_an_error(
    irmexport: Run, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Python cannot even encode such a host, or read such a number."""
    monkeypatch.setenv("IRMEXPORT_SYSLOG", address)
    refused = irmexport("drain", "--log-format", "syslog")
    assert (refused.exit_code, "Correct IRMEXPORT_SYSLOG" in refused.stderr) == (2, True)


@pytest.mark.parametrize("form", ["json", "journald"])
def test_no_log_and_no_metric_has_a_row_value(rig: Rig, irmexport: Run, file: str, form: str) -> None:
    """Also if the reply quotes a row."""
    rig.emulator.faults.next(Fault(status=400, body=json.dumps({"message": f"{VALUE} of {USER}"})))
    shown = irmexport("send", file, "{at}", "-v", "--log-format", form).output
    shown += irmexport("drain", "-v", "--log-format", form).output + irmexport("metrics", "--json").output
    assert "http-400" in shown
    for forbidden in (VALUE, USER, "bradh"):
        assert forbidden not in shown
