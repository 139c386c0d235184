"""A fake splunkd that runs the modular input, with its settings as XML on standard input."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from types import TracebackType
from xml.sax.saxutils import escape

from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_rest import SplunkdRest


class Input:
    """The sender, or another modular input. As a context manager a sender runs until the block ends."""

    def __init__(
        self,
        python: str,
        home: SplunkHome,
        splunkd: SplunkdRest,
        *,
        stanza: str = "irmexport://main",
        **params: str,
    ) -> None:
        """``params`` are the settings of the stanza. Its script is named for its scheme."""
        self._command = [python, str(home.bin / f"{stanza.partition('://')[0]}.py")]
        self._environment = dict(home.environment())
        self._heartbeat = home.outbox / "heartbeat.json"
        given = {"life": "60", **params} if stanza == "irmexport://main" else params
        written = "".join(f'<param name="{name}">{escape(value)}</param>' for name, value in given.items())
        self._xml = (
            "<input><server_host>search-head</server_host>"
            f"<server_uri>{escape(splunkd.uri)}</server_uri><session_key>system-session</session_key>"
            f"<checkpoint_dir>{escape(str(home.outbox))}</checkpoint_dir>"
            f'<configuration><stanza name="{stanza}">{written}</stanza></configuration></input>'
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def scheme(self) -> str:
        """What `--scheme` prints."""
        ran = subprocess.run(
            [*self._command, "--scheme"],
            capture_output=True,
            text=True,
            check=True,
            env=self._environment,
            timeout=60,
        )
        return ran.stdout

    @property
    def arguments(self) -> bytes:
        """The process's command line, which every user of the machine can see."""
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/cmdline").read_bytes()

    def start(self) -> Input:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(self._xml.encode())
        self._process.stdin.close()
        self._process.stdin = None
        return self

    def wait(self) -> tuple[int, str]:
        """Wait for the process to end; returns the exit code and everything it printed."""
        assert self._process is not None
        out, errors = self._process.communicate(timeout=90)
        return self._process.returncode, (out + errors).decode()

    def end(self) -> str:
        """Terminate it, as splunkd does when it stops; returns everything it printed."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        out, errors = self._process.communicate(timeout=60)
        return (out + errors).decode()

    def kill(self) -> bool:
        """Kill it, as a crash does; whether it was running."""
        assert self._process is not None
        running = self._process.poll() is None
        self._process.kill()
        self._process.communicate()
        return running

    def __enter__(self) -> Input:  # noqa: PYI034 - typing.Self is not in 3.9
        self.start()
        end = time.monotonic() + 60
        while not self._heartbeat.exists() and time.monotonic() < end:
            time.sleep(0.05)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
