"""Optional dependencies: a missing one is a configuration error that names the command to install it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from irmcore.errors import ConfigurationError


@contextmanager
def sentinel_extra() -> Iterator[None]:
    """Wrap imports that need ``irmexport[sentinel]``. Raises ConfigurationError if it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the Sentinel side is not installed ({error.name} is missing)",
            where="irmexport[sentinel]",
            next_step="pip install 'irmexport[sentinel]'",
        ) from None
