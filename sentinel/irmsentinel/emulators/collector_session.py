"""The collector's stand-in with made-up alerts in it, and settings that lead there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from irmcore.http import credentials
from irmcore.http.credentials import Credential
from irmcore.profile.model import CredentialRef

from irmsentinel.collector import settings as collector_settings
from irmsentinel.collector.settings import Collecting
from irmsentinel.content import artefacts as content
from irmsentinel.content import transforms
from irmsentinel.content.transforms import Transform
from irmsentinel.emulators import announcement as announced
from irmsentinel.emulators.synthetic_records import blobs_of_three_days

if TYPE_CHECKING:
    from irmsentinel.emulators.management_api import CollectorServicesEmulator

TENANT = "11111111-2222-4333-8444-555555555555"
APP = "66666666-7777-4888-8999-aaaaaaaaaaaa"
#: Each table's rule at the stand-in: made-up immutable ids.
RULES = {"Compliance_IRM_AuditGeneral_CL": f"dcr-{'1' * 32}", "IRMExportHealth_CL": f"dcr-{'2' * 32}"}


def transforms_by_rule() -> dict[str, Transform]:
    """The rules of the template, by the stand-in's made-up ids."""
    return {RULES[one.table.name]: one for one in transforms.load(content.root())}


@contextmanager
def running_emulator(
    directory: Path, *, alerts: int, port: int = 0, subscribed: bool = False
) -> Iterator[CollectorServicesEmulator]:
    """A running stand-in that has ``alerts``, announced in ``directory`` with settings that fit it."""
    # Loaded here, with the KQL engine: who only wants the settings would wait half a second for it.
    from irmsentinel.emulators.management_api import CollectorServicesEmulator, Options  # noqa: PLC0415

    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with CollectorServicesEmulator(
        Options(TENANT, APP, transforms_by_rule()), directory, port=port, subscribed=subscribed
    ) as running:
        for created, records in blobs_of_three_days(time.time(), alerts, TENANT):
            running.add(created, records)
        running.announce()
        (directory / "collector.yaml").write_text(settings_text(), encoding="utf-8")
        yield running


def settings_text() -> str:
    """Settings for the stand-in; the secret is where ``announce`` has put it."""
    return "\n".join(
        [
            "# For the stand-in: its made-up tenant, app and rules.",
            f"tenant_id: {TENANT}",
            f"app_id: {APP}",
            "credential: {env: NOT_USED}",
            "endpoint: https://stand-in.ingest.monitor.azure.com",
            f"rule_id: {RULES['Compliance_IRM_AuditGeneral_CL']}",
            f"health_rule_id: {RULES['IRMExportHealth_CL']}",
            "",
        ]
    )


def use_emulator(settings: Collecting, directory: Path) -> Collecting:
    """``settings`` with the stand-in that was announced in ``directory``. Raises ConfigurationError."""
    at = announced.read(
        directory, announced.COLLECTOR, f"irmexport sentinel collector-emulator --directory {directory}"
    )
    return collector_settings.at_emulator(settings, at["url"], at["ca_file"], at["secret_file"])


def read_secret(place: CredentialRef) -> Credential:
    """The stand-in's secret, which lies in a file. Raises CredentialError."""
    return credentials.read(place.kind, place.name, {})
