"""`irmexport release` and the heads of `irmexport audit`, as a person types them."""

from __future__ import annotations

from pathlib import Path

import pytest
from irmcore.profile import shipped_text

from tests.with_emulator.connector import Rig, Run, row
from tests.with_emulator.test_cli import document, rows


@pytest.fixture
def approve(rig: Rig) -> str:
    """A profile whose rows wait for their release."""
    text = shipped_text("salesforce-dropbox") + "\nrelease: approve\npreview: pseudonyms\n"
    file = rig.directory / "approve.yaml"
    file.write_text(text)
    file.chmod(0o600)
    return str(file)


def test_proposed_rows_wait_and_say_for_what(rig: Rig, irmexport: Run, approve: str) -> None:
    """Each command says what is proposed and how it is released; the proposer may only look and reject."""
    file = rows(rig, row(1))
    sent = irmexport("send", file, "-p", approve, "--emulator", str(rig.directory / "emulator"))
    assert "proposed, waits for release" in sent.stdout
    name = rig.outbox.name
    assert f"irmexport release {name} --why" in sent.stdout
    assert f"irmexport release {name} --why" in irmexport("status").stdout
    shown = irmexport("release", name, "--preview")
    assert "user-" in shown.stdout
    assert "@" not in shown.stdout.replace(f"of {name}", "")
    own = irmexport("release", name, "--why", "mine")
    assert own.exit_code != 0
    assert "must be released by somebody else" in own.stderr
    assert irmexport("release", name, "--reject", "--why", "wrong").exit_code == 0
    assert "Nothing is proposed" in irmexport("release", name, "--why", "again").stdout


def test_a_head_that_was_noted_is_looked_for(rig: Rig, irmexport: Run) -> None:
    """The head of a log is found as long as its line is there; without it, the exit code is 4."""
    irmexport("send", rows(rig, row(1)), "{at}")
    log = Path(rig.outbox.path, "audit.log")
    head = irmexport("audit", "--head").stdout.strip()
    assert irmexport("audit", "--verify", "--head", head).exit_code == 0
    data = log.read_bytes()
    log.write_bytes(data[: data.rindex(b"\n", 0, -1) + 1])
    lost = irmexport("audit", "--verify", "--head", head)
    assert (lost.exit_code, "were removed" in lost.stderr) == (4, True)
    assert irmexport("audit", "--head", head).exit_code == 2
    assert document(irmexport("--json", "audit", "--head"))
