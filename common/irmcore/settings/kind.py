"""A kind of settings file: its name in messages and the JSON Schema that its values must match."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Union, cast

import fastjsonschema

from irmcore.errors import ConfigurationError, IrmError

KeyPath = tuple[Union[str, int], ...]


@dataclass(frozen=True)
class Kind:
    """One kind of settings file.

    Attributes:
        name: What messages call the file, after "the": ``profile``.
        schema_file: Its published JSON Schema (draft 7). The descriptions are the advice in messages. A
            mapping marked ``x-secret-reference`` says where a secret is, and never holds the secret itself.
        start: A sentence that says how to get a valid file.
        error: The class of its errors.
        empty_is_absent: Whether a top-level key without a value counts as absent.
        compiled: A module with the schema as Python code, used if it exists. ``package.py`` writes one for
            the Splunk app, because compiling the profile's schema takes 48 ms at the start of each search.
    """

    name: str
    schema_file: Path
    start: str
    error: type[IrmError] = ConfigurationError
    empty_is_absent: bool = False
    compiled: str | None = None

    @functools.cached_property
    def schema(self) -> dict[str, Any]:
        """The published JSON Schema."""
        loaded: dict[str, Any] = json.loads(self.schema_file.read_text(encoding="utf-8"))
        return loaded

    @functools.cached_property
    def validate(self) -> Callable[[Any], Any]:
        """The schema as a function that raises ``fastjsonschema.JsonSchemaValueException``."""
        if self.compiled is not None and importlib.util.find_spec(self.compiled) is not None:
            return cast("Callable[[Any], Any]", importlib.import_module(self.compiled).validate)
        return cast("Callable[[Any], Any]", fastjsonschema.compile(self.schema, use_default=False))

    def resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """A node of the schema with what it refers to; its own keywords take precedence."""
        if "$ref" not in node:
            return node
        return {**self.schema["definitions"][node["$ref"].rsplit("/", 1)[1]], **node}

    def nodes(self, path: KeyPath) -> Iterator[Mapping[str, Any]]:
        """The schema's node for each key on the way to ``path``; empty where the schema names none."""
        node: Mapping[str, Any] = self.schema
        for key in path:
            inner = node.get("items") if isinstance(key, int) else node.get("properties", {}).get(key)
            node = self.resolved(inner or {})
            yield node

    def advice(self, path: KeyPath) -> str:
        """The description of the key at ``path``, or of the nearest key around it that has one."""
        described = [node["description"] for node in self.nodes(path) if "description" in node]
        return described[-1] if described else self.start
