"""Rows → Log Analytics: another destination of the same outbox, through Microsoft's azure-monitor-ingestion.

Promised: a payload is a JSON array of at most 1,000,000 bytes and is sent as it is, compressed, in one call;
what the call came to is told as irmcore tells it, so that batches are retried, split, held up or given up by
the same table as everything else. The policy is ``resend``: rows carry the record's Id, and what reads the
table (``IRMAlerts``) counts each once. A token goes to Azure Monitor's hosts, or to a stand-in on loopback.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError
from azure.monitor.ingestion import LogsIngestionClient
from irmcore import __version__
from irmcore.clouds import CLOUDS, emulator_endpoints
from irmcore.delivery.connection import FILE, TOKEN_DEADLINE
from irmcore.delivery.service import Service
from irmcore.errors import AddressRefused, DamageError
from irmcore.http.auth import MsalTokens
from irmcore.http.credentials import Credential
from irmcore.http.deadlines import TokenHttp
from irmcore.http.failures import to_failure
from irmcore.http.outcome import Failure, Outcome, Reply, retry_after
from irmcore.http.upload import Upload
from irmcore.outbox import Destination, Outbox
from irmcore.profile.model import CredentialRef

from irmsentinel.azure.bounded_transport import BoundedTransport

KIND = "azure-monitor-ingestion"
CONTENT_TYPE = "application/json"
#: The service takes 1 MB a call, raw and compressed; whether that is 10^6 or 2^20 is not said.
MAX_BYTES = 1_000_000
#: Seconds for one upload.
DEADLINE = 120.0
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.ingest\.monitor\.azure\.(com|us|cn)")
#: What a token is for, by the name of the cloud of Office 365.
SCOPES = {
    "commercial": "https://monitor.azure.com/.default",
    "gcc": "https://monitor.azure.com/.default",
    "gcc-high": "https://monitor.azure.us/.default",
    "dod": "https://monitor.azure.us/.default",
}
#: Reads the credential at a place, as the command line can. Raises CredentialError.
Read = Callable[[CredentialRef], Credential]
_WORTH_HIDING = 4  # characters: shorter values say nothing without the row


@dataclass(frozen=True)
class Target:
    """A stream of a data collection rule, and who may send there. ``emulator``: it is a stand-in's.

    ``name`` is what messages call it; ``rule_id`` the immutable id (dcr-…).
    """

    name: str
    tenant_id: str
    app_id: str
    cloud: str
    credential: CredentialRef
    endpoint: str
    rule_id: str
    stream: str
    proxy: str | None = None
    ca_file: str | None = None
    emulator: bool = False

    @property
    def destination(self) -> Destination:
        """Where its batches go; a repeat does no harm there."""
        address = {"endpoint": self.endpoint, "rule_id": self.rule_id, "stream": self.stream}
        return Destination(KIND, address, "resend")

    @property
    def outbox_name(self) -> str:
        """The directory of its outbox: tenant, rule and stream, whatever the settings file is called."""
        kind = "emulator" if self.emulator else "sentinel"
        return f"{kind}-{self.tenant_id}-{self.rule_id}-{self.stream.removeprefix('Custom-')}"

    @property
    def login(self) -> str:
        """Where tokens come from."""
        return self.endpoint if self.emulator else CLOUDS[self.cloud].login


def checked_endpoint(url: str, *, emulator: bool) -> str:
    """``https://host`` of an ingestion endpoint. Raises AddressRefused for any other host."""
    if emulator:
        return emulator_endpoints(url).upload
    parts = urlsplit(url)
    if parts.scheme != "https" or not _HOST.fullmatch(parts.netloc) or parts.path.strip("/") or parts.query:
        raise AddressRefused(
            "that is no ingestion endpoint of Azure Monitor",
            where="`endpoint`",
            next_step="Copy endpoints.logsIngestion of the rule's JSON view (….ingest.monitor.azure.com).",
        )
    return f"https://{parts.netloc}"


def save(outbox: Outbox, target: Target) -> None:
    """Keep how ``box`` is sent beside it, so that a drain needs no settings file."""
    settings = {"kind": KIND, "profile": target.name, **asdict(target)}
    data = json.dumps(settings, indent=1, sort_keys=True).encode("ascii") + b"\n"
    if outbox.read_file(FILE) != data:
        outbox.replace_file(FILE, data)


def load(outbox: Outbox) -> Target:
    """What ``save`` kept. Raises DamageError if it cannot be read, AddressRefused."""
    try:
        raw = json.loads(outbox.read_file(FILE) or b"")
        raw = {name: raw[name] for name in Target.__dataclass_fields__}
        target = Target(**{**raw, "credential": CredentialRef(**raw["credential"])})
    except (ValueError, KeyError, TypeError):
        raise DamageError(
            "the settings beside the outbox cannot be read",
            where=f"{outbox.path}/{FILE}",
            next_step="Run `irmexport sentinel collect` once; that writes them anew.",
        ) from None
    checked_endpoint(target.endpoint, emulator=target.emulator)
    return target


def service_of(outbox: Outbox, read: Read) -> Service:
    """How the batches of ``box`` are sent: what ``irmexport drain`` asks for. Raises DamageError."""
    return service(load(outbox), read)


def tokens_for(target: Target, scope: str, read: Read) -> MsalTokens:
    """Tokens of the target's app for ``scope``; the credential is read when one is first needed."""
    return MsalTokens(
        login=target.login,
        tenant_id=target.tenant_id,
        app_id=target.app_id,
        secret=lambda: read(target.credential),
        scope=scope,
        http=TokenHttp(ca_file=target.ca_file, proxy=target.proxy, deadline=TOKEN_DEADLINE),
        known_login=not target.emulator,
    )


def service(target: Target, read: Read) -> Service:
    """How batches for ``target`` are sent."""
    settings = json.dumps(asdict(target), sort_keys=True).encode("ascii")
    return Service(
        url=lambda at: f"{at['endpoint']}/dataCollectionRules/{at['rule_id']}/streams/{at['stream']}",
        transport=IngestionTransport(ca_file=target.ca_file, proxy=target.proxy),
        tokens=tokens_for(target, SCOPES[target.cloud], read),
        setup=hashlib.sha256(settings).hexdigest()[:16],
        deadline=DEADLINE,
        splitters={CONTENT_TYPE: split_payload},
        redact=redact_values,
    )


# -- payloads ---------------------------------------------------------------------------


def chunks(lines: Iterable[bytes], most: int = MAX_BYTES) -> Iterator[tuple[bytes, int]]:
    """JSON texts as JSON arrays of at most ``most`` bytes, each with its number of rows; none is left out.

    A single text that is larger than ``most`` raises ValueError: whoever makes rows keeps them smaller.
    """
    held: list[bytes] = []
    size = 2
    for line in lines:
        if len(line) + 2 > most:
            raise ValueError("a row is larger than an upload")
        if held and size + len(line) + 1 > most:
            yield _array(held), len(held)
            held, size = [], 2
        size += len(line) + (1 if held else 0)
        held.append(line)
    if held:
        yield _array(held), len(held)


def split_payload(payload: bytes) -> tuple[tuple[bytes, int], tuple[bytes, int]] | None:
    """A payload as two, the same ones each time; None if it has a single row."""
    rows = json.loads(payload)
    if len(rows) < 2:  # noqa: PLR2004
        return None
    middle = len(rows) // 2

    def line(row: Any) -> bytes:
        return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()

    def part(some: list[Any]) -> tuple[bytes, int]:
        return _array(list(map(line, some))), len(some)

    return part(rows[:middle]), part(rows[middle:])


def _array(lines: list[bytes]) -> bytes:
    return b"[" + b",".join(lines) + b"]"


def redact_values(text: str, payload: bytes) -> str:
    """A reply's text without the values of the rows it may quote; the names of columns stay readable."""
    found: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)
        elif value is not None and not isinstance(value, bool):
            found.add(str(value))

    collect(json.loads(payload))
    for value in sorted(found, key=len, reverse=True):
        if len(value) >= _WORTH_HIDING:
            text = text.replace(value, "…").replace(json.dumps(value)[1:-1], "…")
    return text


# -- the network ------------------------------------------------------------------------


class StaticToken:
    """A token that is at hand already, as Microsoft's client wants it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_more: Any) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3600)


class IngestionTransport:
    """One upload by Microsoft's client: no retries, no redirects, the environment not looked at."""

    def __init__(self, *, ca_file: str | None = None, proxy: str | None = None) -> None:
        self._ca_file = ca_file
        self._proxy = proxy

    def post(self, upload: Upload, commit: Callable[[], None]) -> Outcome:
        """Send ``upload``. The client hands no body out in parts, so all of a call counts as in doubt."""
        parts = urlsplit(upload.url)
        _, _, rule, _, stream = parts.path.split("/")
        body = io.BytesIO(gzip.compress(upload.content.read(), mtime=0))
        answers: list[Any] = []
        commit()
        try:
            with self._client(f"{parts.scheme}://{parts.netloc}", upload) as client:
                client.upload(rule, stream, body, raw_response_hook=answers.append)
        except HttpResponseError as error:
            return _refused(error)
        except AzureError as error:
            sent = not isinstance(error, ServiceRequestError)  # that one says: not sent
            # Microsoft's error hides where it came from from Python's own chain.
            return to_failure(error.inner_exception or error, committed=sent, expired=False)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            # What the client makes of an answer that is none, such as a proxy's page that is not UTF-8.
            return _reply(answers[0].http_response) if answers else Failure("protocol", committed=True)
        headers = answers[0].http_response.headers if answers else {}
        return Reply(status=204, request_id=_request_id(headers))

    def _client(self, endpoint: str, upload: Upload) -> LogsIngestionClient:
        transport = BoundedTransport(
            deadline=upload.deadline, ca_file=self._ca_file, proxy=self._proxy, environment=False
        )
        return LogsIngestionClient(
            endpoint,
            StaticToken(upload.token),
            transport=transport,
            retry_total=0,
            permit_redirects=False,
            user_agent=f"irmexport/{__version__}",
        )


def _refused(error: HttpResponseError) -> Outcome:
    """An answer that Microsoft's client takes for an error: everything but 204."""
    if error.response is None:
        return Failure("protocol", committed=True)
    inner = getattr(error, "error", None)
    said = f"{inner.code}: {inner.message}" if inner is not None and inner.code else ""
    return _reply(error.response, said)


def _reply(response: Any, said: str = "") -> Reply:
    """An answer that is no success, whose words are ``said``. (Its type does not say that it has headers.)"""
    status = int(response.status_code or 0)
    return Reply(
        status=status,
        request_id=_request_id(response.headers),
        text=said[:2000],
        wait=retry_after(response.headers.get("Retry-After"), time.time()),
        page=200 <= status < 300,  # noqa: PLR2004 - a success is 204: what says otherwise is not the service
    )


def _request_id(headers: Mapping[str, str]) -> str:
    for name in ("x-ms-request-id", "x-ms-correlation-request-id", "x-ms-client-request-id"):
        if headers.get(name):
            return str(headers[name])[:64]
    return ""
