"""The checks of `POST /api/signals`, in their order: a request in, a verdict out.

Promised: pure but for the token check. The order is: 401 token, 400 job id, 404 job, 403 application, 413
size, 415 type, 400 body and file. A file that is too big and broken is a 413 if its records can be counted.
Not promised: that the service checks in this order or replies with these bodies. Only the statuses 401, 403,
400 and 413 are known, from users' reports and Microsoft's script.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs

from irmemulator.file_rules import Pair, Record, Refusal, Table, apply_rules, read_table
from irmemulator.hr_rules import MAX_RECORDS, apply_hr_rules
from irmemulator.http_messages import Headers, Reply, Request, error_reply, json_reply
from irmemulator.issued_tokens import Grant
from irmemulator.multipart import FilePart, is_form_data, read_file_part
from irmemulator.settings import Job, Options, is_guid


@dataclass(frozen=True)
class Verdict:
    """What the upload's reply will be, and what to record of it."""

    status: int
    code: str | None
    message: str
    job: Job | None
    sha256: str | None
    size: int
    received: int
    kept: tuple[Record, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)

    def reply(self, request_id: str) -> Reply:
        """The reply. A 2xx does not have RecordsSaved: the real one does not either.

        The form of the service's own body is unverified: Microsoft's script prints it only "if there is one".
        """
        ids: Headers = (("request-id", request_id), ("x-ms-request-id", request_id))
        if self.code is None:
            return json_reply(self.status, {"message": self.message}, *ids)
        if self.status == HTTPStatus.UNAUTHORIZED:
            word = "Bearer" if self.code == "no_token" else 'Bearer error="invalid_token"'
            ids = (*ids, ("WWW-Authenticate", word))
        return error_reply(self.status, self.code, self.message, *ids)


def check_upload(  # noqa: PLR0911 - a reply each, in the order of the checks
    request: Request,
    jobs: Mapping[str, Job],
    check: Callable[[str | None], Grant | None],
    options: Options,
    known_pairs: Callable[[str], Collection[Pair]],
) -> Verdict:
    """Check an upload.

    ``jobs`` are by id, in lower case; ``check`` returns the grant behind an Authorization header, and
    ``known_pairs`` the pairs of a job's earlier files.
    """
    content = _read(request)
    job = jobs.get(_job_id(request).lower())

    def refuse(status: int, refusal: Refusal) -> Verdict:
        file = (job, content.sha256, content.size, content.received)
        return Verdict(status, refusal.code, refusal.message, *file)

    grant = check(request.headers.get("authorization"))
    if grant is None:
        return refuse(401, _why_no_grant(request))
    if not is_guid(_job_id(request)):
        return refuse(400, Refusal("job_id_missing", "the query must have jobid=<GUID>"))
    if job is None:
        return refuse(
            404,
            Refusal("job_unknown", "this emulator has no such connector; start it with --profile PROFILE"),
        )
    if grant.app_id.lower() != job.app_id.lower():
        why = "the connector was created with another application id"
        return refuse(403, Refusal("app_not_the_jobs", why))
    too_much = _why_too_much(content, job, options)
    if too_much is not None:
        return refuse(413, too_much)
    if not is_form_data(request.headers.get("content-type")):
        why = "the Content-Type must be multipart/form-data"
        return refuse(415, Refusal("not_form_data", why))
    if isinstance(content.table, Refusal):
        return refuse(400, content.table)
    outcome = (
        apply_hr_rules(content.table, job)
        if job.kind == "hr"
        else apply_rules(content.table, job, options, known_pairs(job.job_id))
    )
    if isinstance(outcome, Refusal):
        return refuse(outcome.status, outcome)
    file = (job, content.sha256, content.size, outcome.received)
    return Verdict(200, None, "Accepted", *file, outcome.kept, outcome.dropped)


@dataclass(frozen=True)
class _Content:
    """The file, as far as it can be read: its size is checked before its content."""

    table: Table | Refusal
    sha256: str | None
    size: int

    @property
    def received(self) -> int:
        return len(self.table.rows) if isinstance(self.table, Table) else 0


def _read(request: Request) -> _Content:
    if request.body is None:
        short = Refusal("body_incomplete", "the body is shorter than its Content-Length")
        return _Content(short, None, request.body_read)
    part = read_file_part(request.headers.get("content-type"), request.body)
    if not isinstance(part, FilePart):
        return _Content(part, None, request.body_read)
    sha256 = hashlib.sha256(part.content).hexdigest()
    return _Content(read_table(part.content), sha256, len(part.content))


def _job_id(request: Request) -> str:
    return parse_qs(request.query).get("jobid", [""])[0]


def _why_no_grant(request: Request) -> Refusal:
    if not request.headers.get("authorization"):
        return Refusal("no_token", "the request has no Authorization header")
    return Refusal("token_not_valid", "the token is unknown, revoked or expired")


def _why_too_much(content: _Content, job: Job, options: Options) -> Refusal | None:
    most = min(options.max_records, MAX_RECORDS) if job.kind == "hr" else options.max_records
    if content.received > most:
        why = f"more than {most} records in one file"
        return Refusal("too_many_records", why)
    if content.size > options.max_bytes:
        return Refusal("too_many_bytes", f"more than {options.max_bytes} bytes in one file")
    return None
