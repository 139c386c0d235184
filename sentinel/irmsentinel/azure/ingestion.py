"""Send batches to the Logs Ingestion API, through Microsoft's azure-monitor-ingestion.

A payload is sent as it is, compressed, in one call. The outcome is in irmcore's terms, so that the same rules
retry, split, hold or fail a batch as for any other destination. The policy is ``resend``: rows carry the
record's Id, and ``IRMAlerts`` counts each Id once. A token goes only to Azure Monitor, or to an emulator on
loopback.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError
from azure.monitor.ingestion import LogsIngestionClient
from irmcore import __version__
from irmcore.delivery.connection import TOKEN_DEADLINE
from irmcore.delivery.service import Service
from irmcore.http.auth import MsalTokens, TokenSource
from irmcore.http.credentials import Credential
from irmcore.http.deadlines import TokenHttp
from irmcore.http.failures import to_failure
from irmcore.http.outcome import REPLY_CHARACTERS, Failure, Outcome, Reply, request_id, retry_after
from irmcore.http.upload import Upload
from irmcore.outbox import Outbox
from irmcore.profile.model import CredentialRef

from irmsentinel.azure import payloads
from irmsentinel.azure.bounded_transport import BoundedTransport
from irmsentinel.azure.managed_identity import ManagedIdentityTokens
from irmsentinel.azure.target import Target, load_target

#: Seconds for one upload.
DEADLINE = 120.0
#: The scope of tokens, by cloud of Office 365.
SCOPES = {
    "commercial": "https://monitor.azure.com/.default",
    "gcc": "https://monitor.azure.com/.default",
    "gcc-high": "https://monitor.azure.us/.default",
    "dod": "https://monitor.azure.us/.default",
}
#: Reads a credential from where it is stored. Raises CredentialError.
ReadCredential = Callable[[CredentialRef], Credential]


def service_of(outbox: Outbox, read: ReadCredential) -> Service:
    """How `irmexport drain` sends the batches of an outbox. Raises DamageError, AddressRefused."""
    return service(load_target(outbox), read)


def service(target: Target, read: ReadCredential) -> Service:
    """How to send batches to ``target``."""
    settings = json.dumps(asdict(target), sort_keys=True).encode("ascii")
    return Service(
        url=lambda at: f"{at['endpoint']}/dataCollectionRules/{at['rule_id']}/streams/{at['stream']}",
        transport=IngestionTransport(ca_file=target.ca_file, proxy=target.proxy),
        tokens=tokens_for(target, SCOPES[target.cloud], read),
        setup=hashlib.sha256(settings).hexdigest()[:16],
        deadline=DEADLINE,
        splitters={payloads.CONTENT_TYPE: payloads.split},
        contents=payloads.contents,
    )


def tokens_for(target: Target, scope: str, read: ReadCredential) -> TokenSource:
    """Tokens of the target's app, or of the managed identity, for ``scope``.

    The credential is read when the first token is needed. An emulator gets no token of a managed identity.
    """
    if not target.app_id and not target.emulator:
        return ManagedIdentityTokens(target.credential.name, scope)
    return MsalTokens(
        login=target.login,
        tenant_id=target.tenant_id,
        app_id=target.app_id,
        secret=lambda: read(target.credential),
        scope=scope,
        http=TokenHttp(ca_file=target.ca_file, proxy=target.proxy, deadline=TOKEN_DEADLINE),
        known_login=not target.emulator,
    )


class StaticToken:
    """A token that the caller already has, as a credential for Microsoft's clients."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_more: Any) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3600)


class IngestionTransport:
    """Uploads by Microsoft's client: no retries, no redirects, nothing from the environment."""

    def __init__(self, *, ca_file: str | None = None, proxy: str | None = None) -> None:
        self._ca_file = ca_file
        self._proxy = proxy

    def post(self, upload: Upload, commit: Callable[[], None]) -> Outcome:
        """Send ``upload``.

        Microsoft's client cannot say how much of a body was sent, so every failed call counts as in doubt.
        """
        parts = urlsplit(upload.url)
        _, _, rule, _, stream = parts.path.split("/")
        body = io.BytesIO(gzip.compress(upload.content.read(), mtime=0))
        answers: list[Any] = []
        commit()
        try:
            with self._client(f"{parts.scheme}://{parts.netloc}", upload) as client:
                client.upload(rule, stream, body, raw_response_hook=answers.append)
        except HttpResponseError as error:
            return _rejected(error)
        except AzureError as error:
            sent = not isinstance(error, ServiceRequestError)  # that one means: not sent
            # Microsoft's error keeps its cause in an attribute of its own, not in Python's chain.
            return to_failure(error.inner_exception or error, committed=sent, expired=False)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            # The client's own failure to read an answer, such as a proxy's page that is not UTF-8.
            return _reply(answers[0].http_response) if answers else Failure("protocol", committed=True)
        headers = answers[0].http_response.headers if answers else {}
        return Reply(status=204, request_id=_request_id(headers))

    def _client(self, endpoint: str, upload: Upload) -> LogsIngestionClient:
        transport = BoundedTransport(deadline=upload.deadline, ca_file=self._ca_file, proxy=self._proxy)
        return LogsIngestionClient(
            endpoint,
            StaticToken(upload.token),
            transport=transport,
            retry_total=0,
            permit_redirects=False,
            user_agent=f"irmexport/{__version__}",
        )


def _rejected(error: HttpResponseError) -> Outcome:
    """The outcome of an answer that Microsoft's client treats as an error: any status but 204."""
    if error.response is None:
        return Failure("protocol", committed=True)
    inner = getattr(error, "error", None)
    text = f"{inner.code}: {inner.message}" if inner is not None and inner.code else ""
    return _reply(error.response, text)


def _reply(response: Any, text: str = "") -> Reply:
    """An unsuccessful answer and its text. (Microsoft's type for a response does not declare headers.)"""
    status = int(response.status_code or 0)
    return Reply(
        status=status,
        request_id=_request_id(response.headers),
        text=text[:REPLY_CHARACTERS],
        wait=retry_after(response.headers.get("Retry-After"), time.time()),
        page=200 <= status < 300,  # noqa: PLR2004 - the service answers 204: another 2xx is not from it
    )


def _request_id(headers: Mapping[str, str]) -> str:
    for name in ("x-ms-request-id", "x-ms-correlation-request-id", "x-ms-client-request-id"):
        if headers.get(name):
            return request_id(headers[name])
    return ""
