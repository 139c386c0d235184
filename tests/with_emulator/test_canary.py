"""Secrets, tokens and row values appear in no output, log, error or file, except in the files for rows."""

from __future__ import annotations

import base64
import html
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import click
import pytest
from click.testing import CliRunner
from irmcli.main import Commands
from irmcli.output import Output
from irmemulator.faults import Fault

from tests.fakes.emulated_faults import page_fault
from tests.with_emulator.connector import HEADER, Rig

VALUE = "Canary Detection 7f3a"
USER = "canary.person@contoso.com"
ROWS = f"{HEADER}\n{USER},{VALUE},High,5,2026-11-20T08:00:00Z,Dropbox,,text\n"
BAD = f"{USER},{VALUE},Canary Severity 91c2,5,2026-11-20T08:00:00Z,Dropbox,,text\n"
#: Files that may hold a row: the batch itself, and the reject file with the rows to correct.
ROW_FILES = {"payload", "rejects"}


def run(rig: Rig, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the real command in its own process."""
    environment = {
        **os.environ,
        "IRMEXPORT_OUTBOX": str(rig.directory / "outbox"),
        "PYTHONWARNINGS": "default",
    }
    return subprocess.run(
        [sys.executable, "-m", "irmcli", *args],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=60,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A good row and a refused one."""
    found = tmp_path / "rows.csv"
    found.write_text(ROWS + BAD)
    return found


FAULTS = [
    None,
    Fault(status=400, body=f'{{"error":"row {VALUE}"}}'),
    Fault(status=403),
    Fault(reset_after_last_byte=True),
    Fault(on="token", status=500),
    page_fault("token"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.label if fault else "none")
def test_no_output_shows_a_secret_or_a_row_value(rig: Rig, file: Path, fault: Fault | None) -> None:
    """Whatever happens to an upload, no command prints the secret, the token or a row value."""
    secret = (rig.directory / "emulator" / "secret").read_text().strip()
    if fault is not None:
        rig.emulator.faults.next(fault)
    at = ("-p", "salesforce-dropbox", "--emulator", str(rig.directory / "emulator"))
    commands = [
        ("check", str(file), *at[:2]),
        ("send", str(file), *at),
        ("send", str(file), *at, "--json"),
        ("status",),
        ("status", "--json"),
        ("audit",),
        ("audit", "--jsonl"),
        ("drain",),
        ("doctor", *at),
        ("send", "/nowhere/at-all.csv", *at),
    ]
    outputs = [run(rig, *command) for command in commands]
    printed = "\n".join(output.stdout + output.stderr for output in outputs)
    assert "rows read" in printed
    assert "Traceback" not in printed
    for forbidden in (secret, USER, VALUE, "Canary Severity", "Bearer"):
        assert forbidden not in printed
    assert VALUE not in printed


def test_no_file_holds_a_secret_or_a_row_value(rig: Rig, file: Path) -> None:
    """No file holds the secret; only the payload and the reject file hold a row."""
    secret = (rig.directory / "emulator" / "secret").read_text().strip()
    run(rig, "send", str(file), "-p", "salesforce-dropbox", "--emulator", str(rig.directory / "emulator"))
    outbox = rig.directory / "outbox"
    files = [path for path in outbox.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        assert secret.encode() not in content, path
        if not ROW_FILES & {path.name, path.parent.name}:
            assert USER.encode() not in content, path
            assert VALUE.encode() not in content, path


def test_no_log_and_no_repr_shows_a_secret_or_a_row_value(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """At level DEBUG no logger, ours, requests', urllib3's or MSAL's, writes the secret or the token."""
    secret = (rig.directory / "emulator" / "secret").read_text().strip()
    caplog.set_level(logging.DEBUG)
    sender = rig.sender()
    rig.accept([f"{USER},{VALUE},High,5,2026-11-20T08:00:00Z,Dropbox,,text"])
    sender.drain()
    token = sender._service.tokens.token()  # noqa: SLF001 - the token that must not be shown
    shown = caplog.text + repr(sender._service) + repr(rig.connection)  # noqa: SLF001
    assert secret not in shown
    assert token not in shown
    assert VALUE not in shown


def test_a_crash_shows_nothing(rig: Rig, file: Path) -> None:
    """A profile that cannot be parsed is reported without a row value."""
    profile = rig.directory / "broken.yaml"
    profile.write_text("name: [unclosed\n")
    output = run(rig, "send", str(file), "-p", str(profile))
    assert output.returncode == 2
    assert "not valid YAML" in output.stderr
    assert USER not in output.stderr
    assert json.dumps(VALUE) not in output.stderr


def test_a_bug_anywhere_shows_nothing(tmp_path: Path) -> None:
    """An unexpected error is reported by type and location, without its text, which may quote a row."""

    @click.command()
    def faulty() -> None:
        raise ValueError(f"could not convert string to float: {VALUE!r}")

    class WithFaulty(Commands):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
            return faulty

    @click.group(cls=WithFaulty)
    @click.pass_context
    def group(ctx: click.Context) -> None:
        ctx.obj = Output(as_json=False)

    output = CliRunner().invoke(group, ["faulty"])
    assert output.exit_code == 1
    printed = output.output
    assert VALUE not in printed
    assert "Traceback" not in printed
    assert "bug in irmexport" in printed
    assert "ValueError at test_canary.py" in " ".join(printed.split())


def test_the_history_of_a_batch_shows_nothing(rig: Rig, file: Path) -> None:
    """A drain that fails in every way writes no secret, token or row value into the history of a batch."""
    secret = (rig.directory / "emulator" / "secret").read_text().strip()
    run(rig, "send", str(file), "-p", "salesforce-dropbox", "--emulator", str(rig.directory / "emulator"))
    quoted = f'{{"error": "{VALUE} of {USER}"}}'
    for status in (400, 403, 413, 500, 504):
        rig.emulator.faults.next(Fault(status=status, body=quoted))
    for number in range(5):
        rig.accept([f"{USER},{VALUE},High,{number + 10},2026-11-20T08:0{number}:00Z,Dropbox,,text"])
    rig.drain()
    files = [path for path in (rig.directory / "outbox").rglob("*") if path.is_file()]
    histories = [path for path in files if path.name in ("audit.log", "state", "breaker", "manifest.json")]
    assert len(histories) > 8
    for path in histories:
        for forbidden in (secret, USER, VALUE, "Bearer"):
            assert forbidden.encode() not in path.read_bytes(), path


def test_an_echo_of_the_request_is_kept_nowhere(rig: Rig, file: Path) -> None:
    """A page that quotes the request puts the token into no file and no output, however it writes it."""
    rig.accept([f"{USER},{VALUE},High,{number},2026-11-20T08:00:00Z,Dropbox,,text" for number in range(3)])
    token = rig.sender()._service.tokens.token()  # noqa: SLF001 - a proxy sees it too
    echo = f"Authorization: Bearer {token}; {html.escape(USER)} {quote(USER)} {USER.upper()}"
    echo += f" {base64.b64encode(USER.encode()).decode()} {json.dumps(VALUE)} {token[:40]}"
    page = f"<html><head><title>{echo}</title></head><body>{echo}</body></html>"
    at = ["--emulator", str(rig.directory / "emulator")]
    shown = []
    for body, status in ((echo, 403), (page, 403), (echo, 400), (page, 504)):
        rig.emulator.faults.next(Fault(status=status, body=body, headers=(("request-id", token[:60]),)))
        rig.drain()
        (batch,) = rig.batches()
        shown += [run(rig, "show", batch.id).stdout, run(rig, "show", batch.id, "--json").stdout]
        shown += [run(rig, "audit").stdout, run(rig, "status").stdout]
        run(rig, "resume", "salesforce-dropbox")
        if status == 400:
            run(rig, "requeue", batch.id)
    shown.append(run(rig, "doctor", "-p", "salesforce-dropbox", *at).stdout)
    histories = list((rig.directory / "outbox").rglob("audit.log"))
    assert "http-403" in histories[0].read_text()
    for text in [*shown, *(path.read_text() for path in histories)]:
        for forbidden in (token, token[:40], "Bearer e", USER, USER.upper(), quote(USER), VALUE):
            assert forbidden not in text
        assert base64.b64encode(USER.encode()).decode() not in text
