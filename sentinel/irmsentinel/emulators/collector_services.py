"""Emulates the services that the collector calls behind one server: Entra and the three APIs.

Each service says in its own module what it promises. ``requests`` has every request, for tests.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from irmemulator.announced_server import AnnouncedServer
from irmemulator.faults import Fault
from irmemulator.http_messages import Reply, Request
from irmemulator.routing import Route

from irmsentinel.emulators import graph_security, logs_ingestion, management_api
from irmsentinel.emulators.announcement import COLLECTOR_SERVICES
from irmsentinel.emulators.azure_errors import azure_error
from irmsentinel.emulators.collector_options import Options
from irmsentinel.emulators.graph_security import GraphSecurity
from irmsentinel.emulators.logs_ingestion import LogsIngestion
from irmsentinel.emulators.management_api import ManagementApi


class CollectorServicesEmulator(AnnouncedServer):
    """Routes each request to the service that it is for: `feed`, `graph` or `ingestion`."""

    announcement = COLLECTOR_SERVICES

    def __init__(self, options: Options, directory: Path, *, subscribed: bool = True, **more: Any) -> None:
        """``subscribed``: whether the subscription was started before; ``more`` as `AnnouncedServer`.

        ``directory`` gets the tables' rows, too.
        """
        self.options = options
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        services = (management_api, graph_security, logs_ingestion)
        super().__init__(
            (options.tenant_id, options.app_id),
            [name for service in services for name in service.ENDPOINTS],
            directory,
            resources=(management_api.RESOURCE, graph_security.RESOURCE, *logs_ingestion.RESOURCES),
            **more,
        )
        self.feed = ManagementApi(options, self.entra, subscribed=subscribed)
        self.graph = GraphSecurity(options, self.entra)
        self.ingestion = LogsIngestion(options, self.entra, directory)

    def announce(self, **more: Any) -> None:
        """Write the secret and the announcement, for `--emulator DIRECTORY`. Raises OSError."""
        rules = {one.table.name: rule for rule, one in self.options.rules.items()}
        super().announce(rules=rules, **more)

    def count(self, what: str) -> int:
        """How many requests had ``what`` in their path."""
        return sum(what in request.path for request in self.requests)

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
