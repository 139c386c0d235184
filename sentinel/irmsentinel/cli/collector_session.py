"""The collector as its commands use it: settings, API feed and service, with API errors as messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from irmcli.extras import sentinel_extra
from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings
from irmcore.clock import SystemClock
from irmcore.outbox import Outbox

if TYPE_CHECKING:
    from irmsentinel.collector.graph_alerts import GraphAlerts
    from irmsentinel.collector.management_api import Feed
    from irmsentinel.collector.service import CollectorService
    from irmsentinel.collector.settings import CollectorSettings
    from irmsentinel.collector.spool import Spool


def open_services(
    settings: Settings, file: str, emulator: Path | None, source: str | None = None
) -> list[CollectorService]:
    """A collector of each source that the settings ``file`` names; ``source`` replaces what it says.

    Raises ConfigurationError.
    """
    return [_service(settings, one) for one in _read(file, emulator, source)]


def open_service(
    settings: Settings, file: str, emulator: Path | None, source: str | None = None
) -> CollectorService:
    """The first of `open_services`."""
    return open_services(settings, file, emulator, source)[0]


def _service(settings: Settings, collecting: CollectorSettings) -> CollectorService:
    with sentinel_extra():
        from irmsentinel.collector.service import CollectorService
    return CollectorService(
        collecting,
        settings.outbox_ready(),
        settings.credential,
        settings.origin({}),
        disk=settings.disk,
        clock=SystemClock(),
        connectors=connectors_of(settings),
        spool=_shared_spool(settings) if settings.address else None,
    )


def _shared_spool(settings: Settings) -> Callable[[Outbox], Spool]:
    """How rows get from a directory of this machine to the outbox that machines share."""
    from irmcli.session.shared import address_of
    from irmcore.operations.shared import Promotion, name_there

    from irmsentinel.collector.spool import Spool

    address = address_of(settings)

    def spool(own: Outbox) -> Spool:
        promotion = Promotion(address, own)

        def promote() -> None:
            promotion.create()
            promotion.rest()

        return Spool(own, address.replica(name_there(own)), promotion.accepted_there, promote)

    return spool


def open_feed(settings: Settings, file: str, emulator: Path | None) -> Feed:
    """The API's content feed, for a command that needs no outbox. Raises ConfigurationError."""
    with sentinel_extra():
        from irmsentinel.collector import service
        from irmsentinel.collector.rate_limit import RateLimiter
    (collecting,), clock = _read(file, emulator, "audit"), SystemClock()
    limiter = RateLimiter(collecting.requests_per_minute, clock)
    return service.feed(collecting, settings.credential, limiter, clock)


def open_graph(settings: Settings, file: str, emulator: Path | None) -> GraphAlerts:
    """The alerts in Microsoft Graph, for a command that needs no outbox. Raises ConfigurationError."""
    with sentinel_extra():
        from irmsentinel.collector import service
        from irmsentinel.collector.rate_limit import RateLimiter
    (collecting,), clock = _read(file, emulator, "graph"), SystemClock()
    limiter = RateLimiter(collecting.requests_per_minute, clock)
    return service.graph(collecting, settings.credential, limiter, clock)


def _read(file: str, emulator: Path | None, source: str | None) -> list[CollectorSettings]:
    with sentinel_extra():
        from irmsentinel.collector import settings
        from irmsentinel.emulators.collector_session import use_emulator
    found = settings.read(file, source)
    return [one if emulator is None else use_emulator(one, emulator) for one in found]


@contextmanager
def api_errors(name: str = "Management API") -> Iterator[None]:
    """Wrap requests to the API ``name``: an error becomes an IrmError with where and the next step."""
    from irmcore.http.auth import TokenTrouble

    from irmsentinel.collector import collector
    from irmsentinel.collector.api_errors import ApiError

    try:
        yield
    except ApiError as error:
        raise collector.api_failure(error, name) from None
    except TokenTrouble as error:
        raise collector.token_failure(error) from None


def utc_text(seconds: int) -> str:
    """A time (seconds since 1970) as text."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
