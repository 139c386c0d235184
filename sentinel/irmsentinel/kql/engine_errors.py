"""What the local engine's errors say about KQL: the construct as its author wrote it, and where it is.

duckdb-kql names a construct by its parser's rule and counts columns from 0; DuckDB knows only its own SQL. So
the place is found again in the KQL, of the query or of a function that it calls. Some of DuckDB's messages
contain values of rows; those are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import duckdb
from duckdb_kql import KqlError, KqlSyntaxError, KqlUnsupportedError
from irmcore.errors import DataError

from irmsentinel.content.artefacts import Artefact
from irmsentinel.content.tables import LITERALS

_MESSAGES_WITHOUT_VALUES = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.NotImplementedException,
    duckdb.ParserException,
    duckdb.PermissionException,
)
_NAMED = re.compile(r"Referenced column \"([^\"]+)\" not found|Table with name (\S+) does not exist")
_AT = re.compile(r"\bat (\d+):(\d+)")
_NEAR = re.compile(r"near '([^']+)")
_FUNCTION = re.compile(r"function (\w+): ")
#: A word, a sign, or a pipe and the operator after it, which is what the parser does not know.
_WORD = re.compile(r"\|\s*[A-Za-z_][\w-]*|[A-Za-z_][\w-]*|\S")
_TABLE_PARAMETER = r"\w+\s*:\s*\("


@dataclass(frozen=True)
class Text:
    """KQL, and the file and line where it begins; ``file`` is empty for the text of a query."""

    kql: str
    file: str = ""
    first_line: int = 1

    @classmethod
    def of(cls, artefact: Artefact) -> Text:
        return cls(artefact.body, str(artefact.path), artefact.first_line)

    def place(self, offset: int) -> str:
        """A position as file:line:column, counted from 1."""
        before = self.kql[:offset]
        line, column = self.first_line + before.count("\n"), offset - before.rfind("\n")
        return f"{self.file}:{line}:{column}" if self.file else f"line {line}, column {column} of the query"


def explained(error: Exception, texts: Sequence[Text]) -> DataError:
    """The error for the author of the query; ``texts`` are the query and the functions it calls."""
    what, found = _explain(error, texts)
    next_step = "docs/kql.md has the subset that runs here; `irmexport sentinel check` checks it for Azure."
    return DataError(f"the local engine cannot run it: {what}", where=found or None, next_step=next_step)


def _explain(error: Exception, texts: Sequence[Text]) -> tuple[str, str]:
    if isinstance(error, KqlUnsupportedError):
        return _unsupported(error, texts)
    if isinstance(error, KqlSyntaxError) or (isinstance(error, ValueError) and _AT.search(str(error))):
        named = _FUNCTION.search(str(error))
        own = [text for text in texts if named and text.file.endswith(f"/{named[1]}.kql")]
        at = next(_positions(str(error), own or texts), None)
        return f"it does not parse at `{_word(at, 'its end')}`", _place(at)
    if match := _NAMED.search(str(error)):
        name = match[1] or match[2]
        what = f"there is no column `{name}`" if match[1] else f"there is no table or function `{name}`"
        return what, _first(texts, rf"\b{re.escape(name)}\b")
    if isinstance(error, _UNEXPECTED):
        found = _first(texts, _TABLE_PARAMETER)
        other = f"it is not KQL that the engine knows ({type(error).__name__})"
        return "a function that takes a table is not supported" if found else other, found
    if isinstance(error, duckdb.Error) and not isinstance(error, _MESSAGES_WITHOUT_VALUES):
        return type(error).__name__, ""
    return (str(error).strip().splitlines() or [type(error).__name__])[0], ""


def _unsupported(error: KqlUnsupportedError, texts: Sequence[Text]) -> tuple[str, str]:
    kind, _, name = error.construct.partition(":")
    if kind in ("function", "aggregate"):
        return f"the function `{name}` is not supported", _first(texts, rf"\b{re.escape(name)}\s*\(")
    at = next(_positions(str(error), texts), None)
    if name.startswith(" "):  # a sentence, and perhaps more after a dash
        return name.strip().split(" \N{EM DASH} ")[0], _place(at)
    shown = error.construct.replace(":", "=") if " " in error.construct else "this"
    return f"`{_word(at, shown)}` is not supported", _place(at)


def _positions(message: str, texts: Iterable[Text]) -> Iterator[tuple[Text, int]]:
    """The places that the message may mean: the first text that has there what the message quotes."""
    at, near = _AT.search(message), _NEAR.search(message)
    if at is None:
        return
    line, column = int(at[1]), int(at[2])
    for text in texts:
        lines = text.kql.split("\n")
        # In a function's first line, the column may count the declaration before it.
        for start in (column, 0) if line == 1 and text.file else (column,):
            if line <= len(lines) and start <= len(lines[line - 1]):
                offset = sum(len(each) + 1 for each in lines[: line - 1]) + start
                if near is None or "".join(text.kql[offset:].split()).startswith(near[1][:12]):
                    yield text, offset


def _word(at: tuple[Text, int] | None, otherwise: str) -> str:
    word = _WORD.search(at[0].kql, at[1]) if at else None
    return " ".join(word[0].split()) if word and otherwise in ("this", "its end") else otherwise


def _place(at: tuple[Text, int] | None) -> str:
    return at[0].place(at[1]) if at else ""


def _first(texts: Iterable[Text], pattern: str) -> str:
    """The first place that matches, outside comments and text literals."""
    for text in texts:
        plain = LITERALS.sub(lambda literal: " " * len(literal[0]), text.kql)
        if found := re.search(pattern, plain):
            return text.place(found.start())
    return ""


#: What duckdb-kql raises by mistake for KQL that it did not expect.
_UNEXPECTED = (AssertionError, AttributeError, LookupError, NotImplementedError, RecursionError, TypeError)
#: What the engine's packages raise for a query.
RAISED = (duckdb.Error, KqlError, ValueError, *_UNEXPECTED)
