"""POST /api/signals over HTTPS: the checks, their order and their replies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from irmemulator.settings import Options

from tests.common.irmemulator.client import (
    ANY_HEADER,
    APP,
    BOUNDARY,
    JOB,
    OTHER_APP,
    TENANT,
    TWO_ROWS,
    Client,
    form,
)

UNKNOWN_JOB = "99999999-9999-4999-8999-999999999999"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def test_an_upload_is_accepted(client: Client) -> None:
    """A good file gets a 2xx with a request id and without RecordsSaved, and is recorded."""
    reply = client.upload()
    assert reply.status_code == 200
    assert "saved" not in reply.text.lower()
    (upload,) = client.emulator.uploads
    assert reply.headers["request-id"] == reply.headers["x-ms-request-id"] == upload.request_id
    assert str(UUID(upload.request_id)) == upload.request_id
    assert (upload.job_id, upload.status, upload.code, upload.fault) == (
        JOB.job_id,
        200,
        None,
        None,
    )
    assert upload.sha256 == hashlib.sha256(TWO_ROWS.encode()).hexdigest()
    assert upload.bytes == len(TWO_ROWS)
    assert (upload.records_received, upload.records_saved, upload.dropped) == (2, 2, {})
    assert [record.user for record in client.emulator.records(JOB.job_id)] == [
        "sarad@contoso.com",
        "bradh@contoso.com",
    ]


def test_an_upload_as_http_clients_write_ids(client: Client) -> None:
    """A job id may be written in upper case."""
    assert client.upload(job=replace(JOB, job_id=JOB.job_id.upper())).status_code == 200


def test_repeated_pairs_are_dropped_silently(client: Client) -> None:
    """A file with a repeated pair gets the same reply as one without."""
    good = client.upload()
    repeated = client.upload(TWO_ROWS + TWO_ROWS.splitlines()[1] + "\n")
    assert (repeated.status_code, repeated.json()) == (good.status_code, good.json())
    upload = client.emulator.uploads[-1]
    assert (upload.records_received, upload.records_saved) == (3, 2)
    assert upload.dropped == {"pair_repeated": 1}


@pytest.mark.parametrize("remember", [False, True])
def test_pairs_of_an_earlier_file(client_with: Callable[..., Client], *, remember: bool) -> None:
    """The same file again is kept again, unless the emulator remembers pairs."""
    client = client_with(Options(remember_pairs_across_files=remember))
    assert [client.upload().status_code for _ in range(2)] == [200, 200]
    assert [upload.records_saved for upload in client.emulator.uploads] == [
        2,
        0 if remember else 2,
    ]


# Every request below is wrong in all the ways that come after its own: so the order is held.
@pytest.mark.parametrize(
    ("query", "app", "kind", "body", "status", "code"),
    [
        ("", None, "text/csv", b"x" * 101, 401, "no_token"),
        ("", APP, "text/csv", b"x" * 101, 400, "job_id_missing"),
        ("?jobid=5", APP, "text/csv", b"x" * 101, 400, "job_id_missing"),
        (f"?jobid={UNKNOWN_JOB}", APP, "text/csv", b"x" * 101, 404, "job_unknown"),
        (f"?jobid={JOB.job_id}", OTHER_APP, "text/csv", b"x" * 101, 403, "app_not_the_jobs"),
        (f"?jobid={JOB.job_id}", APP, "text/csv", b"x" * 101, 413, "too_many_bytes"),
        (f"?jobid={JOB.job_id}", APP, "text/csv", b"x" * 100, 415, "not_form_data"),
        (f"?jobid={JOB.job_id}", APP, FORM, b"x" * 100, 400, "not_multipart"),
        (f"?jobid={JOB.job_id}", APP, FORM, form("x" * 101), 413, "too_many_bytes"),
        (f"?jobid={JOB.job_id}", APP, FORM, form("a\n1\n2\n3\n4"), 413, "too_many_records"),
        (f"?jobid={JOB.job_id}", APP, FORM, form("a\n1\n2\n3"), 400, "columns_differ"),
        (f"?jobid={JOB.job_id}", APP, FORM, form(""), 400, "empty_file"),
        (f"?jobid={JOB.job_id}", APP, FORM, form("x", name="data"), 400, "part_not_named_file"),
        (f"?jobid={JOB.job_id}", APP, FORM, form("x", file_name=None), 400, "no_file_name"),
    ],
)
def test_the_order_of_the_checks(  # noqa: PLR0917 - a row of the table
    client_with: Callable[..., Client],
    query: str,
    app: object,
    kind: str,
    body: bytes,
    status: int,
    code: str,
) -> None:
    """The first check that fails decides the status, and nothing is kept."""
    client = client_with(Options(max_bytes=100, max_records=3))
    headers = {"Content-Type": kind}
    if app is not None:
        token = client.token(OTHER_APP if app is OTHER_APP else APP)
        headers["Authorization"] = f"Bearer {token}"
    url = f"{client.emulator.url}/api/signals{query}"
    reply = client.session.post(url, data=body, headers=headers, timeout=10)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert ("WWW-Authenticate" in reply.headers) is (status == 401)
    (upload,) = client.emulator.uploads
    assert (upload.status, upload.code, upload.records_saved) == (status, code, 0)
    assert client.emulator.records(JOB.job_id) == ()


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        (None, "Bearer"),
        ("Bearer emulated.unknown", 'Bearer error="invalid_token"'),
        ("Basic eDp5", 'Bearer error="invalid_token"'),
    ],
)
def test_without_a_good_token(client: Client, header: str | None, challenge: str) -> None:
    """Without a token, or with an unknown one, the reply is a 401 with a challenge."""
    reply = client.session.post(
        f"{client.emulator.url}/api/signals?jobid={JOB.job_id}",
        files={"file": ("data.csv", TWO_ROWS)},
        headers={} if header is None else {"Authorization": header},
        timeout=10,
    )
    assert (reply.status_code, reply.headers["WWW-Authenticate"]) == (401, challenge)


def test_limits_are_inclusive(client_with: Callable[..., Client]) -> None:
    """A file with exactly the maximum of records or bytes is accepted."""
    client = client_with(Options(max_records=2, max_bytes=len(TWO_ROWS)))
    assert client.upload().status_code == 200
    assert client.upload(TWO_ROWS.rstrip("\n") + "1\n").status_code == 413


def test_five_thousand_records(client: Client) -> None:
    """By default a file may have 5,000 records, not more."""
    rows = [f"u{n}@contoso.com,2023-04-20T05:52:56Z,1" for n in range(5001)]
    most = "\n".join(["User,Time,Score", *rows[:5000]])
    assert client.upload(most).status_code == 200
    assert client.emulator.records_saved(JOB.job_id) == 5000
    too_many = client.upload("\n".join(["User,Time,Score", *rows]))
    assert (too_many.status_code, too_many.json()["error"]["code"]) == (413, "too_many_records")


def test_unknown_source_values(client_with: Callable[..., Client]) -> None:
    """An unrelated source value drops its record or, with the option, refuses the file."""
    job = replace(ANY_HEADER, source_column="App", related_values=("Dropbox",))
    file = "UserPrincipalName,Time,App\na@x,2023-04-24T05:52:56Z,Dropbox\nb@x,2023-04-24T05:52:56Z,Box\n"
    lax = client_with(jobs=[job])
    assert lax.upload(file, job).status_code == 200
    assert lax.emulator.uploads[0].dropped == {"source_value_unknown": 1}
    strict = client_with(Options(refuse_unknown_source_values=True), jobs=[job])
    assert strict.upload(file, job).json()["error"]["code"] == "source_value_unknown"
    assert strict.emulator.records(job.job_id) == ()


def test_no_secret_and_no_row_in_a_refusal(client: Client) -> None:
    """A refusal quotes neither the token nor a row."""
    token = client.token()
    reply = client.upload("User,Time,Score\nanna@contoso.com,x\n", token=token)
    assert reply.status_code == 400
    assert not [word for word in (token, APP.secret, "anna") if word in reply.text]
    assert TENANT not in reply.text
