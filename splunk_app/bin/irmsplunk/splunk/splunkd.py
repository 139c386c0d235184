"""splunkd's REST API, as far as the app uses it: JSON over HTTPS with a session key.

Only the standard library, because the search command uses it. The certificate is verified except on loopback:
splunkd's own certificate is made at installation and names no host, and a session key is sent only to the
host that issued it.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from irmcore.errors import IrmError

from irmsplunk import APP

_SECONDS = 30.0
_REPLY_BYTES = 16 * 1024 * 1024
_FORM = "application/x-www-form-urlencoded"
NOBODY = f"/servicesNS/nobody/{APP}"


class SplunkdRefused(IrmError):
    """splunkd refused a request or did not answer; ``status`` is the HTTP status, 0 without an answer."""

    def __init__(self, status: int, what: str, *, where: str, next_step: str) -> None:
        super().__init__(what, where=where, next_step=next_step)
        self.status = status


class Splunkd:
    """One splunkd, as the user whom the session key belongs to; a reply may take ``timeout`` seconds."""

    def __init__(self, uri: str, session_key: str, timeout: float = _SECONDS) -> None:
        parts = urlsplit(uri)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 8089
        self._plain = parts.scheme == "http"  # enableSplunkdSSL = false
        self._key = session_key
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"Splunkd({self._host}:{self._port})"

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return _object(self.exchange("GET", path, query))

    def content(self, path: str) -> dict[str, Any]:
        """The content of the object at ``path``; empty if the reply has none."""
        entries = self.get(path).get("entry") or [{}]
        return entries[0].get("content") or {}

    def post(self, path: str, form: Mapping[str, str]) -> dict[str, Any]:
        return _object(self.exchange("POST", path, body=urlencode(form).encode("ascii"), content_type=_FORM))

    def delete(self, path: str) -> dict[str, Any]:
        return _object(self.exchange("DELETE", path))

    def exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] = MappingProxyType({}),
        *,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """The body of the reply to one request, cut off after 16 MiB. Raises SplunkdRefused."""
        target = f"{path}?{urlencode({'output_mode': 'json', **query})}"
        headers = {"Authorization": f"Splunk {self._key}", "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = content_type
        connection = self._connection()
        try:
            connection.request(method, target, body=body, headers=headers)
            reply = connection.getresponse()
            # Not always the limit: Python 3.9 allocates as much memory as it is asked to read.
            text = reply.read(_REPLY_BYTES if reply.length is None else min(reply.length, _REPLY_BYTES))
        except (OSError, http.client.HTTPException) as error:
            raise SplunkdRefused(
                0,
                f"splunkd cannot be reached ({type(error).__name__})",
                where=f"{self._host}:{self._port}",
                next_step="See splunkd.log; run this again when splunkd answers.",
            ) from None
        finally:
            connection.close()
        if reply.status >= 300:  # noqa: PLR2004 - HTTP's classes
            raise self._refusal(reply.status, path)
        return text

    def _connection(self) -> http.client.HTTPConnection:
        if self._plain:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        if _is_loopback(self._host):
            # Not the default context: loading certificate authorities that are not used takes 6 MB.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context = ssl.create_default_context()
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)

    def _refusal(self, status: int, path: str) -> SplunkdRefused:
        reload = "Check the name; a new app needs a restart or reload."
        known = {
            401: ("the Splunk session is invalid or has expired", "Sign in again, or run the search again."),
            403: ("Splunk denies this to the user", "Ask an administrator for the capability or role."),
            404: ("Splunk has no object of this name", reload),
            409: ("Splunk already has an object of this name", "Choose another name, or update that object."),
        }
        what, step = known.get(status, (f"splunkd answered with HTTP {status}", "See splunkd.log."))
        return SplunkdRefused(status, what, where=path, next_step=step)


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text or b"{}")
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def path_segment(name: str) -> str:
    """``name`` quoted as one segment of a path."""
    return quote(name, safe="")


def current_user(splunkd: Splunkd) -> tuple[str, frozenset[str]]:
    """The session's user and capabilities, as splunkd reports them."""
    content = splunkd.content("/services/authentication/current-context")
    return str(content.get("username", "")), frozenset(content.get("capabilities", ()))
