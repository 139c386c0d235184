"""YAML as plain values that remember their lines.

Safe by construction: only mappings, lists and plain scalars; a duplicate key, an alias, a tag or a
second document is refused with its line. Promises nothing about what the values mean.
"""

from __future__ import annotations

from typing import Any, Union

import yaml

from irmcore.errors import ProfileError

Path = tuple[Union[str, int], ...]

#: A profile is some kilobytes; what is far over that is not one.
MAX_CHARACTERS = 256 * 1024

#: Deeper than any profile, and far less deep than what exhausts the parser.
MAX_DEPTH = 20

#: YAML reads 2023-04-24 as a date and has a use for = and <<; in a profile they stay the text they are.
_AS_TEXT = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value", "tag:yaml.org,2002:merge"}


class Source:
    """The values of a YAML text, and the line of each: ``line(("columns", 0, "type"))``."""

    def __init__(self, text: str, name: str) -> None:
        """Parse ``text``; ``name`` is what messages call the file. Raises ProfileError."""
        self.name = name
        self._lines: dict[Path, int] = {(): 1}
        if len(text) > MAX_CHARACTERS:
            raise ProfileError(
                "this is far larger than a profile",
                where=name,
                next_step="Give the YAML file of a profile.",
            )
        try:
            self._refuse_constructs(text)
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # The scanner lets ValueErrors out: an escape such as "\UFFFFFFFF", or a version of 5,000 digits.
            raise self._not_yaml(error) from None
        self.value: Any = None if node is None else self._value(node, ())

    def line(self, path: Path) -> int:
        """The line, from 1, of the value at ``path``, or of the nearest one around it."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def where(self, path: Path) -> str:
        return f"{self.name}:{self.line(path)}"

    def _refuse_constructs(self, text: str) -> None:
        """Refuse aliases, tags and depth: what a profile never needs, before anything is built of it."""
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise self._refused(
                    event, "YAML aliases (*name) are not used in profiles", "Write the value out."
                )
            if getattr(event, "tag", None) is not None:
                step = "Remove the tag (the word that begins with !)."
                raise self._refused(event, "YAML tags are not used in profiles", step)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                step = "Look for brackets that are never closed."
                raise self._refused(event, "this is nested deeper than a profile", step)

    def _refused(self, event: yaml.Event, what: str, next_step: str) -> ProfileError:
        where = f"{self.name}:{event.start_mark.line + 1}" if event.start_mark else self.name
        return ProfileError(what, where=where, next_step=next_step)

    def _not_yaml(self, error: Exception) -> ProfileError:
        # The parser's own text quotes the line, which might hold a secret: only the place is taken.
        mark = getattr(error, "problem_mark", None)
        where = f"{self.name}:{mark.line + 1}" if mark is not None else self.name
        return ProfileError(
            "this is not valid YAML",
            where=where,
            next_step="Look for a missing colon, quote or wrong indentation on this line or the one above.",
        )

    def _value(self, node: yaml.Node, path: Path) -> Any:
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
            raise ProfileError(
                "this text has half a character (an escape \\uD800 to \\uDFFF)",
                where=f"{self.name}:{node.start_mark.line + 1}",
                next_step="Write the character itself, or its escape \\U with eight digits.",
            )

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            # A key such as `no`, `1` or `on` is the text as written, not a YAML boolean or number.
            if not isinstance(key_node, yaml.ScalarNode):
                raise ProfileError(
                    "a key must be plain text",
                    where=f"{self.name}:{line}",
                    next_step="Look for a missing quote around a value that begins with [ or {.",
                )
            self._refuse_surrogates(key_node)
            key = key_node.value
            if key in mapping:
                raise ProfileError(
                    f"the key `{key}` stands here a second time",
                    where=f"{self.name}:{line}",
                    next_step="Keep one of the two.",
                )
            self._lines[(*path, key)] = line
            mapping[key] = self._value(value_node, (*path, key))
        return mapping
