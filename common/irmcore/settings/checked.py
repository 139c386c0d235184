"""Checks a :class:`Source` against the JSON Schema of its kind: nothing, or one error for a person.

fastjsonschema finds the fault; this module says it with file, line and key. Messages name keys and never
contain a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import fastjsonschema

from irmcore.errors import IrmError
from irmcore.settings.kind import KeyPath
from irmcore.settings.nearest import did_you_mean, nearest
from irmcore.settings.yaml_source import Source

#: Keys under which people write a secret itself.
_SECRET_KEYS = {"secret", "client_secret", "app_secret", "password", "value", "key"}
_TYPES = {
    "object": "a mapping of keys",
    "array": "a list",
    "integer": "a whole number",
    "boolean": "true or false",
}
_READ_AS = {"bool": "true or false", "list": "a list", "dict": "a mapping"}
_QUOTE = "Put it in quotes."
_BOUNDS = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "maxLength": "is too long (maximum: {} characters)",
    "minItems": "has too few entries (minimum: {})",
    "maxItems": "has too many entries (maximum: {})",
    "maxProperties": "has too many keys (maximum: {})",
    "uniqueItems": "lists a value twice",
}


def check(source: Source) -> None:
    """Raises ``source.kind.error`` if the values do not match the schema."""
    if not isinstance(source.value, dict):
        raise source.kind.error(
            f"the {source.kind.name} is not a mapping of keys", where=source.name, next_step=source.kind.start
        )
    try:
        source.kind.validate(source.value)
    except fastjsonschema.JsonSchemaValueException as error:
        path = _key_path(source.value, str(error.name)[len("data") :]) or ()
        raise _error(source, path, error) from None


def _key_path(value: Any, name: str) -> KeyPath | None:
    """The path that fastjsonschema writes as ``.columns[2].map.a.b``; None if nothing fits.

    A key may contain dots and brackets, so only the value itself tells where a key ends.
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


def _error(source: Source, path: KeyPath, error: fastjsonschema.JsonSchemaValueException) -> IrmError:
    rule, definition = str(error.rule), error.definition
    for depth, node in enumerate(source.kind.nodes(path), start=1):
        if node.get("x-secret-reference"):
            return _secret_error(source, path, path[:depth], error.value)
    if rule in ("additionalProperties", "required"):
        return _key_error(source, path, error)
    what, hint = _fault(rule, definition, error.value)
    next_step = hint if hint == _QUOTE else hint + source.kind.advice(path)
    return source.error(f"{source.label(path)} {what}", next_step, *path)


def _fault(rule: str, definition: Mapping[str, Any], value: Any) -> tuple[str, str]:
    """What is wrong with one value, and a hint that precedes the description of its key."""
    if value is None or value in ("", []):
        return "is empty", ""
    if rule == "enum":
        allowed = [str(choice) for choice in definition["enum"]]
        near = nearest(str(value), allowed)
        one_of = "one of " if len(allowed) > 1 else ""
        return f"must be {one_of}{', '.join(allowed)}", f"Did you mean `{near}`? " if near else ""
    if rule == "type" and definition["type"] == "string":
        read_as = _READ_AS.get(type(value).__name__, "a number")
        return f"must be text, but YAML reads it as {read_as}", _QUOTE
    if rule == "type":
        return f"must be {_TYPES[definition['type']]}", ""
    return _BOUNDS.get(rule, "is not valid").format(definition.get(rule)), ""


def _key_error(source: Source, path: KeyPath, error: fastjsonschema.JsonSchemaValueException) -> IrmError:
    """An unknown key, else the missing ones: a misspelled key is both, and its own line is the one to see."""
    known, definition = error.definition["properties"], error.definition
    unknown = [key for key in error.value if key not in known]
    label = source.label(path)
    if unknown and definition.get("additionalProperties") is False:
        what = f"unknown key `{unknown[0]}` in {label}"
        return source.error(what, did_you_mean(unknown[0], known), *path, unknown[0])
    missing = [key for key in definition["required"] if key not in error.value]
    steps = [f"Add `{key}: …`. {source.kind.advice((*path, key))}" for key in missing]
    return source.error(f"{_listed(missing)} missing from {label}", " ".join(steps), *path)


def _listed(keys: Sequence[str]) -> str:
    names = [f"`{key}`" for key in keys]
    return f"{names[0]} is" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} are"


def _secret_error(source: Source, path: KeyPath, reference: KeyPath, value: Any) -> IrmError:
    label, advice = source.label(reference), source.kind.advice(reference)
    if isinstance(value, str) or (isinstance(value, dict) and not _SECRET_KEYS.isdisjoint(value)):
        advice += " If this is a secret itself, replace it: it has been on disk."
    return source.error(f"{label} is not a valid reference to a secret", advice, *path)
