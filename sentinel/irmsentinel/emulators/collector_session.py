"""An emulator of the collector's services with synthetic alerts, and collector settings that lead to it."""

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
from irmsentinel.collector.settings import CollectorSettings
from irmsentinel.content import artefacts as content
from irmsentinel.content import transforms
from irmsentinel.content.transforms import Transform
from irmsentinel.emulators.announcement import COLLECTOR_SERVICES, find_emulator
from irmsentinel.emulators.synthetic_records import (
    activities_of_three_days,
    blobs_of_three_days,
    graph_alerts_of_three_days,
)

if TYPE_CHECKING:
    from irmsentinel.emulators.collector_services import CollectorServicesEmulator

TENANT = "11111111-2222-4333-8444-555555555555"
APP = "66666666-7777-4888-8999-aaaaaaaaaaaa"
#: The made-up immutable ID of each table's rule.
RULES = {
    "Compliance_IRM_AuditGeneral_CL": f"dcr-{'1' * 32}",
    "IRMExportHealth_CL": f"dcr-{'2' * 32}",
    "IRMAlertsGraph_CL": f"dcr-{'3' * 32}",
    "IRMDataSecurityEvents_CL": f"dcr-{'4' * 32}",
    "IRMDataSecurityBehaviors_CL": f"dcr-{'5' * 32}",
}


def transforms_by_rule() -> dict[str, Transform]:
    """The template's transformations, by the made-up rule IDs."""
    return {RULES[one.table.name]: one for one in transforms.load(content.root())}


@contextmanager
def running_emulator(
    directory: Path,
    *,
    alerts: int,
    port: int = 0,
    lifetime: float | None = None,
    subscribed: bool = False,
) -> Iterator[CollectorServicesEmulator]:
    """A running emulator with synthetic alerts, announced in ``directory`` with settings that lead to it."""
    # Imported here because it loads the KQL engine, which takes half a second and which settings do not need.
    from irmsentinel.emulators.collector_options import Options  # noqa: PLC0415
    from irmsentinel.emulators.collector_services import CollectorServicesEmulator  # noqa: PLC0415

    options = Options(TENANT, APP, transforms_by_rule())
    with CollectorServicesEmulator(
        options, directory, port=port, lifetime=lifetime, subscribed=subscribed
    ) as running:
        for created, records in blobs_of_three_days(time.time(), alerts, TENANT):
            running.feed.add(created, records)
        for alert in graph_alerts_of_three_days(time.time(), alerts):
            running.graph.put(alert)
        for table, row in activities_of_three_days(time.time(), alerts):
            running.graph.hunting.put(table, row)
        running.announce()
        (directory / "collector.yaml").write_text(settings_text(), encoding="utf-8")
        yield running


def settings_text() -> str:
    """Settings that fit the emulator. `use_emulator` replaces the credential and the endpoint."""
    return "\n".join(
        [
            "# Settings for the emulator: its made-up tenant, application and rules.",
            f"tenant_id: {TENANT}",
            f"app_id: {APP}",
            "credential: {env: NOT_USED}",
            "endpoint: https://emulator.ingest.monitor.azure.com",
            f"rule_id: {RULES['Compliance_IRM_AuditGeneral_CL']}",
            f"graph_rule_id: {RULES['IRMAlertsGraph_CL']}",
            f"events_rule_id: {RULES['IRMDataSecurityEvents_CL']}",
            f"behaviors_rule_id: {RULES['IRMDataSecurityBehaviors_CL']}",
            f"health_rule_id: {RULES['IRMExportHealth_CL']}",
            "",
        ]
    )


def use_emulator(settings: CollectorSettings, directory: Path) -> CollectorSettings:
    """``settings`` with the emulator that was announced in ``directory``. Raises ConfigurationError."""
    start = f"irmexport sentinel collector-emulator --directory {directory}"
    at = find_emulator(directory, COLLECTOR_SERVICES, start)
    return collector_settings.at_emulator(settings, at["url"], at["ca_file"], at["secret_file"])


def read_secret(place: CredentialRef) -> Credential:
    """The emulator's secret, which is in a file. Raises CredentialError."""
    return credentials.read(place.kind, place.name, {})
