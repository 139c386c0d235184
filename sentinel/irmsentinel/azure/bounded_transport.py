"""The transport of Microsoft's clients: each request ends at its deadline, however little of an answer comes.

Their own time-out is one between two bytes. Promised besides: a connection of its own for each request, and
nothing repeated or followed here. Waits of the client's policies are slept on the clock that is given.
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


class BoundedTransport(RequestsTransport):  # type: ignore[misc] # mypy does not see what azure-core loads late
    """``deadline`` in seconds for one request and its whole answer.

    ``environment``: whether proxies and authorities of the environment count where none are given here.
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
        """The answer, read to its end. Raises AzureError."""
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
            if exchange.expired:  # an answer that is ended by its connection looks whole
                raise ServiceResponseTimeoutError("the deadline has passed", error=TimeoutError())
            return answer

    def sleep(self, duration: float) -> None:
        """What a policy of the client waits before it asks again."""
        self._clock.sleep(duration)
