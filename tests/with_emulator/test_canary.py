"""No secret, no token and no value of a row in any output, log, error or file but the row's own place."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from irmcli.main import Commands
from irmcli.output import Output
from irmemulator.faults import Fault

from tests.with_emulator.connector import HEADER, Rig

VALUE = "Canary Detection 7f3a"
USER = "canary.person@contoso.com"
ROWS = f"{HEADER}\n{USER},{VALUE},High,5,2026-11-20T08:00:00Z,Dropbox,,text\n"
BAD = f"{USER},{VALUE},Canary Severity 91c2,5,2026-11-20T08:00:00Z,Dropbox,,text\n"
#: Where a row may stand: the batch itself, and the reject file that holds refused rows to be corrected.
ROW_PLACES = {"payload", "rejects"}


def run(rig: Rig, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The real command, in a process of its own."""
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
    Fault(on="token", html_200=True),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.label if fault else "none")
def test_no_output_shows_what_it_must_not(rig: Rig, file: Path, fault: Fault | None) -> None:
    """Whatever happens to an upload, no command prints the secret, the token or a value of a row."""
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
    said = "\n".join(output.stdout + output.stderr for output in outputs)
    assert "rows read" in said
    assert "Traceback" not in said
    for forbidden in (secret, USER, VALUE, "Canary Severity", "Bearer"):
        assert forbidden not in said
    assert VALUE not in said


def test_no_file_keeps_what_it_must_not(rig: Rig, file: Path) -> None:
    """On disk the secret stands nowhere, and a row only in its payload and in the reject file."""
    secret = (rig.directory / "emulator" / "secret").read_text().strip()
    run(rig, "send", str(file), "-p", "salesforce-dropbox", "--emulator", str(rig.directory / "emulator"))
    outbox = rig.directory / "outbox"
    files = [path for path in outbox.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        assert secret.encode() not in content, path
        if not ROW_PLACES & {path.name, path.parent.name}:
            assert USER.encode() not in content, path
            assert VALUE.encode() not in content, path


def test_no_log_and_no_repr_shows_it(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """At level DEBUG no logger of ours, requests, urllib3 or MSAL writes the secret or the token."""
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
    """A traceback of a bug has no values: they are in no exception's text and no frame is printed."""
    profile = rig.directory / "broken.yaml"
    profile.write_text("name: [unclosed\n")
    output = run(rig, "send", str(file), "-p", str(profile))
    assert output.returncode == 2
    assert "not valid YAML" in output.stderr
    assert USER not in output.stderr
    assert json.dumps(VALUE) not in output.stderr


def test_a_bug_anywhere_shows_nothing(tmp_path: Path) -> None:
    """An error that nobody foresaw is told by its type and place; its text, which quotes a row, is not."""

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
    said = output.output
    assert VALUE not in said
    assert "Traceback" not in said
    assert "fault of irmexport" in said
    assert "ValueError at test_canary.py" in " ".join(said.split())


def test_the_senders_journal_shows_nothing(rig: Rig, file: Path) -> None:
    """A drain that fails in every way leaves nothing of secret, token or row in its batches' history."""
    secret = (rig.directory / "emulator" / "secret").read_text().strip()
    run(rig, "send", str(file), "-p", "salesforce-dropbox", "--emulator", str(rig.directory / "emulator"))
    quoted = f'{{"error": "{VALUE} of {USER}"}}'
    for status in (400, 403, 413, 500, 504):
        rig.emulator.faults.next(Fault(status=status, body=quoted))
    for number in range(5):
        rig.accept([f"{USER},{VALUE},High,{number + 10},2026-11-20T08:0{number}:00Z,Dropbox,,text"])
    rig.drain()
    files = [path for path in (rig.directory / "outbox").rglob("*") if path.is_file()]
    histories = [path for path in files if path.name in ("attempts.jsonl", "state", "gate", "manifest.json")]
    assert len(histories) > 8
    for path in histories:
        for forbidden in (secret, USER, VALUE, "Bearer"):
            assert forbidden.encode() not in path.read_bytes(), path
