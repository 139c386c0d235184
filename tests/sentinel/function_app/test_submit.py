"""The button: an incident's row from a playbook's request to the connector, and every refusal before it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from irmcli.main import main

from tests.fakes import functions_host
from tests.sentinel.irmsentinel.export.exports import Stage, profile
from tests.sentinel.irmsentinel.functions.incidents import NAME, api_account, incident

PLAYBOOK = "99999999-9999-4999-8999-999999999999"
SIGNED_IN = {"X-MS-CLIENT-PRINCIPAL-IDP": "aad", "X-MS-CLIENT-PRINCIPAL-ID": PLAYBOOK}
SARAD = api_account("sarad")


def press(
    *entities: dict[str, Any], headers: dict[str, str] | None = None, body: bytes | None = None, **more: Any
) -> tuple[int, dict[str, Any]]:
    """The answer to a playbook's request."""
    request = {"profile": "sentinel-incidents", "incident": incident(), "entities": list(entities), **more}
    sent = json.dumps(request).encode() if body is None else body
    response = functions_host.post("submit", SIGNED_IN if headers is None else headers, sent)
    assert response.mimetype == "application/json"
    return response.status_code, json.loads(response.get_body())


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """App settings of a deployed app, without a service that it could reach."""
    (tmp_path / "settings").mkdir()
    settings = {
        "IRMEXPORT_OUTBOX": str(tmp_path / "outbox"),
        "IRMEXPORT_SETTINGS": str(tmp_path / "settings"),
        "IRMEXPORT_SUBMITTERS": f"{'8' * 8}-8888-4888-8888-{'8' * 12}, {PLAYBOOK.upper()}",
        "IRMEXPORT_SUBMIT_OPTIONS": f"--emulator '{tmp_path}/emulator'",
        "WEBSITE_AUTH_ENABLED": "True",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def stage(tmp_path: Path, app: None) -> Iterator[Stage]:
    """The same, with the connector's emulator."""
    with Stage(tmp_path, profile("sentinel-incidents")).running() as running:
        yield running


def test_the_host_finds_the_button_without_a_key() -> None:
    """It takes POST only; who may call it is decided by Entra and by the function, not by a shared key."""
    bindings = [json.loads(str(one)) for one in functions_host.load()["submit"].get_raw_bindings()]
    (trigger,) = (one for one in bindings if one["type"] == "httpTrigger")
    assert (trigger["route"], trigger["methods"]) == ("submit", ["POST"])
    assert trigger["authLevel"].lower() == "anonymous"


def test_pressing_sends_once(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The answer has the receipt; a later press, after the incident changed, sends nothing and says so."""
    caplog.set_level(logging.DEBUG)
    status, first = press(SARAD)
    assert (status, first["result"]) == (200, "sent"), first
    assert first["batches"][0][:12] in first["message"]
    assert first["run"] in first["message"]
    changed = incident(title="Renamed", severity="High")
    status, again = press(api_account("", "", aadUserId="x"), SARAD, accounts="one", incident=changed)
    assert status == 422, again  # another account was added meanwhile
    status, again = press(SARAD, incident=changed)
    assert (status, again["result"], again["batches"]) == (200, "known", []), again
    (row,) = stage.kept("sentinel-incidents")
    assert (row["UserPrincipalName"], row["Incident"]) == ("sarad@contoso.com", NAME.lower())
    assert row["EventTime"].startswith("2026-11-20T10:00:00.")
    said = caplog.text + json.dumps([first, again])
    assert "sarad" not in said
    assert "password" not in said


def test_a_row_for_each_account_and_a_row_that_is_refused(stage: Stage) -> None:
    """With `accounts: each`, every account has its row; a name that is no UPN is refused, with advice."""
    status, both = press(SARAD, api_account("evand"), accounts="each")
    assert (status, both["result"]) == (200, "sent"), both
    status, refused = press(api_account("local-admin", ""))
    assert (status, refused["result"]) == (422, "refused")
    assert "The profile refuses a row: UserPrincipalName: " in refused["message"]
    assert "local-admin" not in json.dumps(refused)
    users = {row["UserPrincipalName"] for row in stage.kept("sentinel-incidents")}
    assert users == {"sarad@contoso.com", "evand@contoso.com"}


def test_a_service_that_is_away_keeps_the_row(tmp_path: Path, app: None) -> None:
    """The row is accepted, the answer says that it is queued, and a later press sends it by the drain."""
    stage = Stage(tmp_path, profile("sentinel-incidents"))
    with stage.running():
        pass  # announced, then gone
    status, queued = press(SARAD)
    assert (status, queued["result"]) == (202, "queued"), queued
    assert queued["batches"]
    status, again = press(SARAD)
    assert (status, again["result"]) == (200, "known"), again


def test_a_receipt_is_of_this_row(tmp_path: Path, stage: Stage) -> None:
    """Whatever else the same delivery sends: a batch that was queued before."""
    press(SARAD)
    row = {"UserPrincipalName": "evand@contoso.com", "EventTime": "2026-11-19T10:00:00Z", "Incident": "x"}
    row |= {"SourceWorkload": "SentinelIncident", "Title": "t", "Severity": "Low", "AlertCount": "1"}
    (tmp_path / "queued.jsonl").write_text(json.dumps(row) + "\n")
    queue = ["--outbox", str(tmp_path / "outbox"), "send", str(tmp_path / "queued.jsonl"), "--queue-only"]
    own = str(tmp_path / "settings" / "profiles" / "sentinel-incidents.yaml")
    queue += ["--profile", own if Path(own).exists() else "sentinel-incidents"]
    done = CliRunner().invoke(main, [*queue, "--emulator", str(tmp_path / "emulator")])
    assert done.exit_code == 0, done.output
    status, sent = press(api_account("bradh"))
    assert (status, sent["result"]) == (200, "sent"), sent
    assert len(sent["batches"]) == 1
    assert len(stage.kept("sentinel-incidents")) == 3


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-MS-CLIENT-PRINCIPAL-ID": PLAYBOOK},
        {"X-MS-CLIENT-PRINCIPAL-IDP": "github", "X-MS-CLIENT-PRINCIPAL-ID": PLAYBOOK},
        {**SIGNED_IN, "X-MS-CLIENT-PRINCIPAL-ID": "77777777-7777-4777-8777-777777777777"},
        {**SIGNED_IN, "X-MS-CLIENT-PRINCIPAL-ID": ""},
        {"X-MS-CLIENT-PRINCIPAL-IDP": "aad"},
    ],
    ids=["none", "no provider", "another provider", "another caller", "empty", "no id"],
)
def test_a_caller_that_the_platform_did_not_sign_in_is_refused(
    tmp_path: Path, app: None, headers: dict[str, str]
) -> None:
    """Nothing of the request is read, and no outbox is made."""
    status, answer = press(SARAD, headers=headers)
    assert (status, answer["result"]) == (403, "refused")
    assert not (tmp_path / "outbox").exists()


@pytest.mark.parametrize("value", ["", "False"])
def test_headers_prove_nothing_without_authentication(
    app: None, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """If authentication is off, anybody could write the platform's headers."""
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", value)
    status, answer = press(SARAD)
    assert status == 403
    assert "Authentication is off" in answer["message"]


def test_nobody_may_call_without_a_list_of_callers(app: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty setting does not let in a caller without an ID."""
    for value in ("", " , "):
        monkeypatch.setenv("IRMEXPORT_SUBMITTERS", value)
        assert press(SARAD)[0] == 403
        assert press(SARAD, headers={**SIGNED_IN, "X-MS-CLIENT-PRINCIPAL-ID": ""})[0] == 403


@pytest.mark.parametrize(
    ("body", "more", "said"),
    [
        (b"", {}, "JSON object"),
        (b"[]", {}, "JSON object"),
        (b"[" * 100_000, {}, "JSON object"),
        (b'{"a": "' + b"x" * 4_200_000 + b'"}', {}, "4 MiB"),
        (None, {"profile": None}, "names no profile"),
        (None, {"profile": "../../etc/passwd"}, "names no profile"),
        (None, {"profile": "--outbox"}, "names no profile"),
        (None, {"accounts": "all"}, "neither one nor each"),
        (None, {"incident": None}, "no incident"),
        (None, {"entities": None}, "no account"),
        (None, {"entities": "[" * 100_000}, "no account"),
        (None, {"profile": "leaver-prediction"}, "may not use the profile"),
    ],
    ids=[
        "empty",
        "list",
        "deep",
        "large",
        "no profile",
        "a path",
        "an option",
        "accounts",
        "incident",
        "people",
        "deep entities",
        "another profile",
    ],
)
def test_a_request_that_is_no_playbooks_is_refused(
    tmp_path: Path, app: None, body: bytes | None, more: dict[str, Any], said: str
) -> None:
    """Each has a message for the incident's comment, and nothing is run."""
    status, answer = press(SARAD, body=body, **more)
    assert (status, answer["result"]) == (422, "refused")
    assert said in answer["message"]
    assert not (tmp_path / "outbox").exists()


def test_an_app_that_is_not_set_up_says_where_to_look(app: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown profile and a missing app setting are failures of the app, not of the incident."""
    monkeypatch.setenv("IRMEXPORT_SUBMIT_PROFILES", "sentinel-incidents, no-such-profile")
    status, answer = press(SARAD, profile="no-such-profile")
    assert status == 500
    assert "no-such-profile" in answer["message"]
    monkeypatch.delenv("IRMEXPORT_SETTINGS")
    status, answer = press(SARAD)
    assert status == 500
    assert "see its log" in answer["message"]
