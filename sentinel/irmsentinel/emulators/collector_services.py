"""Emulates the services that the collector calls behind one server: Entra and the three APIs.

Each service says in its own module what it promises. ``requests`` has every request, for tests.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import chain
from pathlib import Path

from irmemulator.announcement import write_announcement
from irmemulator.entra import Entra
from irmemulator.fault_queue import Faults
from irmemulator.faults import Fault
from irmemulator.http_messages import Reply, Request
from irmemulator.loopback_server import LoopbackServer
from irmemulator.private_files import made_up_secret, write_private
from irmemulator.routing import Route
from irmemulator.settings import App

from irmsentinel.emulators import graph_security, logs_ingestion, management_api
from irmsentinel.emulators.announcement import COLLECTOR_SERVICES
from irmsentinel.emulators.azure_errors import azure_error
from irmsentinel.emulators.collector_options import Options
from irmsentinel.emulators.graph_security import GraphSecurity
from irmsentinel.emulators.logs_ingestion import LogsIngestion
from irmsentinel.emulators.management_api import ManagementApi


class CollectorServices:
    """Routes each request to the service that it is for."""

    def __init__(self, options: Options, secret: str, directory: Path, *, subscribed: bool) -> None:
        """See `CollectorServicesEmulator`."""
        endpoints = (service.ENDPOINTS for service in (management_api, graph_security, logs_ingestion))
        self.faults = Faults(("discovery", "token", *chain.from_iterable(endpoints)))
        self.entra = Entra(
            [App(options.tenant_id, options.app_id, secret)],
            (management_api.RESOURCE, graph_security.RESOURCE, *logs_ingestion.RESOURCES),
            own_resource=management_api.RESOURCE,
        )
        self.feed = ManagementApi(options, self.entra, subscribed=subscribed)
        self.graph = GraphSecurity(options, self.entra)
        self.ingestion = LogsIngestion(options, self.entra, directory)
        self.requests: list[Request] = []
        self._lock = threading.Lock()

    def route(self, request: Request) -> Route | Reply:
        """The endpoint for a request."""
        route = (
            self.entra.route(request)
            or self.feed.route(request)
            or self.graph.route(request)
            or self.ingestion.route(request)
        )
        if route is None:
            route = azure_error(404, "NotFound", "The path does not exist")
        if isinstance(route, Reply):
            self._record(request)
            return route
        act = route.answer

        def answer(whole: Request, fault: Fault | None) -> Reply:
            self._record(whole)
            return act(whole, fault)

        return replace(route, answer=answer)

    def refuse(self, status: int, code: str, message: str) -> Reply:
        """An error in Azure's form."""
        return azure_error(status, code, message)

    def _record(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)


class CollectorServicesEmulator(LoopbackServer):
    """The running emulator. `feed`, `graph` and `ingestion` are its services."""

    def __init__(
        self,
        options: Options,
        directory: Path,
        *,
        port: int = 0,
        lifetime: float | None = None,
        subscribed: bool = True,
    ) -> None:
        """Take the settings. Nothing listens before `start`.

        Args:
            options: What it knows and how it behaves.
            directory: Gets the CA, the announcement, the secret, and the tables' rows.
            port: The port; 0: any free one.
            lifetime: Seconds after which it stops by itself; None: never.
            subscribed: Whether the subscription was started before.
        """
        self.options = options
        self.directory = directory
        self.secret = made_up_secret()
        self._services = CollectorServices(options, self.secret, directory, subscribed=subscribed)
        super().__init__(self._services, port=port, directory=directory, lifetime=lifetime)

    @property
    def feed(self) -> ManagementApi:
        """The Management Activity API."""
        return self._services.feed

    @property
    def graph(self) -> GraphSecurity:
        """Microsoft Graph's alerts."""
        return self._services.graph

    @property
    def ingestion(self) -> LogsIngestion:
        """Logs Ingestion."""
        return self._services.ingestion

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in order."""
        return list(self._services.requests)

    def count(self, what: str) -> int:
        """How many requests had ``what`` in their path."""
        return sum(what in request.path for request in self.requests)

    def revoke_tokens(self) -> None:
        """Revoke every token issued so far."""
        self._services.entra.revoke_tokens()

    def announce(self) -> None:
        """Write the secret and the announcement, for `--emulator DIRECTORY`. Raises OSError."""
        secret_file = self.directory.absolute() / "secret"
        write_private(secret_file, self.secret.encode())
        write_announcement(
            self.directory / COLLECTOR_SERVICES,
            {
                "url": self.url,
                "ca_file": str(self.ca_file),
                "secret_file": str(secret_file),
                "tenant_id": self.options.tenant_id,
                "app_id": self.options.app_id,
                "rules": {one.table.name: rule for rule, one in self.options.rules.items()},
            },
        )
