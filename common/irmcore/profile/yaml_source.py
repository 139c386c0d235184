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

_PLAIN = {
    "tag:yaml.org,2002:str",
    "tag:yaml.org,2002:int",
    "tag:yaml.org,2002:float",
    "tag:yaml.org,2002:bool",
    "tag:yaml.org,2002:null",
}
#: YAML reads 2023-04-24 as a date; a profile has no dates, so it stays the text it is.
_AS_TEXT = {"tag:yaml.org,2002:timestamp"}


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
            self._refuse_aliases(text)
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise self._not_yaml(error) from None
        self.value: Any = None if node is None else self._value(node, ())

    def line(self, path: Path) -> int:
        """The line, from 1, of the value at ``path``, or of the nearest one around it."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def where(self, path: Path) -> str:
        return f"{self.name}:{self.line(path)}"

    def _refuse_aliases(self, text: str) -> None:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                mark = event.start_mark
                raise ProfileError(
                    "YAML aliases (*name) are not used in profiles",
                    where=f"{self.name}:{mark.line + 1}" if mark else self.name,
                    next_step="Write the value out.",
                )

    def _not_yaml(self, error: yaml.YAMLError) -> ProfileError:
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
        if node.tag in _AS_TEXT:
            return node.value
        if node.tag not in _PLAIN:
            raise ProfileError(
                "YAML tags are not used in profiles",
                where=f"{self.name}:{node.start_mark.line + 1}",
                next_step="Remove the tag (the word that begins with !).",
            )
        try:
            return yaml.SafeLoader("").construct_object(node)
        except (ValueError, yaml.YAMLError):
            return node.value

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
