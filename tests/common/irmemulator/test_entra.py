"""Sign-in: the token endpoints and discovery, by MSAL and by plain requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import msal
import pytest
from irmemulator.entra import Entra, TokenEndpoint
from irmemulator.settings import DEFAULT_RESOURCE, App, Options

from tests.common.irmemulator.client import APP, EXPIRED_APP, OTHER_APP, TENANT, Client

SCOPE = f"{DEFAULT_RESOURCE}/.default"


def msal_result(client: Client, app: App, *, scope: str = SCOPE, authority: str = "") -> Any:
    """MSAL's answer to the client credentials flow."""
    application = msal.ConfidentialClientApplication(
        app.app_id,
        client_credential=app.secret,
        authority=authority or client.emulator.authority(app.tenant_id),
        instance_discovery=False,
        http_client=client.session,
    )
    return application.acquire_token_for_client([scope])


def test_msal_gets_a_token_that_uploads(client: Client) -> None:
    """MSAL's client credentials flow gets a token that an upload is accepted with."""
    result = msal_result(client, APP)
    assert result["token_type"] == "Bearer"
    assert result["expires_in"] == 3599
    assert client.upload(token=result["access_token"]).status_code == 200
    assert client.emulator.entra.token_requests == 1


def test_msal_over_localhost(client: Client) -> None:
    """A client that uses localhost gets endpoints at localhost."""
    authority = client.emulator.authority(TENANT).replace("127.0.0.1", "localhost")
    assert "access_token" in msal_result(client, APP, authority=authority)
    url = f"{authority}/v2.0/.well-known/openid-configuration"
    endpoint = client.session.get(url, timeout=10).json()["token_endpoint"]
    assert endpoint == f"{authority}/oauth2/v2.0/token"


@pytest.mark.parametrize(
    ("app", "scope", "error", "code"),
    [
        (App(TENANT, APP.app_id, "wr0ng"), SCOPE, "invalid_client", 7000215),
        (EXPIRED_APP, SCOPE, "invalid_client", 7000222),
        (App(TENANT, EXPIRED_APP.app_id, "wr0ng"), SCOPE, "invalid_client", 7000215),
        (
            App(TENANT, "99999999-9999-4999-8999-999999999999", "s3cret"),
            SCOPE,
            "unauthorized_client",
            700016,
        ),
        (APP, "https://graph.microsoft.com/.default", "invalid_resource", 500011),
        (APP, f"{DEFAULT_RESOURCE}/user_impersonation", "invalid_scope", 1002012),
    ],
)
def test_msal_is_refused(client: Client, app: App, scope: str, error: str, code: int) -> None:
    """A wrong setting gets Entra's error in Entra's form, without the secret in it."""
    result = msal_result(client, app, scope=scope)
    assert result["error"] == error
    assert result["error_codes"] == [code]
    assert result["error_description"].startswith(f"AADSTS{code}: ")
    assert result["trace_id"] in result["error_description"]
    assert result["correlation_id"] in result["error_description"]
    assert app.secret not in str(result)


def test_msal_meets_an_unknown_tenant(client: Client) -> None:
    """An unknown tenant is refused at discovery, where MSAL hides Entra's message."""
    authority = client.emulator.authority("contoso.example")
    with pytest.raises(ValueError, match="Unable to get authority configuration"):
        msal_result(client, APP, authority=authority)
    assert client.emulator.entra.token_requests == 0
    reply = client.session.get(f"{authority}/v2.0/.well-known/openid-configuration", timeout=10)
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_tenant")
    assert reply.json()["error_description"].startswith("AADSTS90002: ")


@pytest.mark.parametrize(
    ("fields", "status", "error", "code"),
    [
        ({"client_secret": "wr0ng"}, 401, "invalid_client", 7000215),
        ({"client_secret": ""}, 401, "invalid_client", 7000216),
        ({"client_id": ""}, 400, "invalid_request", 900144),
        ({"scope": ""}, 400, "invalid_request", 900144),
        ({"scope": f"{SCOPE} openid"}, 400, "invalid_scope", 1002012),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
    ],
)
def test_token_requests_refused(
    client: Client, fields: dict[str, str], status: int, error: str, code: int
) -> None:
    """An incomplete token request is refused with Entra's status and code."""
    form = {
        "grant_type": "client_credentials",
        "client_id": APP.app_id,
        "client_secret": APP.secret,
        "scope": SCOPE,
        **fields,
    }
    correlation = "77777777-7777-4777-8777-777777777777"
    reply = client.session.post(
        f"{client.emulator.authority(TENANT)}/oauth2/v2.0/token",
        data=form,
        headers={"client-request-id": correlation},
        timeout=10,
    )
    assert reply.status_code == status
    assert (reply.json()["error"], reply.json()["error_codes"]) == (error, [code])
    assert reply.json()["correlation_id"] == correlation


def test_the_token_endpoint_of_an_unknown_tenant(client: Client) -> None:
    """The token endpoint of an unknown tenant replies AADSTS90002."""
    stranger = App("contoso.example", APP.app_id, APP.secret)
    reply = client.ask_token(stranger)
    assert (reply["error"], reply["error_codes"]) == ("invalid_request", [90002])


def test_the_endpoint_of_microsofts_script(client: Client) -> None:
    """The v1 endpoint takes a resource and writes its numbers as strings."""
    reply = client.ask_token(path="token?api-version=1.0", resource=DEFAULT_RESOURCE, scope="")
    assert (reply["expires_in"], reply["resource"]) == ("3599", DEFAULT_RESOURCE)
    assert client.upload(token=reply["access_token"]).status_code == 200
    wrong = client.ask_token(path="token", resource="https://graph.microsoft.com")
    assert wrong["error_codes"] == [500011]


def test_tokens_expire() -> None:
    """A token is valid for its lifetime and no longer."""
    now = [100.0]
    entra = Entra([APP], (DEFAULT_RESOURCE,), token_lifetime=60, clock=lambda: now[0])
    header = f"Bearer {ask(entra)}"
    now[0] = 159.9
    assert entra.check(header) is not None
    now[0] = 160.0
    assert entra.check(header) is None


def test_tokens_are_revoked(client: Client) -> None:
    """A revoked token gets a 401, and a new one is accepted."""
    token = client.token()
    assert client.upload(token=token).status_code == 200
    client.emulator.entra.revoke_tokens()
    assert client.upload(token=token).status_code == 401
    assert client.upload(token=client.token()).status_code == 200


def test_the_scheme_has_no_case_and_the_token_has() -> None:
    """Only the word Bearer is case-insensitive; the rest of the header must be exact."""
    entra = Entra([APP, OTHER_APP], (DEFAULT_RESOURCE,))
    token = ask(entra)
    good = [f"Bearer {token}", f"bearer {token}", f"Bearer  {token}"]
    bad = [None, "", token, f"Basic {token}", f"Bearer {token}x", "Bearer", "Bearer ä"]
    assert [entra.check(header) is not None for header in good] == [True] * len(good)
    assert [header for header in bad if entra.check(header)] == []


def test_a_body_that_is_not_a_form(client: Client) -> None:
    """A body that cannot be read as a form lacks its first parameter."""
    url = f"{client.emulator.authority(TENANT)}/oauth2/v2.0/token"
    reply = client.session.post(url, data=b"\xff\xfe", timeout=10)
    assert (reply.status_code, reply.json()["error_codes"]) == (400, [900144])


def test_short_lifetimes_reach_the_client(client_with: Callable[..., Client]) -> None:
    """The reply has the lifetime of the options."""
    assert client_with(Options(token_lifetime=301)).ask_token()["expires_in"] == 301


def test_a_loopback_address_stands_for_the_emulated_service() -> None:
    """A client that derives the scope from the emulator's address gets a token for the service's resource."""
    service = "https://api.loganalytics.io"
    entra = Entra([APP], (service,), own_resource=service)
    grant = entra.check(f"Bearer {ask(entra, scope='https://127.0.0.1:8443/.default')}")
    assert grant is not None
    assert grant.resource == service
    with pytest.raises(KeyError):
        ask(Entra([APP], (service,)), scope="https://127.0.0.1:8443/.default")


def ask(entra: Entra, *, scope: str = SCOPE) -> str:
    """A token for APP, without a network."""
    form = {
        "grant_type": "client_credentials",
        "client_id": APP.app_id,
        "client_secret": APP.secret,
        "scope": scope,
    }
    reply = entra.token(TokenEndpoint(TENANT, v2=True), urlencode(form).encode(), None)
    return str(json.loads(reply.body)["access_token"])
