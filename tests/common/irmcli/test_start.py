"""A command imports no more than it needs, because many run unattended and often."""

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
#: Only a terminal, `sentinel`, the emulator, a delivery or a log needs these, and none importlib.metadata.
HEAVY = {
    *("rich", "importlib.metadata", "irmsentinel", "irmemulator", "cryptography", "requests", "msal"),
    "logging.handlers",
}


def loaded(*args: str, outbox: Path) -> set[str]:
    """The modules that the command has imported when it exits."""
    words = [sys.executable, "-X", "importtime", "-m", "irmcli", "--outbox", str(outbox), *args]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    return set(re.findall(r"^import time:.*\| +([\w.]+)$", ran.stderr, re.MULTILINE))


@pytest.mark.parametrize("words", [["send", "--dry-run"], ["check"]])
def test_shaping_imports_only_what_it_needs(tmp_path: Path, words: list[str]) -> None:
    """Neither the emulator nor anything that only a terminal or a delivery needs is imported."""
    file = tmp_path / "rows.csv"
    file.write_text(HEADER + "sarad@contoso.com,2023-04-20T05:52:56Z,6,x\n")
    profile = tmp_path / "leavers.yaml"
    profile.write_text(shipped_text("leaver-prediction").replace(PLACEHOLDER, JOB))
    found = loaded(*words, str(file), "-p", str(profile), outbox=tmp_path / "outbox")
    assert "irmcore.intake.pipeline" in found
    assert found & HEAVY == set()


def test_status_imports_only_what_it_needs(tmp_path: Path) -> None:
    """The same holds for a command that reads the queue."""
    found = loaded("status", outbox=tmp_path / "outbox")
    assert "irmcore.operations.status" in found
    assert found & HEAVY == set()
