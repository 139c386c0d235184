"""Check, without an upload, what an upload needs: DNS, TCP, TLS, proxy, clock, token, disk, outbox.

Nothing here verifies the job id: no call that does so without an upload is documented.
A finding contains no token and no secret.
"""

from __future__ import annotations

import base64
import binascii
import email.utils
import http.client
import json
import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from irmcore.clock import Clock
from irmcore.delivery.connection import Connection
from irmcore.disk import Disk
from irmcore.errors import CredentialError
from irmcore.http.auth import TokenSource, TokenTrouble
from irmcore.http.deadlines import default_ca_file

GOOD = "good"
NOTE = "note"
BAD = "bad"

#: Seconds that one connection may take.
TIMEOUT = 15.0
#: The difference between clocks, in seconds, that Entra ID and certificates tolerate.
SKEW = 120.0
#: Days before a certificate expires from which on the check notes it.
CERTIFICATE_DAYS = 14
#: With fewer free bytes, the outbox will soon refuse new work.
LOW_DISK = 512 * 1024 * 1024


@dataclass(frozen=True)
class Finding:
    """The result of one check: its name, grade (good, note, bad), what was found, and the next step."""

    check: str
    grade: str
    found: str
    next_step: str = ""


def check_connection(connection: Connection, tokens: TokenSource, clock: Clock) -> Iterator[Finding]:
    """Check the connection to each host, and the token."""
    endpoints = connection.endpoints()
    unfilled = connection.connector.placeholders()
    if unfilled:
        yield Finding("profile", BAD, f"{', '.join(unfilled)} not filled in", "Fill them in.")
    for role, url in (("login host", endpoints.login), ("upload host", endpoints.upload)):
        yield from _check_host(role, url, connection, clock)
    yield from _token(connection, tokens)
    yield Finding("job id", NOTE, "only a real upload can verify it")


def _check_host(role: str, url: str, connection: Connection, clock: Clock) -> Iterator[Finding]:
    """Check DNS, TCP, TLS and the clock of one host, through the proxy if there is one."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    proxy = connection.connector.proxy if connection.emulator is None else None
    first = urlsplit(proxy) if proxy else parts
    first_host, first_port = first.hostname or "", first.port or (8080 if proxy else 443)
    name = f"{role} {host}"
    try:
        found = socket.getaddrinfo(first_host, first_port, type=socket.SOCK_STREAM)
    except OSError:
        step = "Check DNS, or set `proxy` if this network has one."
        yield Finding(f"{name}: DNS", BAD, f"{first_host} cannot be resolved", step)
        return
    addresses = sorted({str(item[4][0]) for item in found})
    yield Finding(f"{name}: DNS", GOOD, f"{first_host} is {', '.join(addresses[:3])}")
    try:
        context = ssl.create_default_context(cafile=connection.ca_file() or default_ca_file())
    except (OSError, ssl.SSLError):
        yield Finding(
            "ca_file",
            BAD,
            "it cannot be read as PEM",
            "Set it to the PEM file of the authority's certificate.",
        )
        return
    yield from _exchange(name, (host, port), (first_host, first_port) if proxy else None, context, clock)


def _exchange(
    name: str,
    target: tuple[str, int],
    proxy: tuple[str, int] | None,
    context: ssl.SSLContext,
    clock: Clock,
) -> Iterator[Finding]:
    """Send one HEAD request, for the certificate and the clock of the host."""
    line = http.client.HTTPSConnection(*(proxy or target), timeout=TIMEOUT, context=context)
    if proxy:
        line.set_tunnel(*target)
    try:
        line.connect()
        certificate: Any = line.sock.getpeercert() if isinstance(line.sock, ssl.SSLSocket) else {}
        yield _certificate(name, certificate, clock.now())
        line.request("HEAD", "/")
        date = line.getresponse().getheader("Date")
        yield _skew(name, date, clock.now())
    except ssl.SSLCertVerificationError as error:
        step = "If TLS is inspected here, set `ca_file` to the inspecting authority's PEM file."
        yield Finding(f"{name}: TLS", BAD, f"not trusted ({error.verify_message})", step)
    except (OSError, http.client.HTTPException) as error:
        through = "through the proxy " if proxy else ""
        step = f"Allow {target[0]}:{target[1]} in the firewall" + (" and the proxy." if proxy else ".")
        yield Finding(f"{name}: TCP and TLS", BAD, f"no connection {through}({type(error).__name__})", step)
    finally:
        line.close()


def _certificate(name: str, certificate: Any, now: float) -> Finding:
    issuer = dict(pair for group in certificate.get("issuer", ()) for pair in group)
    ends = ssl.cert_time_to_seconds(certificate["notAfter"])
    days = int((ends - now) / 86_400)
    by = issuer.get("organizationName") or issuer.get("commonName") or "unknown"
    grade = GOOD if days >= CERTIFICATE_DAYS else NOTE
    return Finding(f"{name}: TLS", grade, f"issued by {by}, expires in {days} days")


def _skew(name: str, date: str | None, now: float) -> Finding:
    try:
        there = email.utils.parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError):
        return Finding(f"{name}: clock", NOTE, "the host does not send its time")
    skew = now - there
    if abs(skew) <= SKEW:
        return Finding(f"{name}: clock", GOOD, f"within {SKEW:.0f} s of this machine's clock")
    step = "Set this machine's clock (NTP), or tokens will be refused."
    return Finding(f"{name}: clock", BAD, f"this machine is {skew:+.0f} s off", step)


def _token(connection: Connection, tokens: TokenSource) -> Iterator[Finding]:
    try:
        token = tokens.token()
    except TokenTrouble as trouble:
        yield Finding("token", BAD, trouble.code, trouble.advice)
        return
    except CredentialError as error:
        yield Finding("credential", BAD, error.what, error.next_step)
        return
    claims = _claims(token)
    if not claims:
        yield Finding("token", GOOD, "issued; it is opaque, so its audience cannot be read")
        return
    connector = connection.connector
    audience, tenant = str(claims.get("aud", "")), str(claims.get("tid", ""))
    if connector.resource_app_id not in audience:
        step = "Check `resource_app_id`, or remove it to use Microsoft's current one."
        yield Finding("token audience", BAD, "not the connector's application", step)
    else:
        yield Finding("token audience", GOOD, "the connector's application")
    if tenant and tenant.lower() != connector.tenant_id:
        yield Finding("token tenant", BAD, "not the tenant in `tenant_id`", "Check `tenant_id` and `app_id`.")
    else:
        yield Finding("token tenant", GOOD, "the profile's tenant")


def _claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, not verified, as only its audience can do that; {} for anything else."""
    parts = token.split(".")
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(padded))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}


def check_outbox(disk: Disk, path: str) -> Iterator[Finding]:
    """Check that the outbox can be written and has room."""
    if not disk.exists(path):
        yield Finding("outbox", NOTE, f"{path} does not exist yet; the first send creates it")
        return
    test_file = f"{path}/.doctor-{os.getpid()}"
    try:
        disk.create(test_file, b"irmexport doctor\n", sync=True)
        disk.remove(test_file)
        yield Finding("outbox", GOOD, f"{path} can be written and synced")
    except OSError as error:
        step = "Make the user who runs irmexport its owner, and check the disk."
        yield Finding("outbox", BAD, f"{path} cannot be written ({error.strerror})", step)
    free = disk.free_bytes(path)
    grade, step = (
        (GOOD, "") if free >= LOW_DISK else (BAD, "Free some space, or new work will soon be refused.")
    )
    yield Finding("disk", grade, f"{free // (1024 * 1024):,} MiB free", step)
