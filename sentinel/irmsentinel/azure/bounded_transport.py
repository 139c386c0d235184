"""The transport of Microsoft's clients: a request ends at its deadline, however slowly its answer comes, and
the answer has a maximum size.

Their own time-out only limits the time between two bytes. Each request has a connection of its own, and this
transport neither retries nor follows redirects. The client's policies sleep on the injected clock.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import (
    AzureError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import RequestsTransport
from irmcore.clock import Clock, SystemClock
from irmcore.errors import WaitError
from irmcore.http.deadlines import CONNECT_SECONDS, MAX_TOKEN_BYTES, Exchange, read_bounded, require_own_ca

#: The longest wait, in seconds, before a client repeats a request by itself. Callers try again later.
MAX_SLEEP = 60.0


@dataclass(frozen=True)
class Network:
    """The proxy, as http://host:port, and the CA file of clients that have no settings file."""

    proxy: str | None = None
    ca_file: str | None = None

    @staticmethod
    def of(environment: Mapping[str, str]) -> Network:
        """What IRMEXPORT_PROXY and IRMEXPORT_CA_FILE say; an empty one counts as not set."""
        return Network(
            environment.get("IRMEXPORT_PROXY") or None, environment.get("IRMEXPORT_CA_FILE") or None
        )

    def transport(
        self, deadline: float, *, clock: Clock | None = None, max_bytes: int = MAX_TOKEN_BYTES
    ) -> BoundedTransport:
        """A transport with this proxy and CA file; ``deadline`` in seconds for one request.

        Raises ConfigurationError if others may change the CA file.
        """
        require_own_ca(self.ca_file)
        return BoundedTransport(
            deadline=deadline, ca_file=self.ca_file, proxy=self.proxy, clock=clock, max_bytes=max_bytes
        )


#: No proxy, and the built-in certificate authorities.
DIRECT = Network()


class AnswerTooLarge(ServiceResponseError):
    """The answer has more bytes than the transport may read."""


class BoundedTransport(RequestsTransport):  # type: ignore[misc] # azure-core imports it lazily, out of mypy's sight
    """``deadline`` in seconds for one request and its whole answer.

    A proxy and a CA file are only those given here: HTTPS_PROXY, REQUESTS_CA_BUNDLE and ~/.netrc never apply.
    ``max_bytes``: the maximum size of an answer, decompressed; the default is for a login host.
    """

    def __init__(
        self,
        *,
        deadline: float,
        ca_file: str | None,
        proxy: str | None = None,
        clock: Clock | None = None,
        max_bytes: int = MAX_TOKEN_BYTES,
    ) -> None:
        self._settings: dict[str, Any] = {"ca_file": ca_file, "proxy": proxy, "deadline": deadline}
        self._verify = ca_file or True
        self._clock = clock or SystemClock()
        self._max_bytes = max_bytes
        super().__init__(connection_verify=self._verify, use_env_settings=False)

    def send(self, request: Any, *, proxies: Any = None, **kwargs: Any) -> Any:
        """The complete answer. Raises AzureError."""
        proxy = None if _is_of_this_machine(request.url) else self._settings["proxy"]
        with Exchange(**{**self._settings, "proxy": proxy}) as exchange:
            once = RequestsTransport(
                session=exchange.session,
                session_owner=False,
                connection_verify=self._verify,
                connection_timeout=min(CONNECT_SECONDS, self._settings["deadline"]),
                read_timeout=self._settings["deadline"],
            )
            try:
                answer = once.send(request, proxies=proxies, **{**kwargs, "stream": True})
                _read(answer, self._max_bytes)
            except (AzureError, OSError) as error:  # requests raises OSErrors
                if not exchange.expired and isinstance(error, AzureError):
                    raise
                if not exchange.expired:
                    raise ServiceResponseError(f"no complete answer ({type(error).__name__})") from None
                unsent = isinstance(error, ServiceRequestError)
                kind = ServiceRequestTimeoutError if unsent else ServiceResponseTimeoutError
                raise kind("the deadline has passed", error=TimeoutError()) from None
            if exchange.expired:  # an answer that ends with its connection looks complete
                raise ServiceResponseTimeoutError("the deadline has passed", error=TimeoutError())
            return answer

    def sleep(self, duration: float) -> None:
        """Wait as long as a policy of the client asks for. Raises WaitError if that is too long.

        The client obeys any Retry-After, and the sender's lock would be held for days. It would repeat the
        request after an AzureError.
        """
        if duration > MAX_SLEEP:
            raise WaitError(
                f"the service asks to wait for {duration:.0f} s",
                next_step="Run the command again after that time.",
            )
        self._clock.sleep(duration)


def _is_of_this_machine(url: str) -> bool:
    """Whether Azure issues the tokens of managed identities there: plain HTTP, loopback or link-local.

    No proxy reaches it: learn.microsoft.com/azure/virtual-machines/instance-metadata-service#proxies
    """
    try:
        parts = urlsplit(url)
        address = ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return False
    return parts.scheme == "http" and (address.is_loopback or address.is_link_local)


def _read(answer: Any, limit: int) -> None:
    """Read the whole answer, as its own ``read`` does, but at most ``limit`` bytes.

    Raises AzureError, OSError.
    """
    if not hasattr(answer, "iter_bytes"):  # azure-identity's requests are older than azure.core.rest
        read_bounded(answer.internal_response, limit)
        return
    parts, size = [], 0
    for part in answer.iter_bytes():
        size += len(part)
        if size > limit:
            raise AnswerTooLarge(f"the answer has more than {limit:,} bytes")
        parts.append(part)
    answer._content = b"".join(parts)  # noqa: SLF001 - azure-core has no public way to set what was read
