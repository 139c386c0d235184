"""Optional dependencies: a missing one is a configuration error that names the command to install it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from irmcore.errors import ConfigurationError


@contextmanager
def _extra(name: str, what: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{what} is not installed ({error.name} is missing)",
            where=f"irmexport[{name}]",
            next_step=f"pip install 'irmexport[{name}]'",
        ) from None


def sentinel_extra() -> AbstractContextManager[None]:
    """Wrap imports that need ``irmexport[sentinel]``. Raises ConfigurationError if it is not installed."""
    return _extra("sentinel", "the Sentinel side")


def cloud_extra() -> AbstractContextManager[None]:
    """Wrap imports that need ``irmexport[cloud]``. Raises ConfigurationError if it is not installed."""
    return _extra("cloud", "the client of Azure Blob Storage and S3")


def otel_extra() -> AbstractContextManager[None]:
    """Wrap imports that need ``irmexport[otel]``. Raises ConfigurationError if it is not installed."""
    return _extra("otel", "the client of OpenTelemetry")


def entra_extra() -> AbstractContextManager[None]:
    """Wrap imports that need ``irmexport[entra]``. Raises ConfigurationError if it is not installed."""
    return _extra("entra", "the client of Microsoft Entra ID")
