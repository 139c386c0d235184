"""Tokens through the real MSAL: each refusal or fault of Entra ID has a helpful message."""

from __future__ import annotations

import gzip
import logging
from dataclasses import replace

import pytest
from irmcore.delivery import circuit_breaker
from irmcore.delivery.breaker_store import load_breaker
from irmcore.delivery.connection import Connection
from irmcore.http.deadlines import MAX_TOKEN_BYTES
from irmcore.operations.operations import resume
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import App, Job

from tests.fakes.emulated_faults import page_fault
from tests.with_emulator.connector import Rig, row


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (Fault(on="token", status=500), "token-msalserviceerror"),
        (Fault(on="token", status=503), "token-msalserviceerror"),
        (page_fault("token"), "token-"),
        (
            Fault(on="token", status=200, body='{"token_type": "Bearer"}'),
            "token-no-token",
        ),
        (Fault(on="token", reset_after_last_byte=True), "token-connectionerror"),
        (Fault(on="token", close_without_reply=True), "token-connectionerror"),
        (Fault(on="discovery", status=500), "token-"),
        (page_fault("discovery"), "token-"),
    ],
    ids=lambda value: getattr(value, "label", None) or str(value),
)
def test_a_token_endpoint_that_misbehaves_costs_no_batch(rig: Rig, fault: Fault, trouble: str) -> None:
    """Without a token nothing is sent and no batch is dead, and the next drain delivers."""
    rig.accept([row(1)])
    rig.emulator.faults.next(fault)
    report = rig.drain()
    assert report.trouble.startswith(trouble)
    assert report.advice
    assert rig.states() == [("READY", "")]
    assert rig.emulator.uploads == ()
    assert rig.drain().sent == 1


def test_a_token_answer_without_end_is_not_read(rig: Rig) -> None:
    """A good token and a megabyte of spaces: as gzip a kilobyte, and of any size once decompressed."""
    answer = (
        b'{"access_token": "x", "token_type": "Bearer", "expires_in": 3599' + b" " * MAX_TOKEN_BYTES + b"}"
    )
    packed = (("Content-Encoding", "gzip"),)
    rig.emulator.faults.next(Fault(on="token", status=200, body=gzip.compress(answer), headers=packed))
    rig.accept([row(1)])
    assert rig.drain().trouble == "token-contentdecodingerror"
    assert rig.emulator.uploads == ()
    assert rig.drain().sent == 1


def test_a_throttled_token_endpoint_costs_no_batch(rig: Rig) -> None:
    """A 429 of the login host leaves the queue unchanged."""
    rig.accept([row(1)])
    rig.emulator.faults.next(Fault(on="token", status=429, retry_after=3))
    report = rig.drain()
    assert report.sent == 0
    assert report.trouble.startswith("token-")
    assert rig.states() == [("READY", "")]


def _at(rig: Rig, **changes: str) -> Connection:
    return replace(rig.connection, connector=replace(rig.connection.connector, **changes))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"app_id": "99999999-9999-4999-8999-999999999999"}, "AADSTS700016"),
        ({"resource_app_id": "99999999-9999-4999-8999-999999999999"}, "AADSTS500011"),
    ],
)
def test_a_wrong_setting_is_named_by_entras_code(rig: Rig, changes: dict[str, str], code: str) -> None:
    """A refusal of Entra ID pauses the connector, and the message has its code and what to check."""
    rig.accept([row(1)])
    report = rig.sender(lambda _: _at(rig, **changes)).drain()
    assert report.trouble == f"token-{code}"
    assert any(key in report.advice for key in changes)
    assert load_breaker(rig.outbox)[0].mode == circuit_breaker.PAUSED
    assert rig.states() == [("READY", "")]


def test_an_unknown_tenant_is_explained(rig: Rig) -> None:
    """For an unknown tenant, the message names the setting to check."""
    rig.accept([row(1)])
    unknown = "99999999-9999-4999-8999-999999999999"
    report = rig.sender(lambda _: _at(rig, tenant_id=unknown)).drain()
    assert "tenant_id" in report.advice


def test_a_wrong_secret_is_named_and_a_right_one_resumes(rig: Rig) -> None:
    """After a wrong secret the queue is intact; with the right one and `resume` it is sent."""
    secret = rig.directory / "emulator" / "secret"
    right = secret.read_text()
    secret.write_text("emulator-only-wrong")
    rig.accept([row(1)])
    report = rig.drain()
    assert report.trouble == "token-AADSTS7000215"
    assert "value, not its ID" in report.advice
    secret.write_text(right)
    assert resume(rig.outbox, who="someone")
    assert rig.drain().sent == 1


def test_an_expired_secret_is_named(rig: Rig) -> None:
    """An expired secret says so, and what to do."""
    connector = rig.connection.connector
    secret = (rig.directory / "emulator" / "secret").read_text().strip()
    app = App(connector.tenant_id, connector.app_id, secret, expired=True)
    job = Job(job_id=connector.job_id, app_id=connector.app_id, name="expired")
    with PurviewEmulator([app], [job], lifetime=60) as other:

        def elsewhere(same: Connection) -> Connection:
            return replace(same, emulator=other.url, emulator_ca=str(other.ca_file))

        rig.accept([row(1)])
        report = rig.sender(elsewhere).drain()
    assert report.trouble == "token-AADSTS7000222"
    assert "expired" in report.advice


def test_msal_logs_no_body(rig: Rig, capfd: pytest.CaptureFixture[str]) -> None:
    """MSAL's log, which quotes replies, reaches no handler of the program and not standard error."""
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    rig.accept([row(1)])
    rig.emulator.faults.next(Fault(on="token", status=200, body="<html>marker-of-a-body</html>"))
    rig.drain()
    logging.getLogger().removeHandler(handler)
    assert "marker-of-a-body" not in " ".join(seen)
    assert capfd.readouterr().err == ""
