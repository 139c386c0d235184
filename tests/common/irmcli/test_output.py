"""Tables and colour on a terminal, plain lines elsewhere; text from outside cannot move the cursor."""

from __future__ import annotations

import gzip
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from irmcli.main import COMMANDS, GROUPS, main
from irmcli.output import clean, count
from irmcli.session.input_file import about_rows

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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
@pytest.mark.parametrize("form", ["json", "journald"])
def test_a_log_on_a_full_disk_stops_nothing(tmp_path: Path, form: str) -> None:
    """Not a line of the log can be written; the command works, and says so by its code."""
    file = tmp_path / "rows.csv"
    file.write_text(HEADER + "sarad@contoso.com,2023-04-20T05:52:56Z,6,x\n")
    command = f"{sys.executable} -m irmcli check {file} -p leaver-prediction --log-format {form} 2>/dev/full"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0


def test_clean_and_count() -> None:
    """Printable text stays unchanged; counts agree with their noun."""
    assert clean("Zürich – 東京") == "Zürich – 東京"
    assert clean("a\x1bb\u202ec\n") == "a\\x1bb\\u202ec\\n"
    assert [count(1, "row"), count(2, "row"), count(0, "batch")] == ["1 row", "2 rows", "0 batches"]


def test_progress_has_a_percentage_and_the_time_left(tmp_path: Path) -> None:
    """Of a text file, by its size and the length of its first lines."""
    file = tmp_path / "rows.csv"
    line = "sarad@contoso.com,2023-04-20T05:52:56.{:06}Z,6,x\n"
    file.write_text(HEADER + "".join(map(line.format, range(20_000))))
    shown = on_a_terminal("check", str(file), "-p", "leaver-prediction")
    assert re.search(r" \d+ % *\x1b?.*ETA", shown), shown
    assert "20,000 rows read" in shown


def test_rows_are_estimated_or_not_at_all(tmp_path: Path) -> None:
    """What is compressed, one line, or not a file has no estimate."""
    file = tmp_path / "rows"
    for content, rows in (
        (b"0123456789\n" * 100_000, 100_000),
        (b"0123456789\r\n" * 3, 3),
        (gzip.compress(b"0123456789\n" * 100), None),
        (b"PK\x03\x04 a workbook\n", None),
        (b"[{}]", None),
        (b"", None),
    ):
        file.write_bytes(content)
        assert about_rows(str(file)) == (rows and pytest.approx(rows, rel=1e-3))
    assert about_rows("-") is None


def test_quiet_and_verbose_work_before_and_after_the_command(tmp_path: Path) -> None:
    """-q leaves errors and warnings, -v adds details to standard error; neither changes JSON."""
    file = tmp_path / "rows.csv"
    file.write_text(HEADER + "sarad@contoso.com,2023-04-20T05:52:56Z,6,x\n")
    words = ["check", str(file), "-p", "leaver-prediction"]

    def run(*args: str) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "irmcli", *args], capture_output=True, text=True, check=True
        )
        return done.stdout, done.stderr

    plain = run(*words)
    assert plain[1] == ""
    assert run("-q", *words) == run(*words, "--quiet") == ("", "")
    for out, err in (run("-v", *words), run(*words, "-v")):
        assert out == plain[0]
        assert err == "" or ", outbox " in err
    assert run(*words, "-q", "--json") == run("--json", *words)
    missing = subprocess.run(
        [sys.executable, "-m", "irmcli", "-q", "check", "missing", "-p", "leaver-prediction"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (missing.returncode, "cannot be read" in missing.stderr) == (1, True)


@pytest.mark.parametrize("columns", [60, 100])
def test_help_has_headings_and_the_width_of_the_terminal(columns: int) -> None:
    """Every command is under a heading, and no line is longer than the terminal."""
    environment = {**os.environ, "COLUMNS": str(columns)}
    shown = subprocess.run(
        [sys.executable, "-m", "irmcli", "--help"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert max(map(len, shown.splitlines())) in range(columns - 15, columns + 1)
    headings = re.findall(r"^([A-Z].*):$", shown, re.MULTILINE)
    assert headings == ["Options", *GROUPS]
    listed = shown.partition(f"\n{next(iter(GROUPS))}:\n")[2]
    assert re.findall(r"^  ([a-z-]+) ", listed, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_script_for_completion(shell: str) -> None:
    """The script asks irmexport itself, which answers with commands and options."""
    script = CliRunner().invoke(main, ["completion", shell]).stdout
    assert f"_IRMEXPORT_COMPLETE={shell}_complete" in script
    asked = {"COMP_WORDS": "irmexport res", "COMP_CWORD": "1" if shell != "fish" else "res"}
    environment = {**os.environ, **asked, "_IRMEXPORT_COMPLETE": f"{shell}_complete"}
    done = subprocess.run(
        [Path(sys.executable).with_name("irmexport")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert {"resolve", "resume"} <= set(re.findall(r"[a-z-]+", done.stdout)), done


def test_what_a_library_logs_is_not_printed() -> None:
    """Such as watchdog's "InotifyEmitter.queue_events() called when the thread is inactive"."""
    script = (
        "import logging; from irmcli.main import main; main(['profile', 'list'], standalone_mode=False); "
        "logging.getLogger('watchdog.observers').error('a line of a library')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stderr, "leaver-prediction" in done.stdout) == ("", True)
