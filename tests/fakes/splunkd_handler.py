"""A fake splunkd for the persistent REST handler: hosts it in a process and passes requests to it."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_rest import SplunkdRest

_HERE = Path(__file__).parent / "splunk_python"


@dataclass(frozen=True)
class Reply:
    """A reply's status and document."""

    status: int
    document: Mapping[str, Any]
    text: str


class RestHandler:
    """The handler in its own process."""

    def __init__(self, python: str, home: SplunkHome, splunkd: SplunkdRest) -> None:
        self._splunkd = splunkd
        environment = {**home.environment(), "PYTHONPATH": f"{_HERE}:{home.bin}"}
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [python, str(_HERE / "persistent_host.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def request(
        self, method: str, path: str, key: str = "admin-session", query: str = "", **form: str
    ) -> Reply:
        """Send a request of the session's user."""
        return self.request_raw(method, path, [[name, value] for name, value in form.items()], key, query)

    def request_raw(
        self, method: str, path: str, form: object, key: str = "admin-session", query: str = ""
    ) -> Reply:
        """Send a request with ``form`` as it is; None leaves the form out."""
        endpoint = "" if path.startswith("release_irmexport/") else "irmexport/"
        return self._ask(method, f"{endpoint}{path}", form, key, query)

    def pass_on(self, method: str, path: str, key: str, form: Mapping[str, str]) -> tuple[int, str]:
        """Pass on a request that a process of the app sent to splunkd."""
        try:
            reply = self._ask(method, path, [[name, value] for name, value in form.items()], key, "")
        except OSError:
            return 500, "{}"
        return reply.status, json.dumps(reply.document)

    def _ask(self, method: str, path: str, form: object, key: str, query: str) -> Reply:
        user = self._splunkd.state.sessions.get(key)
        request = {
            "output_mode": "json",
            "output_mode_explicit": True,
            "server": {"rest_uri": self._splunkd.uri, "hostname": "search-head"},
            "query": [["output_mode", "json"], *([[query, "x"]] if query else [])],
            "connection": {"src_ip": "127.0.0.1", "ssl": True},
            "session": {"user": user.name if user else "", "authtoken": key},
            "rest_path": f"/{path}",
            "method": method,
            "ns": {"app": "irmexport"},
            **({} if form is None else {"form": form}),
            "system_authtoken": "system-session",
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise OSError(f"the handler ended: {self._process.stderr.read() if self._process.stderr else ''}")
        reply = json.loads(line)
        return Reply(reply["status"], json.loads(reply["payload"]), line)

    def kill(self) -> bool:
        """Kill the process, as a crash does; whether it was running."""
        running = self._process.poll() is None
        self._process.kill()
        self._process.wait()
        return running

    def end(self) -> str:
        """End the process and return its standard error."""
        _, errors = self._process.communicate(timeout=60)
        return errors
