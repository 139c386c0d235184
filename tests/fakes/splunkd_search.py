"""A fake splunkd that runs a search command over the chunked protocol, strictly.

It fails a command that does not write exactly one reply to each request, after reading the whole request,
with exact lengths and nothing after the last reply. It sends what splunkd sends: ``__mv_…`` columns last,
``preview`` only in getinfo.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HEAD = re.compile(rb"chunked 1\.0,(\d+),(\d+)\n")
_SECONDS = 60.0


class ProtocolBroken(AssertionError):
    """The command violated the protocol."""


@dataclass(frozen=True)
class Reply:
    """The reply to one request."""

    metadata: Mapping[str, Any]
    body: bytes

    @property
    def finished(self) -> bool:
        return self.metadata.get("finished") is True

    @property
    def messages(self) -> list[tuple[str, str]]:
        messages = self.metadata.get("inspector", {}).get("messages", [])
        return [(str(level), str(text)) for level, text in messages]


@dataclass
class SearchSettings:
    """The search, as splunkd describes it to a command."""

    args: Sequence[str]
    dispatch_dir: Path
    session_key: str = "analyst-session"
    splunkd_uri: str = "https://127.0.0.1:8089"
    sid: str = "1700000000.42"
    app: str = "search"
    user: str = "ana"
    preview: bool = False
    search: str = "search%20index%3Dhr%20%7C%20irmexport"
    more: Mapping[str, Any] = field(default_factory=dict)

    def getinfo(self) -> dict[str, Any]:
        """The metadata of the getinfo request."""
        return {
            "action": "getinfo",
            "preview": self.preview,
            "streaming_command_will_restart": False,
            "searchinfo": {
                "args": list(self.args),
                "raw_args": list(self.args),
                "dispatch_dir": str(self.dispatch_dir),
                "sid": self.sid,
                "app": self.app,
                "owner": self.user,
                "username": self.user,
                "session_key": self.session_key,
                "splunkd_uri": self.splunkd_uri,
                "splunk_version": "9.4.0",
                "search": self.search,
                "command": "irmexport",
                "maxresultrows": 50000,
                "earliest_time": "0",
                "latest_time": 1700000000.0,
                **self.more,
            },
        }


class SearchProcess:
    """One process of the command; splunkd starts several for the same search."""

    def __init__(
        self, command: Sequence[str], settings: SearchSettings, environment: Mapping[str, str]
    ) -> None:
        self.settings = settings
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
        )
        self._buffer = b""
        self.stderr = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    def getinfo(self) -> Reply:
        self.send(self.settings.getinfo(), b"")
        return self.reply()

    def execute(self, body: bytes, *, finished: bool) -> Reply:
        """Send a request in two parts, between which the command must not reply."""
        packed = frame({"action": "execute", "finished": finished}, body)
        half = len(packed) // 2
        self._write(packed[:half])
        if self._ready(0.0) or self._buffer:
            raise ProtocolBroken("the command replied before it had read the request")
        self._write(packed[half:])
        return self.reply()

    def send(self, metadata: Mapping[str, Any], body: bytes) -> None:
        self._write(frame(metadata, body))

    def raw(self, data: bytes) -> None:
        """Write bytes as they are, for a truncated request."""
        self._write(data)

    def _write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def reply(self) -> Reply:
        """Read exactly one reply."""
        while b"\n" not in self._buffer:
            self._more()
        line, _, self._buffer = self._buffer.partition(b"\n")
        match = _HEAD.fullmatch(line + b"\n")
        if match is None:
            raise ProtocolBroken(f"not the head of a reply: {line[:80]!r}")
        lengths = int(match.group(1)), int(match.group(2))
        while len(self._buffer) < sum(lengths):
            self._more()
        metadata = self._buffer[: lengths[0]]
        body = self._buffer[lengths[0] : sum(lengths)]
        self._buffer = self._buffer[sum(lengths) :]
        if self._buffer:
            raise ProtocolBroken("more than one reply to one request")
        return Reply(json.loads(metadata), body)

    def _ready(self, seconds: float) -> bool:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def _more(self) -> None:
        end = time.monotonic() + _SECONDS
        while not self._ready(max(0.0, end - time.monotonic())):
            raise ProtocolBroken("no reply")
        assert self.process.stdout is not None
        piece = os.read(self.process.stdout.fileno(), 1 << 20)
        if not piece:
            self.close()
            raise ProtocolBroken(f"the command ended without a reply: {self.stderr[-2000:]}")
        self._buffer += piece

    def close(self) -> int:
        """Close the stream, as splunkd does after the last reply and when a search is cancelled."""
        out, errors = self.process.communicate(timeout=_SECONDS)
        self.stderr += errors.decode("utf-8", "replace")
        if out or self._buffer:
            raise ProtocolBroken("the command wrote something after its last reply")
        return self.process.returncode

    def kill(self) -> None:
        """Kill the process if a failed test left it running."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def frame(metadata: Mapping[str, Any], body: bytes) -> bytes:
    """The bytes of a request."""
    text = json.dumps(metadata).encode()
    return b"chunked 1.0,%d,%d\n" % (len(text), len(body)) + text + body


def run(
    process: SearchProcess, bodies: Sequence[bytes], *, last: bytes | None = None
) -> tuple[Reply, list[Reply], int]:
    """Run a whole search: getinfo, each body, then the last one with finished. Returns the exit code too."""
    info = process.getinfo()
    replies = [process.execute(body, finished=False) for body in bodies]
    replies.append(process.execute(last if last is not None else b"", finished=True))
    return info, replies, process.close()
