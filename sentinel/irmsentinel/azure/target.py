"""A destination in Log Analytics: a stream of a data collection rule, and the app that may send there.

The settings are stored beside the outbox, so that `irmexport drain` needs no settings file.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from irmcore.clouds import CLOUDS, emulator_endpoints
from irmcore.delivery.connection import FILE, save_settings
from irmcore.errors import AddressRefused, DamageError
from irmcore.outbox import Destination, Outbox, sealed
from irmcore.profile.model import CredentialRef

KIND = "azure-monitor-ingestion"
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.ingest\.monitor\.azure\.(com|us|cn)")


@dataclass(frozen=True)
class Target:
    """A stream, and the app that may send there.

    ``name`` is for messages, ``rule_id`` the immutable ID (dcr-…); ``app_id`` is empty if a managed identity
    signs in by itself; ``emulator`` means that the endpoint is a local emulator.
    """

    name: str
    tenant_id: str
    app_id: str
    cloud: str
    credential: CredentialRef
    endpoint: str
    rule_id: str
    stream: str
    proxy: str | None = None
    ca_file: str | None = None
    emulator: bool = False

    @property
    def destination(self) -> Destination:
        """Where its batches go. Sending a batch twice does no harm there."""
        address = {"endpoint": self.endpoint, "rule_id": self.rule_id, "stream": self.stream}
        return Destination(KIND, address, "resend")

    @property
    def outbox_name(self) -> str:
        """The directory of its outbox: tenant, rule and stream, whatever the settings file is called."""
        kind = "emulator" if self.emulator else "sentinel"
        return f"{kind}-{self.tenant_id}-{self.rule_id}-{self.stream.removeprefix('Custom-')}"

    @property
    def login(self) -> str:
        """The URL of the login host."""
        return self.endpoint if self.emulator else CLOUDS[self.cloud].login


def checked_endpoint(url: str, *, emulator: bool) -> str:
    """``https://host`` of an ingestion endpoint. Raises AddressRefused for any other host."""
    if emulator:
        return emulator_endpoints(url).upload
    parts = urlsplit(url)
    if parts.scheme != "https" or not _HOST.fullmatch(parts.netloc) or parts.path.strip("/") or parts.query:
        raise AddressRefused(
            "this is not an ingestion endpoint of Azure Monitor",
            where="`endpoint`",
            next_step="Copy endpoints.logsIngestion from the rule's JSON view (….ingest.monitor.azure.com).",
        )
    return f"https://{parts.netloc}"


def save_target(outbox: Outbox, target: Target) -> None:
    """Store the target beside the outbox. Raises OSError."""
    settings = {"kind": KIND, "profile": target.name, **asdict(target)}
    save_settings(outbox, settings)


def load_target(outbox: Outbox) -> Target:
    """The target that ``save_target`` stored. Raises DamageError, AddressRefused."""
    try:
        raw = sealed.decode(outbox.read_file(FILE) or b"")
        raw = {name: raw[name] for name in Target.__dataclass_fields__}
        target = Target(**{**raw, "credential": CredentialRef(**raw["credential"])})
    except (ValueError, KeyError, TypeError):
        raise DamageError(
            "the settings beside the outbox are damaged",
            where=f"{outbox.path}/{FILE}",
            next_step="Run `irmexport sentinel collect --once`, which writes them again.",
        ) from None
    checked_endpoint(target.endpoint, emulator=target.emulator)
    return target
