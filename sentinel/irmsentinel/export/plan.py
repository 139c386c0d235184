"""What `irmexport sentinel run` does: which aggregations of which workspaces go to which connector.

One YAML file. Promised: what is wrong with it is said with file and line; it holds no secret, only where
one is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from irmsentinel.azure.identity import KINDS, Identity
from irmsentinel.content import aggregations, keys
from irmsentinel.content.aggregations import Aggregation
from irmsentinel.content.keys import Keys

FILE = "sentinel.yaml"
_CLOUDS = ("public", "us-government", "china")
_TIMES = ("delay", "overlap", "first", "schedule")


@dataclass(frozen=True)
class Job:
    """One aggregation of one workspace, to the connector of a profile."""

    aggregation: Aggregation
    workspace: str
    profile: str


@dataclass(frozen=True)
class Plan:
    """All of the file. ``health`` is a collector's settings file, which says where health rows go."""

    cloud: str
    identity: Identity
    jobs: tuple[Job, ...]
    health: Path | None = None


def read(path: Path) -> Plan:
    """Raises ConfigurationError with file and line."""
    source = keys.read(path)
    top = Keys(source, (), ("schema", "workspaces", "exports"), ("cloud", "identity", "health"))
    if source.value["schema"] != 1:
        raise top.wrong("`schema` is not 1", "Write `schema: 1`, or use a newer irmexport.", "schema")
    workspaces = top.texts("workspaces", form=aggregations.GUID, like="a workspace's ID (a GUID)")
    known = aggregations.load()
    jobs: list[Job] = []
    for at in range(top.items("exports")):
        jobs.extend(_jobs(Keys(source, ("exports", at), ("aggregation",), _OPTIONAL), workspaces, known))
    if not jobs:
        raise top.wrong("there is nothing to export", "Name an aggregation and a workspace.", "exports")
    seen: set[Any] = set()
    for job in jobs:
        key = (job.aggregation.name, job.workspace, job.profile)
        if key in seen:
            raise top.wrong("an export stands here twice", "Keep one of the two.", "exports")
        seen.add(key)
    cloud = top.text("cloud", "public", form="|".join(_CLOUDS), like=", ".join(_CLOUDS))
    health = path.parent / Path(top.text("health", like="a path")).expanduser() if "health" in top else None
    return Plan(cloud, _identity(source, top), tuple(jobs), health)


_OPTIONAL = ("profile", "workspaces", *_TIMES)


def _jobs(found: Keys, workspaces: tuple[str, ...], known: dict[str, Aggregation]) -> list[Job]:
    name = found.text("aggregation")
    if name not in known:
        near = aggregations.nearest(name, known)
        raise found.wrong("there is no aggregation of this name", near, "aggregation")
    aggregation = known[name]
    adjusted = replace(
        aggregation,
        delay=found.duration("delay", aggregation.delay),
        overlap=found.duration("overlap", aggregation.overlap),
        first=found.duration("first", aggregation.first),
        schedule=found.duration("schedule", aggregation.schedule),
    )
    aggregations.refuse_odd_times(adjusted, found)
    own = found.texts("workspaces", form=aggregations.GUID, like="a workspace's ID (a GUID)") or workspaces
    profile = found.text("profile", aggregation.profile)
    return [Job(adjusted, workspace.lower(), profile) for workspace in own]


def _identity(source: Any, top: Keys) -> Identity:
    if "identity" not in top:
        return Identity()
    found = Keys(source, ("identity",), ("kind",), ("tenant_id", "client_id", "secret"))
    kind = found.text("kind", form="|".join(KINDS), like=", ".join(KINDS))
    tenant = found.text("tenant_id", form=aggregations.GUID, like="a GUID") or None
    client = found.text("client_id", form=aggregations.GUID, like="a GUID") or None
    secret: tuple[str, str] | None = None
    if "secret" in found:
        place = Keys(source, ("identity", "secret"), (), ("env", "file"))
        named = [(how, place.text(how)) for how in ("env", "file") if how in place]
        if len(named) != 1:
            raise found.wrong("`secret` says not where it is", "Write {env: NAME} or {file: PATH}.", "secret")
        secret = named[0]
    if kind == "client-secret" and not (tenant and client and secret):
        raise found.wrong("client-secret needs more", "Add tenant_id, client_id and secret.", "kind")
    return Identity(kind, tenant, client, secret)
