"""Tokens: the part of Microsoft Entra that a client with a secret meets.

Promised: OpenID discovery and the token endpoints v2 (MSAL) and v1 (Microsoft's sample script), the
error bodies in Entra's form, and tokens that are checked, expire and can be revoked; a client proves
itself by a secret or by an assertion that it signed (``assertion``). Tokens are
random and held as hashes only; no reply, repr or error has a secret in it.
Not promised: other grants, conditional access, or Entra's exact words. In which
order Entra finds several faults is undocumented; here: tenant, parameters, application, secret,
resource. Codes: learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

from irmemulator import client_assertion
from irmemulator.http_messages import Reply, json_reply
from irmemulator.settings import App, Options, is_guid

_DISCOVERY = re.compile(r"/(?P<tenant>[^/]+)/v2\.0/\.well-known/openid-configuration")
_TOKEN = re.compile(r"/(?P<tenant>[^/]+)/oauth2/(?P<v2>v2\.0/)?token")
_DEFAULT_SCOPE = "/.default"


@dataclass(frozen=True)
class Grant:
    """Whom a token was given to, and until when (monotonic seconds)."""

    tenant_id: str
    app_id: str
    expires_at: float


@dataclass(frozen=True)
class TokenPath:
    """A token endpoint's path, taken apart."""

    tenant: str
    v2: bool


class _Refused(Exception):
    """An error of Entra's on its way to the client."""

    def __init__(self, status: int, error: str, code: int, text: str) -> None:
        super().__init__(code)
        self.status, self.error, self.code, self.text = status, error, code, text


def discovery_tenant(path: str) -> str | None:
    """The tenant whose OpenID configuration a path asks for, or None."""
    match = _DISCOVERY.fullmatch(path)
    return match["tenant"] if match else None


def token_path(path: str) -> TokenPath | None:
    """The token endpoint a path means, or None."""
    match = _TOKEN.fullmatch(path)
    return TokenPath(match["tenant"], match["v2"] is not None) if match else None


class Entra:
    """The token service of all the tenants that the applications name. Safe between threads."""

    def __init__(
        self,
        apps: Iterable[App],
        options: Options,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the applications; `clock` gives seconds that never go back."""
        self._apps = {(app.tenant_id.lower(), app.app_id.lower()): app for app in apps}
        self._tenants = {tenant for tenant, _ in self._apps}
        self._options = options
        self._clock = clock
        self._grants: dict[bytes, Grant] = {}
        self._lock = threading.Lock()

    def discovery(self, tenant: str, base_url: str) -> Reply:
        """The OpenID configuration of a tenant, with endpoints under `base_url`."""
        try:
            # Here, unlike at the token endpoint, Entra calls the same error "invalid_tenant".
            self._check_tenant(tenant, "invalid_tenant")
        except _Refused as refused:
            return _entra_error(refused, None)
        root = f"{base_url}/{tenant}"
        return json_reply(
            200,
            {
                "token_endpoint": f"{root}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{root}/discovery/v2.0/keys",
                "issuer": f"{root}/v2.0",
                "response_types_supported": ["code", "id_token", "code id_token"],
                "subject_types_supported": ["pairwise"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "tenant_region_scope": "NA",
            },
        )

    def token(self, path: TokenPath, body: bytes, correlation_id: str | None) -> Reply:
        """Answer a POST to a token endpoint.

        Args:
            path: Which endpoint.
            body: The form (`application/x-www-form-urlencoded`).
            correlation_id: The request's `client-request-id`, given back when it is a GUID.
        """
        try:
            app = self._authenticate(path, _form(body))
        except _Refused as refused:
            return _entra_error(refused, correlation_id)
        return json_reply(200, self._issue(app, path))

    def check(self, authorization: str | None) -> Grant | None:
        """The grant behind an Authorization header, or None when it is not good (any more)."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        with self._lock:
            grant = self._grants.get(_digest(token.strip()))
        return grant if grant is not None and self._clock() < grant.expires_at else None

    def revoke_tokens(self) -> None:
        """Make every token given so far worthless: uploads with them get a 401."""
        with self._lock:
            self._grants.clear()

    def _issue(self, app: App, path: TokenPath) -> dict[str, object]:
        lifetime = int(self._options.token_lifetime)
        token = f"emulated.{secrets.token_urlsafe(48)}"
        now = self._clock()
        grant = Grant(app.tenant_id, app.app_id, now + self._options.token_lifetime)
        with self._lock:
            # Tokens of a long rehearsal must not pile up.
            self._grants = {key: old for key, old in self._grants.items() if now < old.expires_at}
            self._grants[_digest(token)] = grant
        if path.v2:
            return {
                "token_type": "Bearer",
                "expires_in": lifetime,
                "ext_expires_in": lifetime,
                "access_token": token,
            }
        at = int(time.time())
        return {  # v1 writes its numbers as strings.
            "token_type": "Bearer",
            "expires_in": str(lifetime),
            "ext_expires_in": str(lifetime),
            "expires_on": str(at + lifetime),
            "not_before": str(at),
            "resource": self._options.resource,
            "access_token": token,
        }

    def _check_tenant(self, tenant: str, error: str = "invalid_request") -> None:
        if tenant.lower() not in self._tenants:
            raise _Refused(
                400,
                error,
                90002,
                f"Tenant '{_echo(tenant)}' not found. Check to make sure you have the correct "
                "tenant ID and are signing into the correct cloud. Check with your subscription "
                "administrator, this may happen if there are no active subscriptions for the "
                "tenant.",
            )

    def _authenticate(self, path: TokenPath, form: Mapping[str, str]) -> App:
        self._check_tenant(path.tenant)
        for name in ("grant_type", "client_id", "scope" if path.v2 else "resource"):
            if not form.get(name):
                raise _Refused(
                    400,
                    "invalid_request",
                    900144,
                    f"The request body must contain the following parameter: '{name}'.",
                )
        if form["grant_type"] != "client_credentials":
            raise _Refused(
                400,
                "unsupported_grant_type",
                70003,
                "The app requested an unsupported grant type. The emulator gives tokens for "
                "'client_credentials' only.",
            )
        app = self._apps.get((path.tenant.lower(), form["client_id"].lower()))
        if app is None:
            raise _Refused(
                400,
                "unauthorized_client",
                700016,
                f"Application with identifier '{_echo(form['client_id'])}' was not found in the "
                f"directory '{_echo(path.tenant)}'. This can happen if the application has not "
                "been installed by the administrator of the tenant or consented to by any user in "
                "the tenant. You may have sent your authentication request to the wrong tenant.",
            )
        if form.get("client_assertion"):
            _check_assertion(app, path, form)
        else:
            _check_secret(app, form.get("client_secret"))
        _check_resource(path, form, self._options.resource)
        return app


def _check_assertion(app: App, path: TokenPath, form: Mapping[str, str]) -> None:
    found = client_assertion.fault(
        form["client_assertion"],
        form.get("client_assertion_type", ""),
        app_id=app.app_id,
        token_path=f"/{path.tenant}/oauth2/{'v2.0/' if path.v2 else ''}token",
        certificates=app.certificates,
    )
    if found is not None:
        code, text = found
        raise _Refused(401, "invalid_client", code, text)


def _check_secret(app: App, given: str | None) -> None:
    if not given:
        raise _Refused(
            401,
            "invalid_client",
            7000216,
            "'client_assertion', 'client_secret' or 'request' is required for the "
            "'client_credentials' grant type.",
        )
    if not app.secret or not hmac.compare_digest(given.encode(), app.secret.encode()):
        raise _Refused(
            401,
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the "
            "client secret value, not the client secret ID, for a secret added to app "
            f"'{app.app_id}'.",
        )
    if app.expired:
        raise _Refused(
            401,
            "invalid_client",
            7000222,
            f"The provided client secret keys for app '{app.app_id}' are expired. Visit the Azure "
            "portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider "
            "using certificate credentials for added security: https://aka.ms/certCreds.",
        )


def _check_resource(path: TokenPath, form: Mapping[str, str], known: str) -> None:
    asked = form["scope" if path.v2 else "resource"]
    if path.v2:
        if not asked.endswith(_DEFAULT_SCOPE) or " " in asked:
            raise _Refused(
                400,
                "invalid_scope",
                1002012,
                f"The provided value for scope {_echo(asked)} is not valid. Client credential "
                "flows must have a scope value with /.default suffixed to the resource identifier "
                "(application ID URI).",
            )
        asked = asked.removesuffix(_DEFAULT_SCOPE)
    if asked.rstrip("/") != known.rstrip("/"):
        raise _Refused(
            400,
            "invalid_resource",
            500011,
            f"The resource principal named {_echo(asked)} was not found in the tenant named "
            f"{_echo(path.tenant)}. This can happen if the application has not been installed by "
            "the administrator of the tenant or consented to by any user in the tenant. You might "
            "have sent your authentication request to the wrong tenant.",
        )


def _form(body: bytes) -> dict[str, str]:
    """The first value of each parameter; an unreadable form has none."""
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=100)
    except ValueError:  # includes UnicodeDecodeError
        return {}
    return {name: values[0] for name, values in fields.items()}


def _echo(text: str) -> str:
    """A caller's id for a message: short, and without control characters."""
    return "".join(letter for letter in text[:200] if letter.isprintable())


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _entra_error(refused: _Refused, correlation_id: str | None) -> Reply:
    trace = str(uuid.uuid4())
    given = correlation_id or ""
    correlation = given.lower() if is_guid(given) else str(uuid.uuid4())
    stamp = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
    return json_reply(
        refused.status,
        {
            "error": refused.error,
            "error_description": (
                f"AADSTS{refused.code}: {refused.text} Trace ID: {trace} "
                f"Correlation ID: {correlation} Timestamp: {stamp}"
            ),
            "error_codes": [refused.code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={refused.code}",
        },
    )
