"""YAML text → a valid :class:`Profile`, or one clear ProfileError: file:line, what, the nearest right key.

The published JSON Schema checks the form; what a schema cannot say (one user column, map targets
that are allowed, …) is checked here. Messages name keys, never the values of a file that might
hold a secret by mistake.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, cast

import fastjsonschema

from irmcore.clouds import RESOURCE_APP_ID
from irmcore.errors import ProfileError
from irmcore.profile.model import Collisions, Column, Connector, CredentialRef, Limits, Profile
from irmcore.profile.yaml_source import MAX_CHARACTERS, Source
from irmcore.profile.yaml_source import Path as KeyPath

SCHEMA_FILE = Path(__file__).with_name("profile.schema.json")

_ROLE_OF_TYPE = {"user": "user", "datetime": "time"}
_TYPE_OF_ROLE = {"user": "user", "time": "datetime", "threshold": "number", "source": "string"}
_STEPS = {"1us": 1, "1ms": 1_000, "1s": 1_000_000}
_SECRET_KEYS = {"secret", "client_secret", "app_secret", "password", "value", "key"}


def read(path: str) -> Profile:
    """The profile in the file at ``path``. Raises ProfileError, also when the file cannot be read."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(MAX_CHARACTERS + 1)  # of a huge file no more than shows that it is one
    except UnicodeDecodeError:
        raise ProfileError("this file is not UTF-8 text", where=path, next_step="Save it as UTF-8.") from None
    except OSError as error:
        raise ProfileError(
            f"the profile cannot be read ({error.strerror})",
            where=path,
            next_step="Check the path and that this user may read it.",
        ) from None
    return parse(text, path)


def parse(text: str, name: str) -> Profile:
    """The profile in ``text``; ``name`` is what messages call it. Raises ProfileError."""
    source = Source(text, name)
    if not isinstance(source.value, dict):
        raise ProfileError(
            "a profile is a mapping of keys", where=name, next_step="Start from a shipped profile."
        )
    _check_form(source)
    return _build(source, hashlib.sha256(text.encode("utf-8")).hexdigest())


@functools.lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The published JSON Schema of a profile."""
    loaded: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return loaded


@functools.lru_cache(maxsize=1)
def _validate() -> Callable[[Any], Any]:
    """The schema as code: made here, but for a built app, which has it (package.py) and starts sooner so."""
    if importlib.util.find_spec("irmcore.profile.compiled") is not None:
        return cast("Callable[[Any], Any]", importlib.import_module("irmcore.profile.compiled").validate)
    return cast("Callable[[Any], Any]", fastjsonschema.compile(schema(), use_default=False))


def _check_form(source: Source) -> None:
    try:
        _validate()(source.value)
    except fastjsonschema.JsonSchemaValueException as error:
        path = _key_path(source.value, str(error.name)[len("data") :])
        raise _form_error(source, path or (), error) from None


def _key_path(value: Any, name: str) -> KeyPath | None:
    """The keys that the schema library's name for a value (``.columns[2].map.a.b``) stands for.

    A key may hold dots and brackets itself, so the value says where one ends. None if nothing fits.
    """
    if not name:
        return ()
    steps = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, inner in steps:
        text = f"[{key}]" if isinstance(value, list) else f".{key}"
        rest = _key_path(inner, name[len(text) :]) if name.startswith(text) else None
        if rest is not None:
            return (key, *rest)
    return None


def _form_error(
    source: Source, path: KeyPath, error: fastjsonschema.JsonSchemaValueException
) -> ProfileError:
    subject = _named(path)
    rule, definition = error.rule, error.definition
    if path[-1:] == ("credential",) or path[-2:-1] == ("credential",):
        return _credential_error(source, path, error)
    if rule == "additionalProperties" and definition.get("additionalProperties") is False:
        return _unknown_key(source, path, error.value, tuple(definition["properties"]))
    if rule == "required":
        missing = [key for key in definition["required"] if key not in error.value]
        about = "; ".join(f"`{key}`: {_advice((*path, key))}" for key in missing)
        unknown = [key for key in error.value if key not in definition["properties"]]
        for near in difflib.get_close_matches(missing[0], unknown, n=1):
            about += f" Is it `{near}` on line {source.line((*path, near))}?"
        return ProfileError(f"{subject} lacks {_listed(missing)}", where=source.where(path), next_step=about)
    if rule == "enum":
        allowed = [str(choice) for choice in definition["enum"]]
        near = difflib.get_close_matches(str(error.value), allowed, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        what = f"{subject} must be one of {', '.join(allowed)}"
        return ProfileError(what, where=source.where(path), next_step=_advice(path) + hint)
    if rule == "type" and definition.get("type") == "string":
        what = f"{subject} must be text; YAML reads this value as something else"
        return ProfileError(what, where=source.where(path), next_step="Put it in quotes.")
    said = {
        "type": f"{subject} must be of type {definition.get('type')}",
        "pattern": f"{subject} is not written as it must be",
        "uniqueItems": f"{subject} names a value twice",
    }.get(str(rule), f"{subject} is outside its limits ({rule})")
    return ProfileError(said, where=source.where(path), next_step=_advice(path))


def _unknown_key(
    source: Source, path: KeyPath, value: Mapping[str, Any], known: Sequence[str]
) -> ProfileError:
    unknown = next(key for key in value if key not in known)
    near = difflib.get_close_matches(unknown, known, n=1, cutoff=0.5)
    hint = f"Did you mean `{near[0]}`?" if near else f"Known here: {', '.join(known)}."
    what = f"{_named(path)} has no key `{unknown}`"
    return ProfileError(what, where=source.where((*path, unknown)), next_step=hint)


def _credential_error(
    source: Source, path: KeyPath, error: fastjsonschema.JsonSchemaValueException
) -> ProfileError:
    value = error.value
    literal = isinstance(value, str) or (isinstance(value, dict) and not _SECRET_KEYS.isdisjoint(value))
    if literal:
        what = "a secret must not stand in a profile; `credential` says where it is"
    else:
        what = "`credential` is not written as it must be"
    return ProfileError(
        what,
        where=source.where(path),
        next_step="Write `credential: {env: NAME_OF_A_VARIABLE}` or `credential: {file: /path}`"
        + (", and replace the secret that stood here: it has been on disk." if literal else "."),
    )


def _named(path: KeyPath) -> str:
    if not path:
        return "the profile"
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else (f".{key}" if text else str(key))
    return f"`{text}`"


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)


def _advice(path: KeyPath) -> str:
    """The schema's description of the key at ``path``."""
    definition: dict[str, Any] = schema()
    described = "See the shipped profiles."
    for key in path:
        if isinstance(key, int):
            definition = definition.get("items", {})
        else:
            definition = definition.get("properties", {}).get(key, {})
        described = definition.get("description", described)
        if "$ref" in definition:
            definition = schema()["definitions"][definition["$ref"].rsplit("/", 1)[1]]
            described = definition.get("description", described)
    return described


def _build(source: Source, fingerprint: str) -> Profile:
    value = source.value
    reading = value.get("input", {})
    columns = tuple(_column(source, i, raw, reading.get("zone")) for i, raw in enumerate(value["columns"]))
    _check_columns(source, columns)
    collisions = value.get("collisions", {})
    policy = collisions.get("policy", "spread")
    thresholds = [column for column in columns if column.role == "threshold"]
    if policy == "keep-greatest" and len(thresholds) != 1:
        raise ProfileError(
            "`collisions.policy: keep-greatest` needs exactly one threshold column",
            where=source.where(("collisions", "policy")),
            next_step=f"This profile has {len(thresholds)}; use `spread`.",
        )
    limits = value.get("limits", {})
    return Profile(
        name=value["name"],
        description=value["description"],
        kind=value.get("kind", "indicator"),
        connector=_connector(value["connector"]),
        columns=columns,
        ragged=reading.get("ragged", "refuse"),
        zone=reading.get("zone"),
        collisions=Collisions(policy=policy, step=_STEPS[collisions.get("step", "1us")]),
        on_change=value.get("on_change", "send"),
        limits=Limits(rows=limits.get("rows", 5000), bytes=limits.get("bytes", 1_000_000)),
        fingerprint=fingerprint,
    )


def _connector(raw: Mapping[str, Any]) -> Connector:
    ((kind, name),) = raw["credential"].items()
    return Connector(
        job_id=raw["job_id"].lower(),
        tenant_id=raw["tenant_id"].lower(),
        app_id=raw["app_id"].lower(),
        cloud=raw.get("cloud", "commercial"),
        credential=CredentialRef(kind=kind, name=name),
        resource_app_id=raw.get("resource_app_id", RESOURCE_APP_ID).lower(),
        proxy=raw.get("proxy"),
        ca_file=raw.get("ca_file"),
        deadline=raw.get("deadline", 400),
        in_doubt=raw.get("in_doubt", "hold"),
        in_flight=raw.get("in_flight", 1),
    )


def _column(source: Source, index: int, raw: Mapping[str, Any], zone: str | None) -> Column:
    path = ("columns", index)
    kind = raw["type"]
    role = raw.get("role", _ROLE_OF_TYPE.get(kind, "information"))
    for key, wrong, what, next_step in _column_rules(raw, kind, role):
        if wrong:
            raise ProfileError(what, where=source.where((*path, key)), next_step=next_step)
    domain = tuple(raw.get("related_values", ())) or tuple(raw.get("allowed", ()))
    mapping = dict(raw.get("map", {}))
    for key, target in mapping.items():
        if target not in domain:
            raise ProfileError(
                f"`map.{key}` leads to a value that is not allowed",
                where=source.where((*path, "map", key)),
                next_step=f"Allowed: {', '.join(domain)}.",
            )
    if kind == "datetime" and zone is not None:
        _check_zone(source, zone)
    return Column(
        header=raw["header"],
        field=raw.get("field", raw["header"]),
        type=kind,
        role=role,
        required=raw.get("required", role != "information"),
        format=raw.get("format", "auto"),
        allowed=domain if role != "source" else (),
        mapping=mapping,
        otherwise=raw.get("otherwise"),
        related_values=domain if role == "source" else (),
    )


def _column_rules(raw: Mapping[str, Any], kind: str, role: str) -> Iterator[tuple[str, bool, str, str]]:
    """What the schema cannot say of one column: the key, whether it is wrong, what, the next step."""
    must = _TYPE_OF_ROLE.get(role, kind)
    source, domain = role == "source", "related_values" in raw or "allowed" in raw
    values = [*raw.get("related_values", ()), *raw.get("allowed", ())]
    yield (
        "role",
        kind != must,
        f"a column of role {role} must be of type {must}",
        f"Set `type: {must}`, or another role.",
    )
    yield (
        "role",
        kind == "user" and role != "user",
        "a column of type user has the role user",
        "Remove `role`.",
    )
    yield (
        "related_values" if "related_values" in raw else "role",
        source != ("related_values" in raw),
        "`related_values` and `role: source` belong together",
        "Give the source column the values entered in the wizard, and no other column.",
    )
    yield (
        "allowed",
        source and "allowed" in raw,
        "a source column's values are its `related_values`",
        "Remove `allowed`.",
    )
    yield "format", "format" in raw and kind != "datetime", "`format` is for datetime columns", "Remove it."
    yield "allowed", domain and kind != "string", "`allowed` is for columns of type string", "Remove it."
    for key in ("map", "otherwise"):
        yield key, key in raw and not domain, f"`{key}` needs `allowed`", "List the values that may be sent."
    yield (
        "otherwise",
        "otherwise" in raw and raw["otherwise"] not in values,
        "`otherwise` is not an allowed value",
        f"Allowed: {', '.join(values)}.",
    )


def _check_zone(source: Source, zone: str) -> None:
    if zone == "UTC":
        return
    import zoneinfo  # noqa: PLC0415 - only profiles with a zone pay for its import

    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ProfileError(
            "`input.zone` is not a time zone that this machine knows",
            where=source.where(("input", "zone")),
            next_step="Use an IANA name such as Europe/Berlin, or UTC; install tzdata if it is right.",
        ) from None


def _check_columns(source: Source, columns: tuple[Column, ...]) -> None:
    for role in ("user", "time"):
        indexes = [i for i, column in enumerate(columns) if column.role == role]
        if len(indexes) != 1:
            at: KeyPath = ("columns", indexes[1]) if indexes else ("columns",)
            raise ProfileError(
                f"a profile has exactly one column of role {role}; here are {len(indexes)}",
                where=source.where(at),
                next_step="The connector's data mapping step asks for one user and one event time.",
            )
        if not columns[indexes[0]].required:
            raise ProfileError(
                f"the {role} column cannot be optional",
                where=source.where(("columns", indexes[0], "required")),
                next_step="Remove `required: false`.",
            )
    sources = [i for i, column in enumerate(columns) if column.role == "source"]
    if len(sources) > 1:
        raise ProfileError(
            "a connector has at most one source column",
            where=source.where(("columns", sources[1])),
            next_step="Give one of them `role: information`.",
        )
    seen: dict[str, int] = {}
    for i, column in enumerate(columns):
        if column.header in seen:
            raise ProfileError(
                f"the header of column {i + 1} is that of column {seen[column.header] + 1}",
                where=source.where(("columns", i, "header")),
                next_step="Headers must be unique.",
            )
        seen[column.header] = i
