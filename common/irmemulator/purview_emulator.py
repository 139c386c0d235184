"""The emulator of the Purview connector as tests, the demo and the command line use it.

Promised: what `loopback_server` promises; an upload is on record before its reply is returned. A stopped
emulator still answers questions about what it saw, and has its tokens and records when it is started again.
Not promised: that Microsoft's service behaves the same.
The paths for people and tests (`/records`, `/uploads`, `/control/faults`) require the emulator's control
token as the password of HTTP Basic, with any user name: other users of the machine reach its loopback too.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs

from irmemulator.entra import Entra
from irmemulator.fault_control import faults_to_json, set_faults
from irmemulator.fault_queue import Faults
from irmemulator.faults import Fault
from irmemulator.file_rules import Record
from irmemulator.http_messages import (
    Reply,
    Request,
    error_reply,
    json_reply,
    method_not_allowed,
)
from irmemulator.loopback_server import LoopbackServer
from irmemulator.routing import Route
from irmemulator.settings import App, Job, Options
from irmemulator.upload_checks import Verdict, check_upload
from irmemulator.upload_store import Upload, UploadStore

UPLOAD_PATH = "/api/signals"
CONTROL_PATH = "/control/faults"
_LONGEST_CONTROL_BODY = 1024 * 1024


class PurviewEmulator(LoopbackServer):
    """The connector "Insider Risk Indicators" and the HR connector, and the tokens for them.

    ``control_token`` is the password for its JSON documents and the control of faults.
    """

    def __init__(
        self,
        apps: Iterable[App],
        jobs: Iterable[Job],
        options: Options | None = None,
        *,
        directory: Path | str | None = None,
        **more: Any,
    ) -> None:
        """Nothing listens before `start`.

        The tenants of ``apps`` are those that exist, ``jobs`` the connectors. The others are
        `LoopbackServer`'s; the records are appended in ``directory`` as JSON lines, too.

        Raises ValueError if an id is given twice, and as `LoopbackServer`.
        """
        known, self.jobs = tuple(apps), tuple(jobs)
        self._options = options or Options()
        self._jobs_by_id = {job.job_id.lower(): job for job in self.jobs}
        if len(self._jobs_by_id) < len(self.jobs):
            raise ValueError("the same job is given twice")
        if len({(app.tenant_id.lower(), app.app_id.lower()) for app in known}) < len(known):
            raise ValueError("the same app is given twice")
        self.control_token = secrets.token_urlsafe(24)
        self.faults = Faults()
        self.entra = Entra(known, (self._options.resource,), token_lifetime=self._options.token_lifetime)
        self.store = UploadStore(
            self.jobs, self._options, None if directory is None else Path(directory).absolute()
        )
        super().__init__(
            self,
            directory=directory,
            handshake_timeout=self._options.handshake_timeout,
            idle_timeout=self._options.idle_timeout,
            **more,
        )

    def authority(self, tenant_id: str) -> str:
        """The authority to give to MSAL, with `instance_discovery=False`."""
        return f"{self.url}/{tenant_id}"

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """Every POST to /api/signals, the refused and spoiled ones included, the oldest first."""
        return self.store.uploads

    def records(self, job_id: str) -> tuple[Record, ...]:
        """The records of a job that are in memory, the oldest first. Raises KeyError."""
        return tuple(kept.record for kept in self.store.kept(job_id))

    def records_saved(self, job_id: str) -> int:
        """How many records of a job were saved, including those no longer in memory. Raises KeyError."""
        return self.store.saved(job_id)

    def describe(self) -> dict[str, str]:
        """Where it is, as plain values for JSON. The one secret is the control token."""
        return {
            "note": "a local emulator, not Microsoft's service",
            "url": self.url,
            "control_url": f"{self.url}{CONTROL_PATH}",
            "control_token": self.control_token,
            "ca_file": str(self.ca_file),
        }

    def route(self, request: Request) -> Route | Reply:
        """The endpoint for a request, or the reply if its body need not be read."""
        if request.path == UPLOAD_PATH:
            return Route("upload", self._upload) if request.method == "POST" else method_not_allowed("POST")
        return self.entra.route(request) or self._for_people(request)

    def refuse(self, status: int, code: str, message: str) -> Reply:
        """An error as the emulator's JSON."""
        return error_reply(status, code, message)

    def _for_people(self, request: Request) -> Route | Reply:
        documents = {"/records": self._records, "/uploads": self._uploads}
        if not request.host_is_ours:
            # A site that lets its own name resolve to 127.0.0.1 (DNS rebinding) sends that name as Host.
            return error_reply(421, "not_our_host", "ask for 127.0.0.1 or localhost")
        if request.path == CONTROL_PATH:
            if request.method not in ("GET", "POST", "DELETE"):
                return method_not_allowed("GET", "POST", "DELETE")
            return self._unauthorized(request) or Route(None, self._control, _LONGEST_CONTROL_BODY)
        if request.path not in documents:
            return error_reply(404, "no_such_path", "the emulator has no such path")
        if request.method != "GET":
            return method_not_allowed("GET")
        return self._unauthorized(request) or documents[request.path](request)

    def _unauthorized(self, request: Request) -> Reply | None:
        """The refusal of a request without the control token; a browser then asks for it."""
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            password = base64.b64decode(given, validate=True).partition(b":")[2]
        except ValueError:
            password = b""
        if kind.lower() == "basic" and secrets.compare_digest(password, self.control_token.encode()):
            return None
        challenge = ("WWW-Authenticate", 'Basic realm="irmexport emulator"')
        return error_reply(401, "no_control_token", "the password is the emulator's control token", challenge)

    def _upload(self, request: Request, fault: Fault | None) -> Reply:
        """Check an upload, record it, and return the reply that is true of it.

        The record has the status that the client gets. A fault keeps the upload's records only if it says so.
        """
        now, request_id = datetime.now(UTC), str(uuid.uuid4())
        with self.store.locked():
            verdict = check_upload(
                request, self._jobs_by_id, self.entra.check, self._options, self.store.pairs
            )
            recorded = verdict
            if fault is not None and not fault.takes_effect:
                recorded = replace(verdict, kept=(), dropped=MappingProxyType({}))
            self.store.add(_log_entry(now, request_id, recorded, request, fault), recorded.kept)
        return verdict.reply(request_id)

    def _records(self, request: Request) -> Reply:
        """The records in memory, of one job or of all."""
        asked = parse_qs(request.query).get("jobid")
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

    def _uploads(self, _request: Request) -> Reply:
        return json_reply(200, [upload.to_json() for upload in self.store.uploads])

    def _control(self, request: Request, _fault: Fault | None) -> Reply:
        """Set (POST), clear (DELETE) or show (GET) the faults that wait."""
        if request.method == "POST":
            # A page of another site can send a form here, but JSON only with our consent (CORS).
            if (
                request.headers.get("content-type", "").partition(";")[0].strip().lower()
                != "application/json"
            ):
                return error_reply(415, "not_json", "the Content-Type must be application/json")
            try:
                set_faults(self.faults, request.body or b"")
            except ValueError as error:
                return error_reply(400, "fault_not_possible", str(error))
        elif request.method == "DELETE":
            self.faults.clear()
        return json_reply(200, faults_to_json(self.faults))


def _log_entry(
    now: datetime, request_id: str, verdict: Verdict, request: Request, fault: Fault | None
) -> Upload:
    if request.body is None and (fault is None or fault.early_status is None):
        status = None  # the client went away in the middle of its body
    elif fault is not None and fault.kind is not None:
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
