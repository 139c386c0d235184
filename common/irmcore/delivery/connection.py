"""A connector's settings, saved beside its outbox, and the service that they describe.

``connector.json`` holds the settings of the profile that last submitted rows to the outbox, so that a drain
needs no profile. It names where the secret is; each drain reads the secret itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from irmcore import __version__
from irmcore.clouds import CLOUDS, Endpoints, emulator_endpoints
from irmcore.errors import ConfigurationError, DamageError
from irmcore.http.credentials import Credential
from irmcore.outbox import Destination, Outbox, audit_log, sealed
from irmcore.profile.model import Connector, CredentialRef
from irmcore.shaping.batches import halves

if TYPE_CHECKING:
    from irmcore.delivery.service import Service

FILE = "connector.json"
#: The kind of destination that a profile describes.
KIND = "purview-indicators"
#: Seconds for one request to Entra ID.
TOKEN_DEADLINE = 60.0


@dataclass(frozen=True)
class Connection:
    """A connector's settings. ``emulator`` is the address of a local emulator that replaces the service."""

    profile: str
    connector: Connector
    emulator: str | None = None
    emulator_ca: str | None = None

    def endpoints(self) -> Endpoints:
        """Where uploads and sign-ins go. Raises AddressRefused."""
        if self.emulator is not None:
            return emulator_endpoints(self.emulator)
        return CLOUDS[self.connector.cloud]

    def ca_file(self) -> str | None:
        return self.emulator_ca if self.emulator is not None else self.connector.ca_file


def destination(connection: Connection) -> Destination:
    """Where batches go. An emulator has an address of its own, so its batches never go anywhere else."""
    cloud = "emulator" if connection.emulator is not None else connection.connector.cloud
    address = {"cloud": cloud, "job_id": connection.connector.job_id}
    return Destination(KIND, address, connection.connector.in_doubt)


def outbox_name(connection: Connection) -> str:
    """The directory name of a connector's outbox. It depends on the job and not on the profile's name."""
    kind = "emulator" if connection.emulator is not None else "purview"
    return f"{kind}-{connection.connector.job_id}"


def save(outbox: Outbox, connection: Connection) -> None:
    """Save ``connection`` beside the outbox, if it is not there already. Raises OSError."""
    save_settings(outbox, asdict(connection))


def save_settings(outbox: Outbox, settings: Mapping[str, Any]) -> None:
    """Save settings of any kind of destination, if they are not there already: recorded, then written.

    Raises OutboxBusy, OSError.
    """
    data, known = sealed.encode(settings), outbox.read_file(FILE)
    if known == data:
        return
    old, new = ((one or {}).get("connector", one or {}) for one in (settings_of(outbox), settings))
    event = {
        "event": "configured",
        "settings": hashlib.sha256(data).hexdigest(),
        "before": hashlib.sha256(known).hexdigest() if known is not None else "",
        "changed": sorted(key for key in {*old, *new} if old.get(key) != new.get(key)),
    }
    audit_log.append(outbox, event, lambda: outbox.replace_file(FILE, data))


def settings_of(outbox: Outbox) -> dict[str, Any] | None:
    """The settings beside the outbox, of any kind of destination; None if they cannot be read."""
    try:
        return sealed.decode(outbox.read_file(FILE) or b"")
    except (ValueError, OSError):
        return None


def kind_of(outbox: Outbox) -> str:
    """The kind of destination of an outbox: a profile's, unless its settings name another."""
    return str((settings_of(outbox) or {}).get("kind", KIND))


def load(outbox: Outbox) -> Connection:
    """The connection saved beside the outbox. Raises DamageError if it cannot be read."""
    try:
        raw = sealed.decode(outbox.read_file(FILE) or b"")
        credential = CredentialRef(**raw["connector"].pop("credential"))
        raw["connector"] = Connector(credential=credential, **raw["connector"])
        return Connection(**raw)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DamageError(
            "the connector's settings beside the outbox cannot be read",
            where=f"{outbox.path}/{FILE}",
            next_step="Run `irmexport send FILE --profile PROFILE` once, with its profile, to write "
            "them again.",
        ) from None


def service(connection: Connection, secret: Callable[[], Credential]) -> Service:
    """The service of a connection. ``secret`` reads the credential when a token is first needed.

    Raises ConfigurationError if settings still have a placeholder, or if others may change the CA file.
    """
    # Imported here, as these load requests: submitting rows needs this module, but no network.
    from irmcore.delivery.service import Service  # noqa: PLC0415
    from irmcore.http.auth import MsalTokens  # noqa: PLC0415
    from irmcore.http.deadlines import TokenHttp  # noqa: PLC0415
    from irmcore.http.upload import HttpsTransport  # noqa: PLC0415

    connector = connection.connector
    unfilled = connector.placeholders()
    if unfilled:
        raise ConfigurationError(
            f"{', '.join(f'`{key}`' for key in unfilled)} of profile {connection.profile} "
            "still has the placeholder",
            next_step="Fill in the IDs in a file of your own, and pass that with --profile.",
        )
    endpoints = connection.endpoints()
    http = TokenHttp(ca_file=connection.ca_file(), proxy=connector.proxy, deadline=TOKEN_DEADLINE)
    tokens = MsalTokens(
        login=endpoints.login,
        tenant_id=connector.tenant_id,
        app_id=connector.app_id,
        secret=secret,
        scope=f"https://microsoft.onmicrosoft.com/{connector.resource_app_id}/.default",
        http=http,
        known_login=connection.emulator is None,
    )
    settings = json.dumps(asdict(connection), sort_keys=True).encode("ascii")
    return Service(
        url=lambda address: f"{endpoints.upload}/api/signals?jobid={address['job_id']}",
        transport=HttpsTransport(
            ca_file=connection.ca_file(),
            proxy=connector.proxy,
            user_agent=f"irmexport/{__version__}",
        ),
        tokens=tokens,
        setup=hashlib.sha256(settings).hexdigest()[:16],
        deadline=float(connector.deadline),
        splitters={"text/csv": halves},
        in_flight=connector.in_flight,
    )
