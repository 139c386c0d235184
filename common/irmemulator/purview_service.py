"""What each path of the stand-in answers, without a socket: requests in, replies out.

Promised: an upload is on record before its reply is handed out; nothing here waits, logs or prints.
Paths for people and tests (`/`, `/records`, `/uploads`, `/control/faults`) ask for no token:
the server listens on loopback only, and other users of the same machine can read them.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qs

from irmemulator.entra import Entra, TokenPath
from irmemulator.fault_control import faults_to_json, set_faults
from irmemulator.faults import Endpoint, Fault, Faults
from irmemulator.http_messages import Reply, error_reply, html_reply, json_reply
from irmemulator.overview_page import render
from irmemulator.settings import App, Job, Options
from irmemulator.upload_checks import Signal, Verdict, decide
from irmemulator.upload_store import Store, Upload

UPLOAD_PATH = "/api/signals"
CONTROL_PATH = "/control/faults"


@dataclass(frozen=True)
class TokenRequest:
    """A POST to a token endpoint, without its body."""

    path: TokenPath
    correlation_id: str | None


class Service:
    """The applications, jobs, tokens, uploads and faults of one emulator. Safe between threads."""

    def __init__(
        self,
        apps: Iterable[App],
        jobs: Iterable[Job],
        options: Options,
        directory: Path | None,
    ) -> None:
        self.jobs = tuple(jobs)
        self.options = options
        self.entra = Entra(apps, options)
        self.store = Store(self.jobs, options, directory)
        self.faults = Faults()
        self._by_id = {job.job_id.lower(): job for job in self.jobs}
        self._token_requests = 0
        self._lock = threading.Lock()

    @property
    def token_requests(self) -> int:
        """How many POSTs came to token endpoints, the spoiled ones included."""
        with self._lock:
            return self._token_requests

    def next_fault(self, on: Endpoint) -> Fault | None:
        """Count a request whose head has been read, and give what is to go wrong with it."""
        if on == "token":
            with self._lock:
                self._token_requests += 1
        return self.faults.take(on)

    def token(self, request: TokenRequest, body: bytes | None) -> Reply:
        """Answer a POST to a token endpoint; None: its body was not read."""
        return self.entra.token(request.path, body or b"", request.correlation_id)

    def upload(self, signal: Signal, fault: Fault | None) -> Reply:
        """Check an upload, put it on record, and give the reply that is true of it.

        Args:
            signal: The upload, as far as it was read.
            fault: What the client is told instead; the record says so, and the records are kept
                only if the fault says so.
        """
        now, request_id = datetime.now(UTC), str(uuid.uuid4())
        with self.store.turn():
            verdict = decide(signal, self._by_id, self.entra.check, self.options, self.store.pairs)
            told = verdict
            if fault is not None and not fault.keeps_records:
                verdict = replace(verdict, kept=(), dropped=MappingProxyType({}))
            self.store.add(_record(now, request_id, verdict, signal, fault), verdict.kept)
        return told.reply(request_id)

    def page(self) -> Reply:
        """The page for people."""
        return html_reply(200, render(self.jobs, self.store))

    def records(self, query: str) -> Reply:
        """The kept records in memory, of one job or all."""
        asked = parse_qs(query).get("jobid")
        jobs = self.jobs
        if asked is not None:
            jobs = tuple(job for job in jobs if job.job_id.lower() == asked[0].lower())
            if not jobs:
                return error_reply(404, "job_unknown", "no connector has this job id")
        return json_reply(
            200,
            {
                "jobs": [
                    {
                        "job_id": job.job_id,
                        "name": job.name,
                        "records_saved": self.store.saved(job.job_id),
                        "records": [kept.to_json() for kept in self.store.kept(job.job_id)],
                    }
                    for job in jobs
                ]
            },
        )

    def uploads(self) -> Reply:
        """Every upload, as a status log."""
        return json_reply(200, [upload.to_json() for upload in self.store.uploads])

    def control(self, method: str, content_type: str | None, body: bytes) -> Reply:
        """Set (POST), clear (DELETE) or show (GET) the faults that wait."""
        if method == "POST":
            # A page of another site can send a form here, but not JSON without asking first.
            if (content_type or "").partition(";")[0].strip().lower() != "application/json":
                return error_reply(415, "not_json", "the Content-Type must be application/json")
            try:
                set_faults(self.faults, body)
            except ValueError as error:
                return error_reply(400, "fault_not_possible", str(error))
        elif method == "DELETE":
            self.faults.clear()
        return json_reply(200, faults_to_json(self.faults))


def _record(now: datetime, request_id: str, verdict: Verdict, signal: Signal, fault: Fault | None) -> Upload:
    if signal.body is None and (fault is None or fault.early_status is None):
        status = None  # the client went away in the middle of its body
    elif fault is not None and fault.way is not None:
        status = fault.replied_status
    else:
        status = verdict.status
    return Upload(
        time=now,
        request_id=request_id,
        job_id=None if verdict.job is None else verdict.job.job_id.lower(),
        sha256=verdict.sha256,
        bytes=verdict.size,
        records_received=verdict.received,
        records_saved=len(verdict.kept),
        dropped=verdict.dropped,
        status=status,
        code=verdict.code,
        fault=None if fault is None else fault.label,
    )
