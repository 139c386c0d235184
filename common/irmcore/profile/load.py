"""A profile's YAML → a valid :class:`Profile`, or one ProfileError.

The published JSON Schema checks each key (``irmcore.settings``), and ``rules`` what a schema cannot express.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from irmcore import settings
from irmcore.clouds import RESOURCE_APP_ID
from irmcore.errors import ProfileError
from irmcore.profile import rules, scenarios
from irmcore.profile.kinds import KINDS, Kind
from irmcore.profile.model import (
    DEFAULT_DIRECTORY,
    DELIMITERS,
    Collisions,
    Column,
    Connector,
    CredentialRef,
    Format,
    Identity,
    Limits,
    Profile,
    Scope,
    Selection,
)
from irmcore.settings import KeyPath, Source
from irmcore.settings import Kind as SettingsKind

PROFILE = SettingsKind(
    name="profile",
    schema_file=Path(__file__).with_name("profile.schema.json"),
    start="Start from a shipped profile: irmexport profile show leaver-prediction > my-profile.yaml",
    error=ProfileError,
    compiled="irmcore.profile.compiled",
)

_HOURS = {"h": 1, "d": 24}
_STEPS = {"1us": 1, "1ms": 1_000, "1s": 1_000_000}
#: The first version of the format whose rows keep their precision. Decision 2 says why the version decides.
_KEEPS_PRECISION = 2


def read(path: str) -> Profile:
    """The profile in the file at ``path``. Raises ProfileError, also when the file cannot be read."""
    folder = str(Path(path).absolute().parent)
    return parse(settings.read_text(path, PROFILE), path, folder=folder)


def parse(
    text: str,
    name: str,
    *,
    connector: Mapping[str, str] | None = None,
    origin: str = "",
    folder: str | None = None,
) -> Profile:
    """The profile in ``text``; messages call it ``name``. Raises ProfileError.

    ``connector`` replaces keys of the text's ``connector``; messages say that they come from ``origin``.
    Relative paths in the profile start at ``folder``; without one they are refused.
    """
    overrides: dict[KeyPath, Any] = {("connector", key): value for key, value in (connector or {}).items()}
    source = settings.parse(text, name, PROFILE, overrides=overrides, origin=origin)
    return _build(source, hashlib.sha256(text.encode("utf-8")).hexdigest(), folder)


def _build(source: Source, fingerprint: str, folder: str | None) -> Profile:
    value = source.value
    zone = value["input"].get("zone")
    kind = KINDS[value["connector"]["kind"]]
    named = value.get("scenarios", {})
    for index, raw in enumerate(value["columns"]):
        rules.check_column(source, ("columns", index), raw)
    columns = tuple(_column(kind, raw, named) for raw in value["columns"])
    scenarios.check(source, kind, columns)
    rules.check_columns(source, columns)
    if zone is not None:
        rules.check_zone(source, zone)
    rules.check_scope(source)
    return Profile(
        name=value["name"],
        description=value["description"],
        kind=value["kind"],
        connector=_connector(value["connector"], value.get("retention", {})),
        columns=columns,
        ragged=value["input"]["ragged"],
        zone=zone,
        collisions=_collisions(kind, value),
        on_change=value["on_change"],
        release=value["release"],
        preview=value["preview"],
        limits=Limits(rows=int(value["limits"].get("rows", kind.rows)), bytes=int(value["limits"]["bytes"])),
        fingerprint=fingerprint,
        identity=_identity(source, folder),
        scope=_scope(source, folder),
        format=_format(value["input"].get("format", {})),
        scenarios=dict(named),
    )


def _collisions(kind: Kind, value: Mapping[str, Any]) -> Collisions:
    raw = value["collisions"]
    # That a file may have one row per user and time is published for insider risk indicators only.
    policy = "none" if kind.scenarios else raw["policy"]
    keeps = policy == "spread" and value["schema"] >= _KEEPS_PRECISION
    return Collisions(policy=policy, step=_STEPS[raw["step"]], keeps_precision=keeps)


def _format(raw: Mapping[str, Any]) -> Format:
    given = dict(raw)
    if "delimiter" in given:
        given["delimiter"] = DELIMITERS[given["delimiter"]]
    if "skip" in given:
        given["skip"] = int(given["skip"])
    return Format(**given)


def _identity(source: Source, folder: str | None) -> Identity | None:
    raw = source.value.get("identity")
    if raw is None:
        return None
    age = raw.get("max_age", "7d")
    directory = raw.get("directory", None if "map" in raw else DEFAULT_DIRECTORY)
    if directory not in {None, DEFAULT_DIRECTORY}:
        directory = _path(source, folder, "identity", "directory")
    return Identity(
        directory=directory,
        max_age=int(age[:-1]) * _HOURS[age[-1]] * 3_600,
        map=_path(source, folder, "identity", "map") if "map" in raw else None,
    )


def _scope(source: Source, folder: str | None) -> Scope | None:
    raw = source.value.get("scope")
    if raw is None:
        return None

    def selection(side: str) -> Selection | None:
        found = raw.get(side)
        if found is None:
            return None
        return Selection(
            groups=tuple(found.get("groups", ())),
            countries=tuple(found.get("countries", ())),
            list=_path(source, folder, "scope", side, "list") if "list" in found else None,
        )

    return Scope(include=selection("include"), exclude=selection("exclude"))


def _path(source: Source, folder: str | None, *path: str) -> str:
    """The absolute path that the profile names at this key."""
    value = source.value
    for key in path:
        value = value[key]
    if folder is None and not Path(value).is_absolute():
        label = ".".join(path)
        raise source.error(f"`{label}` is a relative path", "Write an absolute path here.", *path)
    return str(Path(folder or "", value))


def _connector(raw: Mapping[str, Any], retention: Mapping[str, int]) -> Connector:
    ((kind, name),) = raw["credential"].items()
    return Connector(
        job_id=raw["job_id"].lower(),
        tenant_id=raw["tenant_id"].lower(),
        app_id=raw["app_id"].lower(),
        cloud=raw["cloud"],
        credential=CredentialRef(kind=kind, name=name),
        resource_app_id=raw.get("resource_app_id", RESOURCE_APP_ID).lower(),
        proxy=raw.get("proxy"),
        ca_file=raw.get("ca_file"),
        deadline=int(raw["deadline"]),
        in_doubt=raw["in_doubt"],
        in_flight=int(raw["in_flight"]),
        kind=raw["kind"],
        retention={name: int(days) for name, days in retention.items()},
    )


def _column(kind: Kind, raw: Mapping[str, Any], named: Mapping[str, str]) -> Column:
    role = rules.role(raw, kind)
    mapped = kind.field(raw.get("maps_to", kind.user if role == "user" else raw["header"]))
    return Column(
        header=raw["header"],
        field=raw.get("field", raw["header"]),
        type=raw["type"],
        role=role,
        required=raw.get("required", role != "information"),
        format=raw.get("format", "auto"),
        allowed=tuple(named.values() if role == "scenario" else raw.get("allowed", ())),
        mapping=dict(raw.get("map", {})),
        otherwise=raw.get("otherwise"),
        related_values=tuple(raw.get("related_values", ())),
        subject=raw.get("subject", True),
        time_field=raw.get("time_field"),
        default=raw.get("default"),
        maps_to=mapped.name if mapped else "",
        longest=mapped.longest if mapped else None,
    )
