"""The settings of `irmexport sentinel collect`: one YAML file, checked against collector.schema.json.

Errors have file and line. Messages name keys, never values: a value may be a secret written there by mistake.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from irmcore import settings
from irmcore.errors import ConfigurationError, IrmError
from irmcore.profile.model import CredentialRef
from irmcore.settings import KeyPath, Kind, Source

from irmsentinel.azure import graph_client
from irmsentinel.azure.target import Target, checked_endpoint
from irmsentinel.collector import activities
from irmsentinel.collector.collector import Options
from irmsentinel.collector.management_api import HOSTS
from irmsentinel.collector.records import RecordFilter

COLLECTOR = Kind(
    name="collector settings file",
    schema_file=Path(__file__).with_name("collector.schema.json"),
    start="To create one: irmexport sentinel settings > collector.yaml",
    empty_is_absent=True,
)
HEALTH_TABLE = "IRMExportHealth_CL"
#: Source → the table that it fills.
TABLES = {
    "audit": "Compliance_IRM_AuditGeneral_CL",
    "graph": "IRMAlertsGraph_CL",
    "events": "IRMDataSecurityEvents_CL",
    "behaviors": "IRMDataSecurityBehaviors_CL",
}
#: What `source` says → the sources.
SOURCES = {
    "audit": ("audit",),
    "graph": ("graph",),
    "both": ("audit", "graph"),
    "activities": ("events", "behaviors"),
    "defender": ("graph", "events", "behaviors"),
    "all": tuple(TABLES),
}
PLACEHOLDER = "00000000-0000-0000-0000-000000000000"

#: What `irmexport sentinel settings` prints: a file to fill in.
TEMPLATE = f"""\
# How `irmexport sentinel collect` reaches your tenant and your workspace. docs/collector.md has the steps.
name: irm-alerts
tenant_id: {PLACEHOLDER}
app_id: {PLACEHOLDER}
cloud: commercial                       # commercial, gcc, gcc-high, dod
credential: {{env: IRMEXPORT_COLLECTOR_SECRET}}   # or file, keyring, …: docs/credentials.md
# In Azure, without a secret: {{managed_identity: system}} or its client ID, and no app_id
endpoint: https://NAME.ingest.monitor.azure.com  # endpoints.logsIngestion in the rule's JSON view
rule_id: dcr-00000000000000000000000000000000    # the rule's immutable id
health_rule_id: dcr-00000000000000000000000000000000
# source: both                          # audit, graph, both, activities, defender (graph and activities), all
# graph_rule_id: dcr-00000000000000000000000000000000       # for graph: the rule of IRMAlertsGraph_CL
# events_rule_id: dcr-00000000000000000000000000000000      # for activities: IRMDataSecurityEvents_CL
# behaviors_rule_id: dcr-00000000000000000000000000000000   # for activities: IRMDataSecurityBehaviors_CL
# publisher_id: your company's tenant, only if you collect for another company
# also_record_types: [306, 307]         # newer record types, collected whole; their fields are unverified
# requests_per_minute: 2000             # the API's initial limit for a tenant
"""


@dataclass(frozen=True)
class CollectorSettings:
    """Everything that a collector of one ``source`` needs, a key of TABLES.

    ``health`` is None without a rule for IRMExportHealth_CL.
    """

    source: str
    target: Target
    health: Target | None
    root: str
    publisher_id: str
    options: Options
    requests_per_minute: int


def read(path: str, source: str | None = None) -> tuple[CollectorSettings, ...]:
    """The settings in a file, for each source. ``source`` replaces the key of this name.

    Raises ConfigurationError with file and line.
    """
    return parse(settings.read_text(path, COLLECTOR), path, source)


def parse(text: str, name: str, source: str | None = None) -> tuple[CollectorSettings, ...]:
    """The settings in ``text``, as `read`; messages call it ``name``. Raises ConfigurationError."""
    chosen: dict[KeyPath, Any] = {("source",): source} if source else {}
    file = settings.parse(text, name, COLLECTOR, overrides=chosen, origin="--source")
    return tuple(_of(one, file, text) for one in SOURCES[file.value["source"]])


def _of(kind: str, file: Source, text: str) -> CollectorSettings:
    values = file.value
    ((credential, reference),) = values["credential"].items()
    if "app_id" not in values and credential != "managed_identity":
        raise _missing(file, "app_id", "credential")
    rule = "rule_id" if kind == "audit" else f"{kind}_rule_id"
    if rule not in values:
        raise _missing(file, rule, "source")
    common: dict[str, Any] = {
        "tenant_id": values["tenant_id"].lower(),
        "app_id": values.get("app_id", "").lower(),
        "cloud": values["cloud"],
        "credential": CredentialRef(credential, reference),
        "endpoint": _endpoint(file, "endpoint"),
        "proxy": values.get("proxy"),
        "ca_file": values.get("ca_file"),
    }

    def beside(name: str, table: str) -> Target:
        """The rule of another table, which may have an endpoint of its own."""
        own = {"endpoint": _endpoint(file, f"{name}_endpoint")} if f"{name}_endpoint" in values else {}
        return Target(
            name=f"{values['name']}-{name}",
            rule_id=values[f"{name}_rule_id"],
            stream=f"Custom-{table}",
            **{**common, **own},
        )

    if kind == "audit":
        target = Target(name=values["name"], rule_id=values["rule_id"], stream=values["stream"], **common)
    else:
        target = beside(kind, TABLES[kind])
    health = beside("health", HEALTH_TABLE) if "health_rule_id" in values else None
    wanted = RecordFilter(
        frozenset(category.lower() for category in values["categories"]),
        frozenset(map(int, values["also_record_types"])),
    )
    options = Options(
        filter=wanted,
        overlap=int(values["overlap_hours"]) * 3600,
        connections=int(values["connections"]),
        fingerprint=hashlib.sha256(text.encode()).hexdigest(),
    )
    limits = {"audit": "requests_per_minute", "graph": "graph_requests_per_minute"}
    if kind not in limits:  # one answer at a time: it can be large
        overlap = max(options.overlap, activities.OVERLAP)
        options = replace(options, overlap=overlap, connections=1, commit_blobs=1)
    return CollectorSettings(
        source=kind,
        target=target,
        health=health,
        root=(HOSTS if kind == "audit" else graph_client.HOSTS)[values["cloud"]],
        publisher_id=values.get("publisher_id", values["tenant_id"]).lower(),
        options=options,
        requests_per_minute=int(values[limits[kind]]) if kind in limits else activities.PER_MINUTE,
    )


def _missing(file: Source, key: str, where: str) -> IrmError:
    step = f"Add `{key}: …`. {COLLECTOR.schema['properties'][key]['description']}"
    return file.error(f"`{key}` is missing from the collector settings file", step, where)


def _endpoint(source: Source, key: str) -> str:
    try:
        return checked_endpoint(source.value[key], emulator=False)
    except ConfigurationError as error:
        raise source.error(error.what, error.next_step, key) from None


def at_emulator(real: CollectorSettings, url: str, ca_file: str, secret_file: str) -> CollectorSettings:
    """The same settings, with an emulator in place of Microsoft's services. Raises AddressRefused."""
    endpoint = checked_endpoint(url, emulator=True)

    def moved(target: Target) -> Target:
        return replace(
            target,
            credential=CredentialRef("file", secret_file),
            endpoint=endpoint,
            ca_file=ca_file,
            proxy=None,
            emulator=True,
        )

    health = moved(real.health) if real.health else None
    return replace(real, target=moved(real.target), health=health, root=endpoint)
