"""A fake splunkd that runs an alert action: results file, JSON on standard input, `--execute`.

It fails an action that writes to standard output, or a line without a level to standard error, from which
splunkd makes the lines of splunkd.log.
"""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_rest import SplunkdRest

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL")
SID = "scheduler__ana__search__RMD5910195c23186c103_at_1700000000_42"


@dataclass(frozen=True)
class ActionResult:
    """An action's exit code, and the lines of its standard error, each as level and text."""

    code: int
    messages: list[tuple[str, str]]

    @property
    def text(self) -> str:
        return "\n".join(text for _, text in self.messages)


class Alert:
    """Runs the action in a Splunk home on the results of a search."""

    def __init__(self, python: str, home: SplunkHome, splunkd: SplunkdRest) -> None:
        self._command = [python, str(home.bin / "irmexport.py"), "--execute"]
        self._splunkd = splunkd
        self.home = home
        self.dispatch = home.path / "var" / "run" / "splunk" / "dispatch" / SID
        self.arguments = b""

    def results(self, content: bytes, *, packed: bool = True, name: str = "results.csv.gz") -> Path:
        """Write a results file as splunkd does, and return its path."""
        path = self.dispatch / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if packed else content)
        return path

    def payload(self, results: Path, params: Mapping[str, str], **more: Any) -> dict[str, Any]:
        """The JSON document that splunkd writes to standard input."""
        return {
            "app": "search",
            "owner": "ana",
            "results_file": str(results),
            "results_link": f"http://search-head:8000/app/search/@go?sid={SID}",
            "search_uri": "/servicesNS/ana/search/saved/searches/Leavers+of+the+week",
            "server_host": "search-head",
            "server_uri": self._splunkd.uri,
            "session_key": "analyst-session",
            "sid": SID,
            "search_name": "Leavers of the week",
            "configuration": dict(params),
            "result": {"user": "sarad@contoso.com"},
            **more,
        }

    def start(self, payload: Mapping[str, Any]) -> subprocess.Popen[bytes]:
        """Start the process and write its payload."""
        return self.start_raw(json.dumps(payload).encode())

    def start_raw(self, text: bytes) -> subprocess.Popen[bytes]:
        """Start the process and write this text in place of a payload."""
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(self.home.environment()),
        )
        assert process.stdin is not None
        process.stdin.write(text)
        process.stdin.close()
        process.stdin = None
        self.arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        return process

    def fire(
        self, content: bytes | None, *, params: Mapping[str, str] | None = None, **more: Any
    ) -> ActionResult:
        """Run the action to its end. ``content`` is the results' CSV, None for a missing file."""
        results = self.dispatch / "results.csv.gz" if content is None else self.results(content)
        return self.ended(
            self.start(
                self.payload(
                    results, {"profile": "leavers", "wait": "0"} if params is None else params, **more
                )
            )
        )

    def ended(self, process: subprocess.Popen[bytes]) -> ActionResult:
        """Wait for the process to end."""
        out, errors = process.communicate(timeout=90)
        assert out == b"", out
        lines = [line.partition(" ") for line in errors.decode().splitlines()]
        assert all(level in LEVELS for level, _, _ in lines), errors.decode()
        return ActionResult(process.returncode, [(level, text) for level, _, text in lines])
