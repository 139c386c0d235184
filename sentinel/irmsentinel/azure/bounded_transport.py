"""The transport of Microsoft's clients: a request ends at its deadline, however slowly its answer comes.

Their own time-out only limits the time between two bytes. Each request has a connection of its own, and this
transport neither retries nor follows redirects. The client's policies sleep on the injected clock.
"""

from __future__ import annotations

from typing import Any

from azure.core.exceptions import (
    AzureError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import RequestsTransport
from irmcore.clock import Clock, SystemClock
from irmcore.http.deadlines import CONNECT_SECONDS, Exchange


class BoundedTransport(RequestsTransport):  # type: ignore[misc] # azure-core imports it lazily, out of mypy's sight
    """``deadline`` in seconds for one request and its whole answer.

    ``environment``: whether proxies and CA bundles of the environment apply where none are given here.
    """

    def __init__(
        self,
        *,
        deadline: float,
        ca_file: str | None,
        proxy: str | None = None,
        environment: bool,
        clock: Clock | None = None,
    ) -> None:
        self._settings: dict[str, Any] = {"ca_file": ca_file, "proxy": proxy, "deadline": deadline}
        self._verify = ca_file or True
        self._environment = environment
        self._clock = clock or SystemClock()
        super().__init__(connection_verify=self._verify, use_env_settings=environment)

    def send(self, request: Any, *, proxies: Any = None, **kwargs: Any) -> Any:
        """The complete answer. Raises AzureError."""
        with Exchange(**self._settings) as exchange:
            exchange.session.trust_env = self._environment
            once = RequestsTransport(
                session=exchange.session,
                session_owner=False,
                connection_verify=self._verify,
                connection_timeout=min(CONNECT_SECONDS, self._settings["deadline"]),
                read_timeout=self._settings["deadline"],
            )
            try:
                answer = once.send(request, proxies=proxies, **{**kwargs, "stream": False})
            except AzureError as error:
                if not exchange.expired:
                    raise
                unsent = isinstance(error, ServiceRequestError)
                kind = ServiceRequestTimeoutError if unsent else ServiceResponseTimeoutError
                raise kind("the deadline has passed", error=TimeoutError()) from None
            if exchange.expired:  # an answer that ends with its connection looks complete
                raise ServiceResponseTimeoutError("the deadline has passed", error=TimeoutError())
            return answer

    def sleep(self, duration: float) -> None:
        """Wait as long as a policy of the client asks for."""
        self._clock.sleep(duration)
