"""The plan of `irmexport sentinel run`: which aggregations of which workspaces feed which connector.

One YAML file, checked against plan.schema.json; errors have file and line. It never holds a secret, only a
reference to one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from irmcore import settings
from irmcore.settings import Kind, Source, did_you_mean

from irmsentinel.azure.identity import Identity
from irmsentinel.content import aggregations, artefacts
from irmsentinel.content.aggregations import Aggregation
from irmsentinel.content.durations import parse_duration

FILE = "sentinel.yaml"
PLAN = Kind(
    name="export plan",
    schema_file=Path(__file__).with_name("plan.schema.json"),
    start="docs/sentinel.md has an example to start from.",
)
_TIMES = ("delay", "overlap", "first", "schedule")


@dataclass(frozen=True)
class Job:
    """One aggregation of one workspace, exported to the connector of a profile."""

    aggregation: Aggregation
    workspace: str
    profile: str


@dataclass(frozen=True)
class Plan:
    """The whole file. ``health`` is a collector settings file that says where health rows are sent."""

    cloud: str
    identity: Identity
    jobs: tuple[Job, ...]
    health: Path | None = None


def read(path: Path) -> Plan:
    """The plan in a file. Raises ConfigurationError with file and line."""
    source = settings.read(path, PLAN)
    own = source.value.get("content")
    folder = path.parent / Path(own).expanduser() if own else None
    known = aggregations.load(*artefacts.load(own=folder).folders)
    exports = range(len(source.value["exports"]))
    jobs = tuple(job for index in exports for job in _jobs(source, index, known))
    if not jobs:
        raise source.error("there is nothing to export", "Add a workspace to `workspaces`.", "exports")
    seen: set[tuple[str, str, str]] = set()
    for job in jobs:
        key = (job.aggregation.name, job.workspace, job.profile)
        if key in seen:
            raise source.error("`exports` lists an export twice", "Remove one of the two.", "exports")
        seen.add(key)
    health = source.value.get("health")
    return Plan(
        cloud=source.value["cloud"],
        identity=_identity(source),
        jobs=jobs,
        health=path.parent / Path(health).expanduser() if health else None,
    )


def _jobs(source: Source, index: int, known: dict[str, Aggregation]) -> Iterator[Job]:
    given = source.value["exports"][index]
    name = given["aggregation"]
    if name not in known:
        hint = did_you_mean(name, known, plural="aggregations")
        raise source.error("there is no aggregation of this name", hint, "exports", index, "aggregation")
    times: dict[str, Any] = {key: parse_duration(given[key]) for key in _TIMES if key in given}
    aggregation = replace(known[name], **times)
    aggregations.check_times(aggregation, source, "exports", index)
    for workspace in given.get("workspaces") or source.value["workspaces"]:
        yield Job(aggregation, workspace.lower(), given.get("profile", aggregation.profile))


def _identity(source: Source) -> Identity:
    given = source.value["identity"]
    secret = next(iter(given.get("secret", {}).items()), None)
    identity = Identity(given["kind"], given.get("tenant_id"), given.get("client_id"), secret)
    if identity.kind == "client-secret" and not (identity.tenant_id and identity.client_id and secret):
        what = "`identity.kind: client-secret` needs `tenant_id`, `client_id` and `secret`"
        raise source.error(what, "Add the missing keys to `identity`.", "identity", "kind")
    return identity
