"""The control path: faults set, shown and cleared by other processes."""

from __future__ import annotations

import json

import pytest
from irmemulator.fault_control import faults_to_json, pending_from_json, set_faults
from irmemulator.fault_queue import Faults, Pending
from irmemulator.faults import Fault

from tests.common.irmemulator.client import Client
from tests.fakes.emulated_faults import page_fault


@pytest.mark.parametrize(
    ("text", "pending"),
    [
        (b'{"status": 503}', [Pending(Fault(status=503), 1)]),
        (
            b'{"on": "token", "status": 429, "retry_after": 7, "count": 3}',
            [Pending(Fault(on="token", status=429, retry_after=7), 3)],
        ),
        (
            b'[{"delay": 1, "count": null}, {"reset_after_last_byte": true, "keep": false}]',
            [
                Pending(Fault(delay=1), None),
                Pending(Fault(reset_after_last_byte=True, keep=False), 1),
            ],
        ),
        (
            b'{"status": 302, "location": "https://x", "headers": {"A": "b"}, "body": null}',
            [Pending(Fault(status=302, location="https://x", headers=(("A", "b"),)), 1)],
        ),
        (b"[]", []),
    ],
)
def test_reads_faults(text: bytes, pending: list[Pending]) -> None:
    """The JSON has the fields of a fault, and a count."""
    assert list(pending_from_json(text)) == pending


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"7", "a JSON object"),
        (b"[[]]", "a JSON object"),
        (b'{"statsu": 500}', "did you mean status"),
        (b'{"secret-word": 500}', "no field of that name"),
        (b'{"status": "500"}', "status has the wrong type"),
        (b'{"status": true}', "status has the wrong type"),
        (b'{"status": 500.5}', "status has the wrong type"),
        (b'{"delay": null}', "delay has the wrong type"),
        (b'{"close_without_reply": 1}', "close_without_reply has the wrong type"),
        (b'{"status": 500, "headers": []}', "headers must be"),
        (b'{"status": 500, "headers": {"a": 1}}', "value of a header"),
        (b'{"status": 500, "count": 0}', "count must be"),
        (b'{"status": 500, "count": true}', "count must be"),
        (b'{"status": 99}', "from 200 to 599"),
        (b'{"on": "page", "status": 500}', "on must be one of"),
    ],
)
def test_refuses_other_json(text: bytes, words: str) -> None:
    """Anything else is refused as a whole, with the nearest known name, and the message does not quote it."""
    faults = Faults()
    with pytest.raises(ValueError, match=words) as refusal:
        set_faults(faults, text)
    assert faults.pending == ()
    assert "secret-word" not in str(refusal.value)


def test_what_is_shown_can_be_set_again() -> None:
    """The faults that wait are shown in the form in which they are set."""
    faults, again = Faults(), Faults()
    text = b'[{"status": 429, "headers": {"A": "b"}, "retry_after": "x", "count": 2}]'
    set_faults(faults, text)
    faults.until_cleared(page_fault("token"))
    shown = faults_to_json(faults)
    set_faults(again, json.dumps(shown["pending"]).encode())
    assert again.pending == faults.pending


def test_over_http(client: Client) -> None:
    """Faults are set, shown and cleared over HTTP."""
    url = f"{client.emulator.url}/control/faults"
    reply = client.session.post(url, json={"status": 503, "count": 2}, timeout=10, auth=client.control)
    expected = {"pending": [{"on": "upload", "status": 503, "count": 2}], "taken": 0}
    assert (reply.status_code, reply.json()) == (200, expected)
    assert client.upload().status_code == 503
    assert client.get("/control/faults").json()["taken"] == 1
    assert client.session.delete(url, timeout=10, auth=client.control).json() == {"pending": [], "taken": 1}
    assert client.upload().status_code == 200


def test_http_refusals(client: Client) -> None:
    """A wrong fault is a 400. A form, which a page of another site could send, is a 415."""
    url = f"{client.emulator.url}/control/faults"
    wrong = client.session.post(url, json={"statsu": 1}, timeout=10, auth=client.control)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "fault_not_possible")
    plain = {"Content-Type": "text/plain"}
    text = client.session.post(url, data='{"status":500}', headers=plain, timeout=10, auth=client.control)
    assert text.status_code == 415
    assert client.emulator.faults.pending == ()
