"""On a system where the app does not run, each of its processes says so at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.splunkd_search import SearchProcess, SearchSettings
from tests.splunk_app.test_settings import APP

#: Windows' Python has neither of these (os, Availability: Unix).
WINDOWS = """
import os, runpy, sys
del os.fchmod, os.geteuid
sys.modules["fcntl"] = None
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def command(script: str, *arguments: str) -> list[str]:
    """The command line of an entry script on a Python without Unix."""
    return [sys.executable, "-c", WINDOWS, str(APP / "bin" / script), *arguments]


def test_a_search_on_windows_shows_one_clear_error(tmp_path: Path) -> None:
    """In the reply to getinfo, before any row is read."""
    process = SearchProcess(command("irmexport_command.py"), SearchSettings(("profile=x",), tmp_path), {})
    reply = process.getinfo()
    assert reply.finished
    ((level, text),) = reply.messages
    assert level == "ERROR"
    assert "does not run on a Windows search head" in text
    assert process.close() == 1


@pytest.mark.parametrize("arguments", [(), ("--execute",), ("--scheme",)])
def test_sender_and_alert_action_end_with_one_line(arguments: tuple[str, ...]) -> None:
    """The line goes to splunkd.log."""
    ran = subprocess.run(
        command("irmexport.py", *arguments), input="", capture_output=True, text=True, check=False, env={}
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("ERROR irmexport does not run on a Windows search head")
    assert ran.stderr.count("\n") == 1


def test_the_rest_endpoint_replies_with_the_reason() -> None:
    """As its payload, with the status 500."""
    fake = Path(__file__).parent.parent / "fakes" / "splunk_python"
    code = WINDOWS.replace(
        'runpy.run_path(sys.argv[0], run_name="__main__")',
        "import json, irmexport_rest\nprint(json.dumps(irmexport_rest.Handler('', '').handle('{}')))",
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(APP / "bin" / "irmexport_rest.py")],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(fake)},
    )
    reply = json.loads(ran.stdout)
    assert reply["status"] == 500
    assert "Windows search head" in reply["payload"]
