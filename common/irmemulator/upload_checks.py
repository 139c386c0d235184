"""The checks of `POST /api/signals`, in their order: a request in, a verdict out.

Promised: pure but for the token check. The order is: 401 token, 400 job id, 404 job, 403
application, 413 size, 415 type, 400 body and file. A file that is too big and broken is a 413 if
its records can be counted. Not promised: that the service checks in this
order or replies with these bodies; only that it is a 401, 403, 400 or 413 is known from users'
reports and Microsoft's script.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs

from irmemulator.entra import Grant
from irmemulator.file_rules import Pair, Record, Refusal, Table, judge, read_table
from irmemulator.http_messages import Headers, Reply, error_reply, json_reply
from irmemulator.multipart import FilePart, is_form_data, read_file_part
from irmemulator.settings import Job, Options, is_guid


@dataclass(frozen=True)
class Signal:
    """An upload as far as its checks need it.

    Attributes:
        authorization: The Authorization header. Not in the repr.
        query: The part of the request's target after the "?".
        content_type: The Content-Type header.
        body: The body; None when it was not, or not wholly, read.
        body_read: How many bytes of the body were read.
    """

    authorization: str | None = field(repr=False)
    query: str
    content_type: str | None
    body: bytes | None = field(repr=False)
    body_read: int


@dataclass(frozen=True)
class Verdict:
    """What the upload's reply is to be, and what to remember of it."""

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
        """The reply. A 2xx does not say RecordsSaved: the real one does not either.

        What the service's own body looks like is unverified: Microsoft's script prints it only
        "if there is one".
        """
        ids: Headers = (("request-id", request_id), ("x-ms-request-id", request_id))
        if self.code is None:
            return json_reply(self.status, {"message": self.message}, *ids)
        if self.status == HTTPStatus.UNAUTHORIZED:
            word = "Bearer" if self.code == "no_token" else 'Bearer error="invalid_token"'
            ids = (*ids, ("WWW-Authenticate", word))
        return error_reply(self.status, self.code, self.message, *ids)


def decide(  # noqa: PLR0911 - a reply each, in the order of the checks
    signal: Signal,
    jobs: Mapping[str, Job],
    check: Callable[[str | None], Grant | None],
    options: Options,
    known_pairs: Callable[[str], Collection[Pair]],
) -> Verdict:
    """Check an upload.

    Args:
        signal: The upload.
        jobs: The jobs by id, in lower case.
        check: Gives the grant behind an Authorization header.
        options: Limits, and what to do where documents are silent.
        known_pairs: Gives the pairs of a job's earlier files.
    """
    reading = _read(signal)
    job = _job_of(signal.query, jobs)

    def refuse(status: int, refusal: Refusal) -> Verdict:
        return Verdict(
            status,
            refusal.code,
            refusal.message,
            job,
            reading.sha256,
            reading.size,
            reading.received,
        )

    grant = check(signal.authorization)
    if grant is None:
        return refuse(401, _why_no_grant(signal))
    if not is_guid(_job_id(signal.query)):
        return refuse(400, Refusal("job_id_missing", "the query must have jobid=<GUID>"))
    if job is None:
        return refuse(404, Refusal("job_unknown", "no connector has this job id"))
    if grant.app_id.lower() != job.app_id.lower():
        why = "the connector was created with another application id"
        return refuse(403, Refusal("app_not_the_jobs", why))
    too_much = _why_too_much(reading, options)
    if too_much is not None:
        return refuse(413, too_much)
    if not is_form_data(signal.content_type):
        why = "the Content-Type must be multipart/form-data"
        return refuse(415, Refusal("not_form_data", why))
    if isinstance(reading.table, Refusal):
        return refuse(400, reading.table)
    judged = judge(reading.table, job, options, known_pairs(job.job_id))
    if isinstance(judged, Refusal):
        return refuse(400, judged)
    return Verdict(
        200,
        None,
        "Accepted",
        job,
        reading.sha256,
        reading.size,
        judged.received,
        judged.kept,
        judged.dropped,
    )


@dataclass(frozen=True)
class _Reading:
    """The file as far as it can be read: its size is checked before its content."""

    table: Table | Refusal
    sha256: str | None
    size: int

    @property
    def received(self) -> int:
        return len(self.table.rows) if isinstance(self.table, Table) else 0


def _read(signal: Signal) -> _Reading:
    if signal.body is None:
        short = Refusal("body_incomplete", "the body is shorter than its Content-Length")
        return _Reading(short, None, signal.body_read)
    part = read_file_part(signal.content_type, signal.body)
    if not isinstance(part, FilePart):
        return _Reading(part, None, signal.body_read)
    sha256 = hashlib.sha256(part.content).hexdigest()
    return _Reading(read_table(part.content), sha256, len(part.content))


def _job_id(query: str) -> str:
    return parse_qs(query).get("jobid", [""])[0]


def _job_of(query: str, jobs: Mapping[str, Job]) -> Job | None:
    return jobs.get(_job_id(query).lower())


def _why_no_grant(signal: Signal) -> Refusal:
    if not signal.authorization:
        return Refusal("no_token", "the request has no Authorization header")
    return Refusal("token_not_valid", "the token is unknown, revoked or expired")


def _why_too_much(reading: _Reading, options: Options) -> Refusal | None:
    if reading.received > options.max_records:
        why = f"more than {options.max_records} records in one file"
        return Refusal("too_many_records", why)
    if reading.size > options.max_bytes:
        return Refusal("too_many_bytes", f"more than {options.max_bytes} bytes in one file")
    return None
