"""The ingestion destination: payloads, and Microsoft's client against the emulator over HTTPS."""

import gzip
import io
import json
import os
import random
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from azure.identity import ClientSecretCredential
from azure.monitor.ingestion import LogsIngestionClient
from irmcore.delivery.reply_text import redacted
from irmcore.disk import PosixDisk
from irmcore.errors import AddressRefused, DamageError
from irmcore.http.outcome import Failure, Reply
from irmcore.http.upload import Upload
from irmcore.outbox import Outbox, sealed
from irmemulator.faults import Fault
from irmsentinel.azure import ingestion, payloads
from irmsentinel.azure.ingestion import IngestionTransport
from irmsentinel.azure.payloads import arrays, split
from irmsentinel.azure.target import checked_endpoint, load_target, save_target
from irmsentinel.emulators.collector_session import read_secret

from tests.fakes.emulated_faults import azure_fault
from tests.sentinel.irmsentinel.collector.collecting import TABLE, Rig


def lines(sizes: list[int]) -> list[bytes]:
    """JSON texts of these lengths."""
    return [json.dumps("x" * (size - 2)).encode() for size in sizes]


def test_arrays_are_within_the_limit() -> None:
    """Each array is as full as the limit allows. No row is lost or moved."""
    chance = random.Random(8)  # noqa: S311 - a repeatable example, no secret
    made = lines([chance.randrange(3, 2_000) for _ in range(5_000)])
    found = list(arrays(made, 10_000))
    assert [row for payload, _ in found for row in json.loads(payload)] == [json.loads(line) for line in made]
    assert [len(json.loads(payload)) for payload, _ in found] == [rows for _, rows in found]
    assert max(len(payload) for payload, _ in found) <= 10_000
    at = 0
    for payload, rows in found[:-1]:
        at += rows
        assert len(payload) + 1 + len(made[at]) > 10_000  # the next row would not have fitted


@pytest.mark.parametrize(("sizes", "rows"), [([4, 3], [2]), ([5, 3], [1, 1]), ([8], [1]), ([], [])])
def test_an_array_may_have_exactly_the_limit(sizes: list[int], rows: list[int]) -> None:
    """Brackets, a comma and rows of seven bytes together are ten bytes."""
    assert [count for _, count in arrays(lines(sizes), 10)] == rows


def test_a_row_larger_than_an_upload_is_an_error() -> None:
    """Callers limit the size of a row; a larger one must not bypass the limit."""
    with pytest.raises(ValueError, match="larger than an upload"):
        list(arrays(lines([9]), 10))


def test_microsofts_own_chunks_exceed_the_limit(rig: Rig) -> None:
    """This is why the client gets whole payloads: its own chunks are larger than the service accepts."""
    at = rig.settings().target
    credential = ClientSecretCredential(
        at.tenant_id,
        at.app_id,
        rig.emulator.secret,
        authority=at.login,
        disable_instance_discovery=True,
        connection_verify=at.ca_file,
    )
    client = LogsIngestionClient(at.endpoint, credential, connection_verify=at.ca_file, retry_total=0)
    refused: list[Any] = []
    rows = [{"Name": "x" * 20} for _ in range(40_000)]
    client.upload(at.rule_id, at.stream, rows, on_error=refused.append)  # type: ignore[arg-type]
    assert {one.error.status_code for one in refused} == {413}


def token(rig: Rig) -> str:
    """A token for Azure Monitor."""
    target = rig.settings().target
    return ingestion.tokens_for(target, ingestion.SCOPES[target.cloud], read_secret).token()


def test_the_halves_of_a_payload_keep_the_order() -> None:
    """The halves are the same every time. A single row cannot be halved."""
    payload = '[{"A":"é"},{"A":2},{"A":3}]'.encode()
    assert split(payload) == (('[{"A":"é"}]'.encode(), 1), (b'[{"A":2},{"A":3}]', 2))
    assert split(b'[{"A":1}]') is None


def test_a_reply_is_redacted() -> None:
    """A reply may quote rows: column names stay, values do not."""
    payload = json.dumps([{"UserId": "sarad@contoso.com", "Data": '{"upn": "bradh@contoso.com"}', "N": 40}])
    said = r'Column UserId: "sarad@contoso.com" in {\"upn\": \"bradh@contoso.com\"}, 40'
    names, values = payloads.contents(payload.encode())
    kept = redacted(said, values, names=names, token="", page=False, cut=False)
    assert kept == 'Column UserId: "…" in {"upn": "…@…"}, 40'


def post(rig: Rig, payload: bytes, **other: Any) -> tuple[Any, int]:
    """The outcome of one upload, and how often COMMIT was called before it."""
    target = rig.settings().target
    at = {"endpoint": target.endpoint, "rule_id": target.rule_id, "stream": target.stream, **other}
    committed = []
    upload = Upload(
        url=f"{at['endpoint']}/dataCollectionRules/{at['rule_id']}/streams/{at['stream']}",
        token=other.get("token") or token(rig),
        file_name="",
        content_type="application/json",
        content=io.BytesIO(payload),
        length=len(payload),
        deadline=20.0,
    )
    transport = IngestionTransport(ca_file=other.get("ca_file", target.ca_file))
    return transport.post(upload, lambda: committed.append(1)), len(committed)


def test_a_payload_is_sent_unchanged_and_compressed_in_one_call(rig: Rig) -> None:
    """One request with the same bytes, in gzip."""
    payload = b'[{"RecordId":"1","RecordType":40}]'
    answer, committed = post(rig, payload)
    assert isinstance(answer, Reply)
    assert (answer.status, committed) == (204, 1)
    assert answer.request_id
    sent = [request for request in rig.emulator.requests if "/streams/" in request.path]
    assert [gzip.decompress(request.body) for request in sent] == [payload]
    assert sent[0].headers["content-encoding"] == "gzip"
    assert rig.ids() == ["1"]


def test_an_answer_keeps_its_status_and_details(rig: Rig) -> None:
    """Status, code, request ID and Retry-After survive whatever exception Microsoft's client raises."""
    answers = {
        "too large": post(rig, json.dumps([{"Name": "x" * 1_000_000}]).encode())[0],
        "no array": post(rig, b'{"Name": 1}')[0],
        "unknown rule": post(rig, b"[]", rule_id=f"dcr-{'9' * 32}")[0],
        "unknown stream": post(rig, b"[]", stream="Custom-Other")[0],
        "another's token": post(rig, b"[]", token="x")[0],
    }
    assert {name: answer.status for name, answer in answers.items()} == {
        "too large": 413,
        "no array": 400,
        "unknown rule": 404,
        "unknown stream": 400,
        "another's token": 401,
    }
    assert answers["unknown stream"].text.startswith("InvalidStream: ")
    rig.emulator.faults.next(azure_fault("upload", 429, headers={"Retry-After": "17"}))
    assert post(rig, b"[]")[0].wait == 17.0
    rig.emulator.faults.next(
        azure_fault("upload", 200, body=b"<html>", headers={"Content-Type": "text/html"})
    )
    assert post(rig, b"[]")[0].page


def test_an_answer_without_end_is_not_read(rig: Rig) -> None:
    """The outcome is in doubt, as without an answer."""
    bomb = gzip.compress(b" " * 2 * 1024 * 1024)
    rig.emulator.faults.next(azure_fault("upload", 400, body=bomb, headers={"Content-Encoding": "gzip"}))
    answer, _ = post(rig, b"[]")
    assert isinstance(answer, Failure)
    assert answer.committed


def test_an_echo_of_the_request_is_kept_nowhere(rig: Rig) -> None:
    """Neither the token nor a value of a row, in any field of an error, reaches a file of the outbox."""
    record = rig.alert(3600)
    kept = token(rig)
    echo = f"{quote(record['UserId'])} {record['Id']} Bearer {kept} {json.dumps(json.dumps(record))}"
    error = {"error": {"code": echo, "message": echo, "details": [{"code": echo, "message": echo}]}}
    headers = dict.fromkeys(("x-ms-request-id", "Retry-After", "x-ms-client-request-id"), echo[:200])
    rig.emulator.faults.next(azure_fault("upload", 403, body=json.dumps(error).encode(), headers=headers))
    rig.collector_service().round()
    histories = [path.read_text() for path in rig.root.rglob("audit.log")]
    assert any("http-403" in history for history in histories)
    for forbidden in (kept[:20], record["UserId"], quote(record["UserId"]), record["Id"]):
        assert not any(forbidden in history for history in histories)


def test_a_redirect_is_not_followed(rig: Rig) -> None:
    """It would carry the token and the rows elsewhere."""
    rig.emulator.faults.next(azure_fault("upload", 307, headers={"Location": f"{rig.emulator.url}/other"}))
    answer, _ = post(rig, b"[]")
    assert answer.status == 307
    assert rig.emulator.count("/other") == 0


def test_no_answer_is_in_doubt_only_after_something_was_sent(rig: Rig, tmp_path: Path) -> None:
    """A refused or untrusted connection sent nothing. After a broken one the outcome is unknown."""
    assert post(rig, b"[]", endpoint="https://localhost:1")[0] == Failure("refused", committed=False)
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    assert post(rig, b"[]", ca_file=str(other))[0] == Failure("tls", committed=False)
    rig.emulator.faults.next(Fault("upload", close_without_reply=True, keep=True))
    assert post(rig, b'[{"RecordId":"1"}]')[0] == Failure("reset", committed=True)
    assert rig.ids() == ["1"]


def test_the_environment_is_ignored(rig: Rig) -> None:
    """A CA bundle in the environment must not override the settings."""
    os.environ["REQUESTS_CA_BUNDLE"] = "/nowhere.pem"
    try:
        assert post(rig, b"[]")[0].status == 204
    finally:
        del os.environ["REQUESTS_CA_BUNDLE"]


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://a-b1.westeurope-1.ingest.monitor.azure.com", True),
        ("https://x.ingest.monitor.azure.us/", True),
        ("http://x.ingest.monitor.azure.com", False),
        ("https://x.ingest.monitor.azure.com.evil.example", False),
        ("https://evil.example/x.ingest.monitor.azure.com", False),
        ("https://u@x.ingest.monitor.azure.com", False),
        ("https://x.ingest.monitor.azure.com:8443", False),
        ("https://localhost:1", False),
        ("", False),
    ],
)
def test_rows_and_token_go_only_to_azure_monitor(url: str, good: bool) -> None:  # noqa: FBT001
    """Neither a typing error nor a changed file can send them elsewhere."""
    if good:
        assert checked_endpoint(url, emulator=False) == url.rstrip("/")
        return
    with pytest.raises(AddressRefused):
        checked_endpoint(url, emulator=False)


def test_the_stored_target_is_loaded_and_its_host_is_checked(rig: Rig) -> None:
    """A drain needs no settings file, and does not trust the stored one more than any other."""
    outbox = Outbox(PosixDisk(), rig.clock, str(rig.root / "box"))
    outbox.create()
    with pytest.raises(DamageError):
        load_target(outbox)
    target = rig.settings().target
    save_target(outbox, target)
    assert load_target(outbox) == target
    text = (rig.root / "box" / "connector.json").read_text()
    assert "secret" in text  # the path of it
    assert rig.emulator.secret not in text
    changed = sealed.decode(text.encode()) | {"endpoint": "https://evil.example"}
    (rig.root / "box" / "connector.json").write_bytes(sealed.encode(changed))
    with pytest.raises(AddressRefused):
        load_target(outbox)


def test_the_emulator_applies_the_rule(rig: Rig) -> None:
    """It drops undeclared columns, cuts values at 64 KB and sets TimeGenerated, as Azure does."""
    row = {"RecordId": "1", "NoColumn": "x", "Comments": "y" * 70_000, "AlertLinks": [{"a": 1}]}
    post(rig, json.dumps([row]).encode())
    (kept,) = rig.emulator.ingestion.rows[TABLE]
    assert "NoColumn" not in kept
    assert len(kept["Comments"]) == 65_536
    assert kept["AlertLinks"] == [{"a": 1}]
    assert kept["TimeGenerated"] == "2026-11-21T12:00:00Z"
