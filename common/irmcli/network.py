"""How commands reach addresses of no connector: those of a monitor, an OpenTelemetry collector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from irmcore.http.deadlines import Exchange


def exchange(environment: Mapping[str, str], deadline: float) -> Exchange:
    """An exchange with IRMEXPORT_PROXY and IRMEXPORT_CA_FILE, and no other proxy; ``deadline`` in seconds."""
    from irmcore.http.deadlines import Exchange  # here: it loads requests

    ca_file, proxy = (environment.get(f"IRMEXPORT_{name}") or None for name in ("CA_FILE", "PROXY"))
    return Exchange(ca_file=ca_file, proxy=proxy, deadline=deadline)
