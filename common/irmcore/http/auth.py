"""Tokens from Microsoft Entra ID by client credentials, through MSAL.

A token is reused until it expires, from MSAL's cache in memory. ``refresh`` drops it after a 401. Errors
carry Entra's code (AADSTS…) and what to check, never the secret or the token.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Callable, Protocol

from irmcore.advice import ENTRA
from irmcore.clouds import TOKEN_EXCHANGE
from irmcore.errors import CredentialError
from irmcore.http.credentials import Credential, for_emulator


class TokenTrouble(Exception):
    """No token. ``code`` is token-…; ``wait``: a retry may succeed; ``advice`` is for the operator."""

    def __init__(self, code: str, advice: str, *, wait: bool) -> None:
        super().__init__(f"{code}: {advice}")
        self.code = code
        self.advice = advice
        self.wait = wait


class TokenSource(Protocol):
    """Bearer tokens for one destination."""

    def token(self) -> str: ...

    def refresh(self) -> None: ...


# MSAL's loggers quote replies. Without a handler Python would print them to standard error.
_MSAL_LOG = logging.getLogger("msal")
_MSAL_LOG.addHandler(logging.NullHandler())
_MSAL_LOG.propagate = False

_CODE = re.compile(r"AADSTS\d{1,10}")
#: What an Authorization header can hold (RFC 6750, 2.1, allows less). Anything else would fail every upload.
_TOKEN = re.compile(r"[!-~]+")
#: OAuth errors that persist until something is changed (RFC 6749, 5.2). Any other may be temporary.
_FINAL = {"invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "invalid_resource"}
#: Others. A reply's own word is never shown: it may be an echo of the request.
_PASSING = {"invalid_grant", "unsupported_grant_type", "server_error", "temporarily_unavailable", "slow_down"}


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
        """``login`` is https://host. ``scope`` is what the token is for, and ends in ``/.default``.

        ``secret`` reads the credential for each new MSAL client. ``http`` is a
        requests session, as MSAL's own would let REQUESTS_CA_BUNDLE decide whom to trust. ``known_login`` is
        False for an emulator: Microsoft's instance discovery does not know it, and it gets only its own
        secret.
        """
        self._login = login
        self._authority = f"{login}/{tenant_id}"
        self._app_id = app_id
        self._secret = secret
        self._scopes = [scope]
        self._http = http
        self._known_login = known_login
        self._client: Any = None

    def refresh(self) -> None:
        """Drop the token and the client, so that a rotated secret is read again."""
        self._client = None

    def token(self) -> str:
        """A token that is valid now. Raises TokenTrouble, CredentialError."""
        # Imported here, as it is slow: reading an outbox, or having nothing to send, needs no MSAL.
        import msal  # noqa: PLC0415

        client = self._client
        secret = self._secret() if client is None else None
        if secret is not None and not self._known_login:
            secret = for_emulator(secret)
        try:
            if secret is not None:
                client = msal.ConfidentialClientApplication(
                    self._app_id,
                    client_credential=self._in_msals_form(secret),
                    authority=self._authority,
                    instance_discovery=None if self._known_login else False,
                    http_client=self._http,
                )
            self._client = client
            found = client.acquire_token_for_client(scopes=self._scopes)
        except CredentialError:  # of the issuer of an assertion
            self._client = None
            raise
        except Exception as error:  # noqa: BLE001
            # MSAL passes on whatever its HTTP client and its JSON parser raise. The class tells them apart;
            # the messages may quote the reply.
            self._client = None
            raise _no_reply(error) from None
        token = found.get("access_token") if isinstance(found, dict) else None
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            self._client = None
            raise _refused(found if isinstance(found, dict) else {})
        return token

    def _in_msals_form(self, secret: Credential) -> Any:
        found = secret.reveal()
        if not callable(found):
            return found
        return {"client_assertion": lambda: found(TOKEN_EXCHANGE[self._login])}


def _no_reply(error: Exception) -> TokenTrouble:
    name = type(error).__name__
    if name == "ProxyError":
        advice = "The proxy refuses connections to the login host: check `proxy` and the proxy's rules."
    elif name in ("SSLError", "SSLCertVerificationError"):
        advice = "The login host's certificate is not trusted: if TLS is inspected here, set `ca_file`."
    elif isinstance(error, ValueError):
        # An unknown tenant (MSAL hides Entra's code for it), or a web page instead of JSON.
        advice = (
            "The reply of the login host is not one of Entra ID for a known tenant: check `tenant_id` and "
            "`cloud`, and whether a proxy shows a sign-in page."
        )
    elif name == "MsalServiceError":
        advice = "Microsoft Entra ID replied with an internal error; irmexport tries again."
    else:
        advice = "The login host cannot be reached: check DNS, firewall and `proxy`."
    return TokenTrouble(f"token-{name.lower()}", advice, wait=True)


def _refused(found: Mapping[str, Any]) -> TokenTrouble:
    described = str(found.get("error_description", ""))
    match = _CODE.search(described)
    error = found.get("error")
    code = match.group() if match else error if error in _FINAL | _PASSING else "no-token"
    wait = error not in _FINAL and code not in ENTRA
    advice = ENTRA.get(code, "Microsoft Entra ID issued no token: look up the code in its error reference.")
    return TokenTrouble(f"token-{code}", advice, wait=wait)
