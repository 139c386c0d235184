"""YAML text as plain values that remember their lines.

Safe by construction: only mappings, lists and plain scalars. A duplicate key, an alias, a tag and a second
document are refused with their line. What the values mean is not checked here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from irmcore.errors import IrmError
from irmcore.settings.kind import KeyPath, Kind

#: A settings file has a few kilobytes; a much larger file is something else.
MAX_CHARACTERS = 256 * 1024

#: Deeper than any settings file, and far less deep than what exhausts the parser.
MAX_DEPTH = 20

#: YAML reads 2023-04-24 as a date and gives = and << a meaning; in settings they are text.
_AS_TEXT = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value", "tag:yaml.org,2002:merge"}


class _Loader(yaml.SafeLoader):
    """A loader that has each event checked before anything is built from it."""

    def __init__(self, text: str, check: Callable[[yaml.Event], None]) -> None:
        super().__init__(text)
        self._check = check

    def get_event(self) -> yaml.Event:
        event: yaml.Event = super().get_event()  # type: ignore[no-untyped-call]
        self._check(event)
        return event


class Source:
    """The values of a YAML text and the line of each: ``line(("columns", 0, "type"))``."""

    def __init__(self, text: str, name: str, kind: Kind) -> None:
        """Parse ``text``; messages call the file ``name``. Raises ``kind.error``."""
        self.name = name
        self.kind = kind
        self._lines: dict[KeyPath, int] = {(): 1}
        self._origins: dict[KeyPath, str] = {}
        if len(text) > MAX_CHARACTERS:
            raise kind.error(
                f"the {kind.name} is larger than {MAX_CHARACTERS // 1024} KiB",
                where=name,
                next_step="Check that this is the right file.",
            )
        try:
            node = _Loader(text, self._refuse_constructs()).get_single_node()
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # The scanner lets ValueErrors out: an escape such as "\UFFFFFFFF", or a version of 5,000 digits.
            raise self._not_yaml(error) from None
        self.value: Any = None if node is None else self._value(node, ())

    def line(self, path: KeyPath) -> int:
        """The line, from 1, of the value at ``path``, or of the nearest one around it."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def where(self, path: KeyPath) -> str:
        """Where the value at ``path`` was set: ``file:line``, or the origin of an override."""
        return self._origins.get(path) or f"{self.name}:{self.line(path)}"

    def label(self, path: KeyPath) -> str:
        """What messages call the value at ``path``: ```columns[2].type```; ``the profile`` for the root."""
        if not path:
            return f"the {self.kind.name}"
        if path in self._origins:
            return f"`{path[-1]}`"
        parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
        return f"`{''.join(parts)[1:]}`"

    def error(self, what: str, next_step: str, *path: str | int) -> IrmError:
        """An error about the value at ``path``."""
        return self.kind.error(what, where=self.where(path), next_step=next_step)

    def override(self, path: KeyPath, value: Any, origin: str) -> None:
        """Set the value at ``path``; messages about it name ``origin`` and the last key alone."""
        mapping = self.value
        for key in path[:-1]:
            mapping = mapping.get(key) if isinstance(mapping, dict) else None
        if isinstance(mapping, dict):  # if not, the check against the schema refuses the text
            mapping[path[-1]] = value
            self._origins[path] = origin

    def _refuse_constructs(self) -> Callable[[yaml.Event], None]:
        """A check of each event that refuses aliases, tags and depth, which no settings need."""
        depth = 0

        def check(event: yaml.Event) -> None:
            nonlocal depth
            if isinstance(event, yaml.AliasEvent):
                raise self._refused(event, "YAML aliases (*name) are not supported", "Write the value out.")
            if getattr(event, "tag", None) is not None:
                step = "Remove the tag (the word that begins with !)."
                raise self._refused(event, "YAML tags are not supported", step)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                what = f"the {self.kind.name} is nested deeper than {MAX_DEPTH} levels"
                raise self._refused(event, what, "Look for an unclosed bracket.")

        return check

    def _refused(self, event: yaml.Event, what: str, next_step: str) -> IrmError:
        where = f"{self.name}:{event.start_mark.line + 1}" if event.start_mark else self.name
        return self.kind.error(what, where=where, next_step=next_step)

    def _not_yaml(self, error: Exception) -> IrmError:
        # The parser's own message quotes the line, which may contain a secret: take only the position.
        mark = getattr(error, "problem_mark", None)
        where = f"{self.name}:{mark.line + 1}" if mark is not None else self.name
        return self.kind.error(
            "this is not valid YAML",
            where=where,
            next_step="Look for a missing colon or quote, or wrong indentation, "
            "on this line or the one above.",
        )

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, i)) for i, item in enumerate(node.value)]
        self._refuse_surrogates(node)
        if node.tag in _AS_TEXT:
            return node.value
        try:
            return yaml.SafeLoader("").construct_object(node)
        except (ValueError, yaml.YAMLError):
            return node.value

    def _refuse_surrogates(self, node: yaml.Node) -> None:
        if not node.value.isascii() and any("\ud800" <= character <= "\udfff" for character in node.value):
            raise self.kind.error(
                "this text contains half of a surrogate pair (an escape \\uD800 to \\uDFFF)",
                where=f"{self.name}:{node.start_mark.line + 1}",
                next_step="Write the character itself, or its escape \\U with eight digits.",
            )

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            # YAML reads the keys `no`, `1` and `on` as booleans and numbers; here a key is always text.
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.kind.error(
                    "a key must be plain text",
                    where=f"{self.name}:{line}",
                    next_step="Look for a missing quote around a value that begins with [ or {.",
                )
            self._refuse_surrogates(key_node)
            key = key_node.value
            if key in mapping:
                raise self.kind.error(
                    f"duplicate key `{key}`",
                    where=f"{self.name}:{line}",
                    next_step="Remove one of the two.",
                )
            self._lines[(*path, key)] = line
            mapping[key] = self._value(value_node, (*path, key))
        return mapping
