"""What the Sentinel side needs beyond the command line: the extra ``irmexport[sentinel]``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from irmcore.errors import ConfigurationError


@contextmanager
def needed() -> Iterator[None]:
    """Around imports: raises ConfigurationError if the extra is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the Sentinel side is not installed ({error.name} is missing)",
            where="irmexport[sentinel]",
            next_step="pip install 'irmexport[sentinel]'",
        ) from None
