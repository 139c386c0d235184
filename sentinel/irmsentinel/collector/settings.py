"""The collector's settings: a YAML file, checked key by key, errors with file and line.

Messages name keys, never values: a file might hold a secret by mistake.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from irmcore.errors import ConfigurationError
from irmcore.profile.load import schema
from irmcore.profile.model import CredentialRef
from irmcore.profile.yaml_source import MAX_CHARACTERS, Source

from irmsentinel.azure import ingestion
from irmsentinel.azure.ingestion import Target
from irmsentinel.collector import management_api as activity
from irmsentinel.collector import records
from irmsentinel.collector.collector import Options
from irmsentinel.collector.records import RecordFilter

TABLE = "Compliance_IRM_AuditGeneral_CL"
HEALTH_TABLE = "IRMExportHealth_CL"
PLACEHOLDER = "00000000-0000-0000-0000-000000000000"

#: What `irmexport sentinel settings` prints, to be filled in.
TEMPLATE = f"""\
# How `irmexport sentinel collect` reaches your tenant and your workspace. docs/collector.md goes through it.
name: irm-alerts
tenant_id: {PLACEHOLDER}
app_id: {PLACEHOLDER}
cloud: commercial                       # commercial, gcc, gcc-high, dod
credential: {{env: IRMEXPORT_COLLECTOR_SECRET}}   # or file, keyring, …: docs/credentials.md
endpoint: https://NAME.ingest.monitor.azure.com  # endpoints.logsIngestion in the rule's JSON view
rule_id: dcr-00000000000000000000000000000000    # the rule's immutable id
health_rule_id: dcr-00000000000000000000000000000000
# publisher_id: your tenant, unless you collect for others: then your company's tenant
# also_record_types: [306, 307]         # newer record types, taken whole; their fields are unverified
# requests_per_minute: 2000             # what the API allows a tenant at first
"""

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_RULE = re.compile(r"dcr-[0-9a-f]{32}")
_STREAM = re.compile(r"Custom-[A-Za-z][A-Za-z0-9_]{0,55}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: A profile says it in the same words.
_PLACES: Mapping[str, Any] = schema()["definitions"]["credential"]["properties"]
_PROXY = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+/?")


@dataclass(frozen=True)
class Collecting:
    """Everything a collector needs; ``health`` is None if no rule for IRMExportHealth_CL is named."""

    target: Target
    health: Target | None
    root: str
    publisher_id: str
    options: Options
    requests_per_minute: int


def read(path: str) -> Collecting:
    """The settings of a file. Raises ConfigurationError with file and line."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(MAX_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the settings cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})",
            where=path,
            next_step="Make one: irmexport sentinel settings > collector.yaml",
        ) from None
    return parse(text, path)


def parse(text: str, name: str) -> Collecting:
    """The settings in ``text``; ``name`` is what messages call it. Raises ConfigurationError."""
    source = Source(text, name)
    if not isinstance(source.value, dict):
        raise ConfigurationError(
            "the settings are a mapping of keys",
            where=name,
            next_step="See `irmexport sentinel settings`.",
        )
    values = _checked(source, source.value)
    publisher = values["publisher_id"] or values["tenant_id"]
    common: dict[str, Any] = {k: values[k] for k in ("tenant_id", "app_id", "cloud", "proxy", "ca_file")}
    common |= {"credential": values["credential"], "endpoint": _endpoint(source, values["endpoint"])}
    target = Target(name=values["name"], rule_id=values["rule_id"], stream=values["stream"], **common)
    health = None
    if values["health_rule_id"]:
        if values["health_endpoint"]:
            common["endpoint"] = _endpoint(source, values["health_endpoint"], "health_endpoint")
        health = Target(
            name=f"{values['name']}-health",
            rule_id=values["health_rule_id"],
            stream=f"Custom-{HEALTH_TABLE}",
            **common,
        )
    wanted = RecordFilter(
        frozenset(c.lower() for c in values["categories"]), frozenset(values["also_record_types"])
    )
    options = Options(
        wanted=wanted,
        overlap=values["overlap_hours"] * 3600,
        connections=values["connections"],
        fingerprint=hashlib.sha256(text.encode()).hexdigest(),
    )
    root = activity.HOSTS[values["cloud"]]
    return Collecting(target, health, root, publisher, options, values["requests_per_minute"])


def at_emulator(settings: Collecting, url: str, ca_file: str, secret_file: str) -> Collecting:
    """The same settings, with a local stand-in in Microsoft's place. Raises AddressRefused."""
    endpoint = ingestion.checked_endpoint(url, emulator=True)

    def there(target: Target) -> Target:
        return replace(
            target,
            credential=CredentialRef("file", secret_file),
            endpoint=endpoint,
            ca_file=ca_file,
            proxy=None,
            emulator=True,
        )

    health = there(settings.health) if settings.health else None
    return replace(settings, target=there(settings.target), health=health, root=endpoint)


def _checked(source: Source, given: Mapping[str, Any]) -> dict[str, Any]:
    for key in given:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.5)
            raise ConfigurationError(
                f"there is no setting `{key}`",
                where=source.where((key,)),
                next_step=f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(_KEYS)}.",
            )
    values = {}
    for key, (check, default, what) in _KEYS.items():
        raw = given.get(key)
        if raw is None:
            if default is _REQUIRED:
                raise ConfigurationError(f"`{key}` is missing", where=source.name, next_step=f"It is {what}.")
            values[key] = default
            continue
        value = check(raw)
        if value is None:
            raise ConfigurationError(
                f"`{key}` is not written as it must be",
                where=source.where((key,)),
                next_step=f"It is {what}.",
            )
        values[key] = value
    return values


def _endpoint(source: Source, url: str, key: str = "endpoint") -> str:
    try:
        return ingestion.checked_endpoint(url, emulator=False)
    except ConfigurationError as error:
        raise ConfigurationError(error.what, where=source.where((key,)), next_step=error.next_step) from None


def _guid(value: Any) -> str | None:
    good = isinstance(value, str) and _GUID.fullmatch(value) and value != PLACEHOLDER
    return value.lower() if good else None


def _matching(pattern: re.Pattern[str]) -> Callable[[Any], str | None]:
    return lambda value: value if isinstance(value, str) and pattern.fullmatch(value) else None


def _rule(value: Any) -> str | None:
    filled = _matching(_RULE)(value)
    return filled if filled and set(filled) != set("dcr-0") else None


def _between(least: int, most: int) -> Callable[[Any], int | None]:
    return lambda v: v if isinstance(v, int) and not isinstance(v, bool) and least <= v <= most else None


def _types(value: Any) -> list[int] | None:
    good = isinstance(value, list) and all(
        isinstance(v, int) and not isinstance(v, bool) and v > 0 for v in value
    )
    return value if good else None


def _texts(value: Any) -> list[str] | None:
    good = isinstance(value, list) and value and all(isinstance(v, str) and v for v in value)
    return value if good else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _credential(value: Any) -> CredentialRef | None:
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((kind, name),) = value.items()
    form = _PLACES.get(kind, {}).get("pattern")
    return CredentialRef(kind, name) if form and isinstance(name, str) and re.search(form, name) else None


_REQUIRED = object()
#: key → how it is checked (None: wrong), what it is unless given, what it is in words.
_KEYS: Mapping[str, tuple[Callable[[Any], Any], Any, str]] = {
    "name": (_matching(_NAME), "irm-alerts", "a name for messages: letters, digits, . _ -"),
    "tenant_id": (_guid, _REQUIRED, "the directory (tenant) ID, a GUID"),
    "app_id": (_guid, _REQUIRED, "the application (client) ID of your Entra app, a GUID"),
    "cloud": (
        lambda v: v if v in activity.HOSTS else None,
        "commercial",
        f"one of {', '.join(activity.HOSTS)}",
    ),
    "credential": (
        _credential,
        _REQUIRED,
        "{env: NAME}, {file: /PATH} or another place of docs/credentials.md, never the secret",
    ),
    "publisher_id": (_guid, "", "the tenant GUID of whoever runs the collector"),
    "endpoint": (_text, _REQUIRED, "endpoints.logsIngestion of the data collection rule"),
    "rule_id": (_rule, _REQUIRED, "the immutable id of the data collection rule: dcr- and 32 digits"),
    "stream": (_matching(_STREAM), f"Custom-{TABLE}", "the rule's stream: Custom-NAME"),
    "health_rule_id": (_rule, "", f"the immutable id of the rule for {HEALTH_TABLE}"),
    "health_endpoint": (_text, "", "that rule's endpoints.logsIngestion, if it is another one"),
    "categories": (_texts, [records.IRM_CATEGORY], "a list of categories of alerts"),
    "also_record_types": (_types, [], "a list of record type numbers"),
    "overlap_hours": (_between(1, 144), 24, "whole hours, 1 to 144"),
    "connections": (_between(1, 64), 24, "a number from 1 to 64"),
    "requests_per_minute": (_between(1, 60_000), 2000, "a number from 1 to 60,000"),
    "proxy": (_matching(_PROXY), None, "http://host:port, without user name or password"),
    "ca_file": (_text, None, "the path of a PEM file"),
}
