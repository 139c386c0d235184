from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from irmcli.main import main

from tests.with_emulator.connector import Rig, Run


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A connector that sends to a running emulator."""
    made = Rig(tmp_path)
    made.start()
    yield made
    made.emulator.stop()
    assert made.emulator.failures == ()


@pytest.fixture
def irmexport(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command with its own outbox; {at} stands for the profile and emulator options."""
    monkeypatch.setenv("IRMEXPORT_OUTBOX", str(rig.directory / "outbox"))
    monkeypatch.setenv("IRMEXPORT_PROFILES", str(rig.directory / "profiles"))
    monkeypatch.chdir(rig.directory)
    runner = CliRunner()
    at = ("-p", "salesforce-dropbox", "--emulator", str(rig.directory / "emulator"))

    def run(*args: str, stdin: bytes | str | None = None) -> Result:
        words = [word for arg in args for word in (at if arg == "{at}" else (arg,))]
        result = runner.invoke(main, words, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
