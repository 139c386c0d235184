"""Tokens from Microsoft Entra ID by client credentials, through MSAL.

One token serves until it expires (MSAL's own cache, in memory alone); ``refresh`` drops it, once,
after a 401. Errors carry Entra's code (AADSTS…) and what to check, never the secret or the token.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Callable, Protocol

from irmcore.advice import ENTRA
from irmcore.http.credentials import Credential


class TokenTrouble(Exception):
    """No token. ``code`` is token-…; ``wait``: it may pass by itself; ``advice`` is for the operator."""

    def __init__(self, code: str, advice: str, *, wait: bool) -> None:
        super().__init__(f"{code}: {advice}")
        self.code = code
        self.advice = advice
        self.wait = wait


class TokenSource(Protocol):
    """Bearer tokens for one destination."""

    def token(self) -> str: ...

    def refresh(self) -> None: ...


# MSAL's loggers quote what an endpoint answered; without a handler Python prints that to standard error.
_MSAL_LOG = logging.getLogger("msal")
_MSAL_LOG.addHandler(logging.NullHandler())
_MSAL_LOG.propagate = False

_CODE = re.compile(r"AADSTS\d+")
#: What can stand in an Authorization header (RFC 6750, 2.1, allows less); else each upload would fail.
_TOKEN = re.compile(r"[!-~]+")
#: OAuth's words for a request that is wrong and will stay so; anything else may pass (RFC 6749, 5.2).
_FINAL = {"invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "invalid_resource"}


class MsalTokens:
    """Client credentials through MSAL's ConfidentialClientApplication."""

    def __init__(
        self,
        *,
        login: str,
        tenant_id: str,
        app_id: str,
        secret: Callable[[], Credential],
        scope: str,
        http: Any,
        known_login: bool,
    ) -> None:
        """``login`` is https://host; ``scope`` is what the token is for, ending in ``/.default``;
        ``secret`` (or a certificate) is asked for each time a client is made.

        ``http`` is a requests session (MSAL's own would let REQUESTS_CA_BUNDLE decide whom to trust);
        ``known_login`` is False for an emulator, which Microsoft's instance discovery does not know.
        """
        self._authority = f"{login}/{tenant_id}"
        self._app_id = app_id
        self._secret = secret
        self._scopes = [scope]
        self._http = http
        self._known_login = known_login
        self._client: Any = None

    def refresh(self) -> None:
        """Forget the token and the client, so that a rotated secret is read anew."""
        self._client = None

    def token(self) -> str:
        """A token that is good now. Raises TokenTrouble, CredentialError."""
        # Loaded here: who only reads an outbox, or has nothing to send, must not pay for it.
        import msal  # noqa: PLC0415

        client = self._client
        secret = self._secret() if client is None else None
        try:
            if secret is not None:
                client = msal.ConfidentialClientApplication(
                    self._app_id,
                    client_credential=secret.reveal(),
                    authority=self._authority,
                    instance_discovery=None if self._known_login else False,
                    http_client=self._http,
                )
            self._client = client
            found = client.acquire_token_for_client(scopes=self._scopes)
        except Exception as error:  # noqa: BLE001
            # MSAL lets through whatever its HTTP client and its JSON parser raise: each is a failed
            # request for a token, told apart by the class, as messages may quote the reply.
            self._client = None
            raise _passing(error) from None
        token = found.get("access_token") if isinstance(found, dict) else None
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            self._client = None
            raise _refused(found if isinstance(found, dict) else {})
        return token


def _passing(error: Exception) -> TokenTrouble:
    name = type(error).__name__
    if name == "ProxyError":
        advice = "The proxy refuses the way to the login host: check `proxy` and its rules."
    elif name in ("SSLError", "SSLCertVerificationError"):
        advice = "The login host's certificate is not trusted: is TLS inspected here? Set `ca_file`."
    elif isinstance(error, ValueError):
        # An unknown tenant (MSAL hides Entra's code for it), or a page where JSON should be.
        advice = (
            "The login host does not answer as Entra ID does for a tenant: check `tenant_id` and `cloud`, "
            "and whether a proxy's sign-in page answers in its place."
        )
    elif name == "MsalServiceError":
        advice = "Microsoft Entra ID answered with an error of its own; this passes."
    else:
        advice = "The login host cannot be reached: check DNS, firewall and `proxy`."
    return TokenTrouble(f"token-{name.lower()}", advice, wait=True)


def _refused(found: Mapping[str, Any]) -> TokenTrouble:
    described = str(found.get("error_description", ""))
    match = _CODE.search(described)
    code = match.group() if match else str(found.get("error", "no-token"))[:40]
    wait = str(found.get("error", "")) not in _FINAL and code not in ENTRA
    advice = ENTRA.get(code, "Microsoft Entra ID gave no token: look the code up in its error reference.")
    return TokenTrouble(f"token-{code}", advice, wait=wait)
