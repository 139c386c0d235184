"""What a command loads before it does its work: no more than it needs, as many of them run unattended."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from irmcore.profile import shipped_text
from irmcore.profile.model import PLACEHOLDER

JOB = "b8be4a7d-e338-43eb-a69e-c513cd458eba"
HEADER = "UserPrincipalName,PredictionTime,PredictionScore,ModelInfo\n"
#: What is only for a terminal, for a command of another distribution, for the emulator, and for sending.
HEAVY = {"rich", "importlib.metadata", "irmemulator", "cryptography", "requests", "msal"}


def loaded(*args: str, outbox: Path) -> set[str]:
    """The modules that the command has loaded when it ends."""
    words = [sys.executable, "-X", "importtime", "-m", "irmcli", "--outbox", str(outbox), *args]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    return set(re.findall(r"^import time:.*\| +([\w.]+)$", ran.stderr, re.MULTILINE))


@pytest.mark.parametrize("act", [["send", "--dry-run"], ["check"]])
def test_rows_are_shaped_without_what_others_need(tmp_path: Path, act: list[str]) -> None:
    """Neither the emulator nor what only a terminal or a delivery needs is loaded."""
    file = tmp_path / "rows.csv"
    file.write_text(HEADER + "sarad@contoso.com,2023-04-20T05:52:56Z,6,x\n")
    profile = tmp_path / "leavers.yaml"
    profile.write_text(shipped_text("leaver-prediction").replace(PLACEHOLDER, JOB))
    found = loaded(*act, str(file), "-p", str(profile), outbox=tmp_path / "outbox")
    assert "irmcore.intake.pipeline" in found
    assert found & HEAVY == set()


def test_the_state_is_shown_without_what_others_need(tmp_path: Path) -> None:
    """The same for a command that looks at the queue."""
    found = loaded("status", outbox=tmp_path / "outbox")
    assert "irmcore.operations.status" in found
    assert found & HEAVY == set()
