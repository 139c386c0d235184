"""Microsoft Entra's token service: the endpoints that a client with a secret, a certificate or a federated
credential uses.

Promised: OpenID discovery and the token endpoints v2 (MSAL) and v1 (Microsoft's sample script), error bodies
in Entra's form, and tokens for known resources only. No reply, repr or error has a secret in it.
Not promised: other grants, conditional access, or Entra's exact words. In which order Entra checks a request
is undocumented; here: tenant, parameters, application, secret, resource.
Codes: learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

from __future__ import annotations

import hmac
import re
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from irmemulator import client_assertion
from irmemulator.http_messages import Reply, Request, json_reply, method_not_allowed
from irmemulator.issued_tokens import Grant, IssuedTokens
from irmemulator.routing import Route, unless_spoiled
from irmemulator.settings import App, is_guid

DISCOVERY_PATH = re.compile(r"/(?P<tenant>[^/]+)/v2\.0/\.well-known/openid-configuration")
TOKEN_PATH = re.compile(r"/(?P<tenant>[^/]+)/oauth2/(?P<v2>v2\.0/)?token")
_DEFAULT_SCOPE = "/.default"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class TokenEndpoint:
    """One of a tenant's two token endpoints."""

    tenant: str
    v2: bool


#: AADSTS code → error, for those with status 400. The others are 401, "invalid_client".
_BAD_REQUESTS = {
    70003: "unsupported_grant_type",
    90002: "invalid_request",
    500011: "invalid_resource",
    700016: "unauthorized_client",
    900144: "invalid_request",
    1002012: "invalid_scope",
}
_CONSENT = (
    "This can happen if the application has not been installed by the administrator of the tenant or "
    "consented to by any user in the tenant."
)
#: AADSTS code → its words; braces stand for what the client sent.
_WORDS = {
    70003: "The app requested an unsupported grant type. The emulator issues tokens for 'client_credentials' "
    "only.",
    90002: "Tenant '{}' not found. Check to make sure you have the correct tenant ID and are signing into "
    "the correct cloud. Check with your subscription administrator, this may happen if there are no active "
    "subscriptions for the tenant.",
    500011: "The resource principal named {} was not found in the tenant named {}. "
    f"{_CONSENT} You might have sent your authentication request to the wrong tenant.",
    700016: "Application with identifier '{}' was not found in the directory '{}'. "
    f"{_CONSENT} You may have sent your authentication request to the wrong tenant.",
    900144: "The request body must contain the following parameter: '{}'.",
    1002012: "The provided value for scope {} is not valid. Client credential flows must have a scope value "
    "with /.default suffixed to the resource identifier (application ID URI).",
    7000215: "Invalid client secret provided. Ensure the secret being sent in the request is the client "
    "secret value, not the client secret ID, for a secret added to app '{}'.",
    7000216: "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' "
    "grant type.",
    7000222: "The provided client secret keys for app '{}' are expired. Visit the Azure portal to create new "
    "keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added "
    "security: https://aka.ms/certCreds.",
}


class _RefusedError(Exception):
    """A refusal in Entra's form, on its way to the client."""

    def __init__(self, code: int, *sent: str, text: str = "") -> None:
        """``text`` is for a code of a client assertion, whose words are not here."""
        super().__init__(code)
        self.code, self.text = code, text or _WORDS[code].format(*map(_echo, sent))
        self.status = 400 if code in _BAD_REQUESTS else 401
        self.error = _BAD_REQUESTS.get(code, "invalid_client")


class Entra:
    """The token service of all tenants that the applications name. Safe between threads.

    Its endpoints for faults are `discovery` and `token`.
    """

    def __init__(
        self,
        apps: Iterable[App],
        resources: Collection[str],
        *,
        own_resource: str | None = None,
        token_lifetime: float = 3_599,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The tenants of ``apps`` are those that exist; ``resources`` are application ID URIs.

        Clients that derive the scope from the service's address ask for a loopback address, which means
        ``own_resource``. ``token_lifetime`` is in seconds (Entra: 60-90 minutes, mostly 3,599 seconds).
        """
        self._apps = {(app.tenant_id.lower(), app.app_id.lower()): app for app in apps}
        self._tenants = {tenant for tenant, _ in self._apps}
        self._resources = {resource.rstrip("/"): resource for resource in resources}
        self._own_resource = own_resource
        self._tokens = IssuedTokens(token_lifetime, clock)
        self._token_requests = 0
        self._lock = threading.Lock()

    @property
    def token_requests(self) -> int:
        """How many POSTs came to token endpoints, the spoiled ones included."""
        with self._lock:
            return self._token_requests

    def route(self, request: Request) -> Route | Reply | None:
        """The endpoint for a request, or None if its path is not one of Entra's."""
        if discovery := DISCOVERY_PATH.fullmatch(request.path):
            if request.method != "GET":
                return method_not_allowed("GET")
            tenant = discovery["tenant"]
            return Route("discovery", unless_spoiled(lambda asked: self.discovery(tenant, asked.origin)))
        if token := TOKEN_PATH.fullmatch(request.path):
            if request.method != "POST":
                return method_not_allowed("POST")
            with self._lock:
                self._token_requests += 1
            endpoint = TokenEndpoint(token["tenant"], token["v2"] is not None)
            return Route(
                "token",
                unless_spoiled(
                    lambda asked: self.token(
                        endpoint, asked.body or b"", asked.headers.get("client-request-id")
                    )
                ),
            )
        return None

    def discovery(self, tenant: str, base_url: str) -> Reply:
        """The OpenID configuration of a tenant, with endpoints under ``base_url``."""
        if tenant.lower() not in self._tenants:
            refused = _RefusedError(90002, tenant)
            refused.error = "invalid_tenant"  # unlike at the token endpoint
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

    def token(self, endpoint: TokenEndpoint, body: bytes, correlation_id: str | None = None) -> Reply:
        """Answer a POST of a form; an error repeats ``correlation_id`` if it is a GUID."""
        try:
            app, resource = self._authenticate(endpoint, _form(body))
        except _RefusedError as refused:
            return _entra_error(refused, correlation_id)
        return json_reply(200, self._issue(app, resource, endpoint))

    def check(self, authorization: str | None) -> Grant | None:
        """The grant behind an Authorization header, or None if the token is unknown, expired or revoked."""
        return self._tokens.check(authorization)

    def revoke_tokens(self) -> None:
        """Revoke every token issued so far."""
        self._tokens.revoke()

    def _issue(self, app: App, resource: str, endpoint: TokenEndpoint) -> dict[str, object]:
        token = self._tokens.issue(app.tenant_id, app.app_id, resource)
        lifetime = int(self._tokens.lifetime)
        issued: dict[str, object] = {"token_type": "Bearer", "access_token": token}
        if endpoint.v2:
            return {**issued, "expires_in": lifetime, "ext_expires_in": lifetime}
        now = int(time.time())  # v1 writes its numbers as strings
        numbers = {"expires_in": lifetime, "ext_expires_in": lifetime}
        numbers |= {"expires_on": now + lifetime, "not_before": now}
        return {**issued, **{name: str(number) for name, number in numbers.items()}, "resource": resource}

    def _authenticate(self, endpoint: TokenEndpoint, form: Mapping[str, str]) -> tuple[App, str]:
        """The application that a form proves to be, and the resource it asks for."""
        if endpoint.tenant.lower() not in self._tenants:
            raise _RefusedError(90002, endpoint.tenant)
        for name in ("grant_type", "client_id", "scope" if endpoint.v2 else "resource"):
            if not form.get(name):
                raise _RefusedError(900144, name)
        if form["grant_type"] != "client_credentials":
            raise _RefusedError(70003)
        app = self._apps.get((endpoint.tenant.lower(), form["client_id"].lower()))
        if app is None:
            raise _RefusedError(700016, form["client_id"], endpoint.tenant)
        if form.get("client_assertion"):
            _check_assertion(app, endpoint, form)
        else:
            _check_secret(app, form.get("client_secret"))
        return app, self._check_resource(endpoint, form)

    def _check_resource(self, endpoint: TokenEndpoint, form: Mapping[str, str]) -> str:
        asked = form["scope" if endpoint.v2 else "resource"]
        if endpoint.v2:
            if not asked.endswith(_DEFAULT_SCOPE) or " " in asked:
                raise _RefusedError(1002012, asked)
            asked = asked.removesuffix(_DEFAULT_SCOPE)
        resource = self._resources.get(asked.rstrip("/"))
        if resource is None and urlsplit(asked).hostname in _LOOPBACK:
            resource = self._own_resource
        if resource is None:
            raise _RefusedError(500011, asked, endpoint.tenant)
        return resource


def _check_assertion(app: App, endpoint: TokenEndpoint, form: Mapping[str, str]) -> None:
    problem = client_assertion.find_problem(
        form["client_assertion"],
        form.get("client_assertion_type", ""),
        app=app,
        token_path=f"/{endpoint.tenant}/oauth2/{'v2.0/' if endpoint.v2 else ''}token",
    )
    if problem is not None:
        code, text = problem
        raise _RefusedError(code, text=text)


def _check_secret(app: App, given: str | None) -> None:
    if not given:
        raise _RefusedError(7000216)
    if not app.secret or not hmac.compare_digest(given.encode(), app.secret.encode()):
        raise _RefusedError(7000215, app.app_id)
    if app.expired:
        raise _RefusedError(7000222, app.app_id)


def _form(body: bytes) -> dict[str, str]:
    """The first value of each parameter; none if the form cannot be read."""
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=100)
    except ValueError:  # includes UnicodeDecodeError
        return {}
    return {name: values[0] for name, values in fields.items()}


def _echo(text: str) -> str:
    """A caller's text for a message: short, and without control characters."""
    return "".join(letter for letter in text[:200] if letter.isprintable())


def _entra_error(refused: _RefusedError, correlation_id: str | None) -> Reply:
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
