"""Just enough SPL to check the app's searches: expand macros, check brackets and quotes, split commands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_CALL = re.compile(r"`(\w+)(?:\(([^`]*)\))?`")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
#: The command ``return $field``, the only use of a dollar sign besides a macro's arguments.
_RETURN = re.compile(r"\breturn \$(?=\w+[ ]*\])")


class Unbalanced(ValueError):
    """A quote, bracket or backtick without its counterpart."""


def calls(text: str) -> Iterator[str]:
    """The macros that a text uses, named as in macros.conf: `name(2)` has two arguments."""
    for name, arguments in _CALL.findall(text):
        yield f"{name}({len(arguments.split(','))})" if arguments else name


def expanded(text: str, macros: Mapping[str, Mapping[str, str]]) -> str:
    """The text with all macros expanded. Raises KeyError for an undefined one."""

    def put(match: re.Match[str]) -> str:
        name, given = match[1], match[2]
        values = [value.strip() for value in given.split(",")] if given else []
        macro = macros[f"{name}({len(values)})" if values else name]
        definition = macro["definition"]
        for argument, value in zip(filter(None, macro.get("args", "").split(",")), values, strict=True):
            definition = definition.replace(f"${argument.strip()}$", value)
        return definition

    while _CALL.search(text):
        text = _CALL.sub(put, text)
    return text


def masked(text: str) -> str:
    """The text with underscores in place of its quoted strings."""
    return _QUOTED.sub(lambda quoted: "_" * len(quoted[0]), text)


def commands(text: str) -> list[str]:
    """The commands of a search. Raises Unbalanced."""
    bare = _RETURN.sub("return _", masked(text))
    if '"' in bare or "`" in bare or "$" in bare:
        raise Unbalanced(text)
    depth: list[str] = []
    cuts = [-1]
    for at, character in enumerate(bare):
        if character in "([":
            depth.append(")" if character == "(" else "]")
        elif character in ")]" and (not depth or depth.pop() != character):
            raise Unbalanced(text[: at + 1])
        elif character == "|" and not depth:
            cuts.append(at)
    if depth:
        raise Unbalanced(text)
    pieces = [text[a + 1 : b].strip() for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True)]
    return [piece for piece in pieces if piece]
