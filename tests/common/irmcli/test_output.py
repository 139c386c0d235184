"""Tables and colour on a terminal, plain lines elsewhere; text from outside cannot move the cursor."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from irmcli.output import clean, count

HEADER = "UserPrincipalName,PredictionTime,PredictionScore,ModelInfo\n"


def on_a_terminal(*args: str) -> str:
    """The command's output on a real pseudo-terminal, 100 columns wide."""
    reader, writer = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-m", "irmcli", *args], stdin=writer, stdout=writer, stderr=writer, env=environment
    )
    os.close(writer)
    shown = b""
    while True:
        try:
            block = os.read(reader, 65_536)
        except OSError:  # Linux reports the end of a terminal this way
            break
        if not block:
            break
        shown += block
    os.close(reader)
    process.wait(30)
    return shown.decode()


def test_a_terminal_gets_tables_and_colour(tmp_path: Path) -> None:
    """Refused rows are shown in a drawn table."""
    file = tmp_path / "rows.csv"
    file.write_text(HEADER + "sarad,2023-04-20T05:52:56Z,6,x\n")
    shown = on_a_terminal("check", str(file), "-p", "leaver-prediction")
    assert "upn-without-domain" in shown
    assert "┃" in shown
    assert "\x1b[1m" in shown


def test_a_file_name_cannot_move_the_cursor(tmp_path: Path) -> None:
    """Control characters in a file name are escaped."""
    shown = on_a_terminal("check", str(tmp_path / "\x1b[2Jrows.csv"), "-p", "leaver-prediction")
    assert "\x1b[2J" not in shown
    assert "\\x1b[2J" in shown


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_a_closed_output_stops_nothing(tmp_path: Path, closed: str) -> None:
    """A daemon may have closed its output; the command works all the same."""
    file = tmp_path / "rows.csv"
    file.write_text(HEADER + "sarad@contoso.com,2023-04-20T05:52:56Z,6,x\n")
    command = f"{sys.executable} -m irmcli check {file} -p leaver-prediction {closed}"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0


def test_clean_and_count() -> None:
    """Printable text stays unchanged; counts agree with their noun."""
    assert clean("Zürich – 東京") == "Zürich – 東京"
    assert clean("a\x1bb\u202ec\n") == "a\\x1bb\\u202ec\\n"
    assert [count(1, "row"), count(2, "row"), count(0, "batch")] == ["1 row", "2 rows", "0 batches"]
