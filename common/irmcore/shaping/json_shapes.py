"""Advice for JSON files that hold rows in another shape than a list of objects: what it is, and a jq line.

A shape is named in words and holds no key or value of the file, because a key may be a person's name.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from irmcore.errors import InputError


class Shape(NamedTuple):
    """What a value is, and the jq filter that makes rows of it; ``options`` of jq."""

    what: str
    program: str
    options: str = "-c"

    def refused(self, name: str) -> InputError:
        """The error for a file of this shape."""
        rows = "rows.csv" if self.options == "-r" else "rows.jsonl"
        command, file = f"jq {self.options} {shlex.quote(self.program)}", shlex.quote(name)
        if name.endswith(".gz"):
            command = f"gzip -dc {file} | {command}"
        elif name != "standard input":
            command = f"{command} {file}"
        what = f"the file is {self.what}, not a list of rows"
        return InputError(what, where=name, next_step=f"Make rows of it: {command} > {rows}")


_KEYED = Shape("one object with an entry for each key, such as a user", "to_entries[] | {key: .key} + .value")
_KEYED_LISTS = Shape(
    "one object with a list of rows for each key, such as a user",
    "to_entries[] | .key as $key | .value[] | {key: $key} + .",
)
_COLUMNS = Shape(
    "one object with a list of values for each column",
    "[to_entries[] | .key as $key | .value | map({($key): .})] | transpose[] | add",
)
_TABLES = Shape(
    "an answer with tables of columns and rows",
    ".tables[] | [.columns[].name] as $names | .rows[] | [$names, .] | transpose | map({(.[0]): .[1]}) | add",
)
_ARRAYS = Shape("an array of arrays", ".[] | @csv", "-r")


def shape_of(value: Any) -> Shape | None:
    """The shape of a record that is the whole file, or of a row that is an array; None if it is another."""
    if isinstance(value, list):
        return _ARRAYS
    if not isinstance(value, Mapping) or not value:
        return None
    inner = list(value.values())
    if all(isinstance(one, Mapping) and one for one in inner):
        return _KEYED
    if isinstance(value.get("tables"), list):
        return _TABLES
    if not all(isinstance(one, list) and one for one in inner):
        return None
    objects = [isinstance(each, Mapping) for one in inner for each in one]
    return _KEYED_LISTS if all(objects) else None if any(objects) else _COLUMNS


def is_keyed(value: Any) -> bool:
    """Whether a record is surely objects by their keys, and not one row with nested objects.

    Either the objects have the same keys, or the keys are addresses.
    """
    if not isinstance(value, Mapping) or shape_of(value) is not _KEYED:
        return False
    alike = len({frozenset(one) for one in value.values()}) == 1
    return (alike and len(value) > 1) or all("@" in key for key in value)
