"""The KQL content: one artefact per file, with a header.

A file begins with comment lines: sentences that describe its result, an empty comment, then fields::

    // All alerts, one row per alert.
    //
    // parameters: starttime:datetime, include_history:bool=false
    // returns: TimeGenerated:datetime, AlertId:string

With ``parameters`` the file is a function of the file's name, otherwise a query. An unknown field, a missing
``returns`` or a duplicate name is an error with file and line. The KQL itself is not checked here: see the
checker.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from irmcore.errors import DataError

#: The folders with artefacts, in the order of listings.
FOLDERS = ("parsers", "enrichment", "published")
OVERRIDES = "parsers/local_overrides"

FIELDS = {
    "parameters": "makes it a function",
    "returns": "its columns, with types",
    "needs": "tables that must exist; any other table may be missing",
    "shape": "the only shape of the tables that it works with",
    "local override": "why the local engine runs parsers/local_overrides/ instead",
    "allows": "findings of the checker to accept, and why",
}
_FIELD = re.compile(r"([a-z][a-z ]*): (.*)")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

#: The types of parameters, each with an example value for the checker's calls.
TYPES = {
    "datetime": "datetime(2026-11-20)",
    "timespan": "1d",
    "string": "''",
    "bool": "true",
    "int": "int(1)",
    "long": "1",
    "real": "1.0",
    "dynamic": "dynamic([])",
}


@dataclass(frozen=True)
class Column:
    """A name and its Kusto type."""

    name: str
    type: str


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function; ``default`` is KQL text."""

    name: str
    type: str
    default: str | None = None


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """One query or function, and its file. Without ``parameters`` it is a query."""

    path: Path
    summary: str
    parameters: tuple[Parameter, ...] | None = None
    returns: tuple[Column, ...]
    needs: tuple[str, ...] = ()
    allows: tuple[str, ...] = ()
    shape: str | None = None
    has_override: bool = False
    body: str
    first_line: int
    text: str = field(repr=False)

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def is_function(self) -> bool:
        return self.parameters is not None

    @property
    def signature(self) -> str:
        """The parameters as KQL declares them."""
        return ", ".join(
            f"{p.name}:{p.type}" + (f"={p.default}" if p.default is not None else "")
            for p in self.parameters or ()
        )

    def declaration(self) -> Artefact:
        """A function with these parameters and columns, and no rows: enough to check what calls it."""
        columns = ", ".join(f"{column.name}:{column.type}" for column in self.returns)
        return replace(self, body=f"datatable({columns})[]")


@dataclass(frozen=True)
class Content:
    """All artefacts, and the local overrides that the local engine runs instead of some.

    ``own`` is a folder of the user's with the same subfolders as ``root``; its files are added.
    """

    root: Path
    artefacts: tuple[Artefact, ...]
    overrides: tuple[Artefact, ...]
    own: Path | None = None

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that the content is in."""
        return (self.root, self.own) if self.own else (self.root,)

    def files(self, pattern: str) -> list[Path]:
        """The files that match in each of these folders."""
        return [path for folder in self.folders for path in sorted(folder.glob(pattern))]

    @property
    def functions(self) -> tuple[Artefact, ...]:
        return tuple(artefact for artefact in self.artefacts if artefact.is_function)

    def named(self, name: str) -> Artefact:
        """The artefact with this name. Raises DataError with the nearest name."""
        names = {artefact.name: artefact for artefact in self.artefacts}
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            raise DataError(
                f"there is no query `{name}`",
                where=str(self.root),
                next_step=f"Did you mean {near[0]}?" if near else f"There are: {', '.join(names)}.",
            )
        return names[name]

    def local_functions(self) -> tuple[Artefact, ...]:
        """The functions for the local engine: each function, or its local override."""
        overrides = {override.name: override for override in self.overrides}
        return tuple(overrides.get(function.name, function) for function in self.functions)


def called(functions: Mapping[str, Artefact], text: str) -> list[str]:
    """The functions that a text calls, directly or not, callees first."""
    order: dict[str, None] = {}
    seen: set[str] = set()

    def visit(text: str) -> None:
        for name in dict.fromkeys(re.findall(r"\w+", text)):
            if name in functions and name not in seen:
                seen.add(name)
                visit(functions[name].body)
                order[name] = None

    visit(text)
    return list(order)


def root() -> Path:
    """The content's folder: inside the installed package, or beside it in the source tree."""
    here = Path(__file__).parent
    return here if (here / "parsers").is_dir() else here.parents[1]


def load(top: Path | None = None, own: Path | None = None) -> Content:
    """All artefacts of the content, and those in a folder of the user's own.

    Raises DataError with file and line, also for a name that both have: nothing is replaced silently.
    """
    if own is not None and not any(own.glob("*/*")):
        raise DataError(
            "the folder has no content",
            where=str(own),
            next_step="Put files into its subfolders, such as hunting/ and parsers/ (docs/kql.md).",
        )
    empty = Content(top or root(), (), (), own)
    artefacts = [read(path) for folder in FOLDERS for path in empty.files(f"{folder}/*.kql")]
    overrides = tuple(read(path) for path in empty.files(f"{OVERRIDES}/*.kql"))
    check_unique_names(artefacts)
    return replace(empty, artefacts=tuple(artefacts), overrides=overrides)


def read(path: Path) -> Artefact:
    """One file. Raises DataError with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise _wrong(path, 1, "the file is not UTF-8", "Save it as UTF-8.") from None
    lines = text.splitlines()
    header = next((i for i, line in enumerate(lines) if not line.startswith("//")), len(lines))
    summary, fields = _header(path, [line.removeprefix("//").strip() for line in lines[:header]])
    if not _NAME.fullmatch(path.stem):
        raise _wrong(
            path, 1, f"`{path.stem}` is not a valid function name", "Use letters, digits and _ only."
        )
    if "returns" not in fields:
        raise _wrong(path, 1, "the header has no `returns`", "Add `// returns: …`.")
    parameters = fields.get("parameters")
    return Artefact(
        path=path,
        summary=summary,
        parameters=None if parameters is None else tuple(_parameters(path, lines, parameters)),
        returns=columns(fields["returns"]),
        needs=tuple(_items(fields.get("needs", ""))),
        allows=tuple(re.findall(r"\b[A-Z]{2,3}\d+\b", fields.get("allows", ""))),
        shape=fields.get("shape"),
        has_override="local override" in fields,
        body="\n".join(lines[header:]).strip("\n"),
        first_line=next(
            (i for i, line in enumerate(lines[header:], header + 1) if line.strip()), len(lines) + 1
        ),
        text=text,
    )


def _header(path: Path, lines: list[str]) -> tuple[str, Mapping[str, str]]:
    end = lines.index("") if "" in lines else len(lines)
    if not lines[:end]:
        raise _wrong(path, 1, "the file has no description", "Begin with `// One sentence.`")
    fields: dict[str, str] = {}
    name = ""
    for number, line in enumerate(lines[end + 1 :], start=end + 2):
        match = _FIELD.fullmatch(line)
        if match and match[1] in FIELDS:
            name = match[1]
            fields[name] = match[2]
        elif match and not name:
            near = difflib.get_close_matches(match[1], FIELDS, n=1)
            hint = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(FIELDS)}."
            raise _wrong(path, number, f"`{match[1]}` is not a header field", hint)
        elif name:
            fields[name] += f" {line}"
        else:
            raise _wrong(path, number, "a field was expected", f"There are: {', '.join(FIELDS)}.")
    return " ".join(lines[:end]), fields


def _items(text: str) -> list[str]:
    """The items between commas, except for commas inside brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if letter == "," and not depth and not quote:
            parts.append("")
            continue
        parts[-1] += letter
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        else:
            depth += (letter in "([{") - (letter in ")]}")
    return [part.strip() for part in parts if part.strip()]


def columns(text: str) -> tuple[Column, ...]:
    """`name:type, name:type` as columns."""
    return tuple(Column(name, kind) for name, _, kind in (item.partition(":") for item in _items(text)))


def _parameters(path: Path, lines: list[str], text: str) -> Iterator[Parameter]:
    line = next(i for i, line in enumerate(lines, 1) if line.startswith("// parameters:"))
    for item in _items(text):
        name, _, rest = item.partition(":")
        kind, equals, default = (part.strip() for part in rest.partition("="))
        if not _NAME.fullmatch(name.strip()) or kind not in TYPES:
            raise _wrong(
                path,
                line,
                f"`{item}` is not a parameter",
                f"Write name:type or name:type=default, with one of the types {', '.join(TYPES)}.",
            )
        yield Parameter(name.strip(), kind, default if equals else None)


def check_unique_names(artefacts: Iterable[Artefact]) -> None:
    """Raises DataError if two artefacts have one name."""
    first: dict[str, Artefact] = {}
    for artefact in artefacts:
        other = first.setdefault(artefact.name.lower(), artefact)
        if other is not artefact:
            raise _wrong(artefact.path, 1, f"{other.path} has the same name", "Rename one of the two.")


def _wrong(path: Path, line: int, what: str, next_step: str) -> DataError:
    return DataError(what, where=f"{path}:{line}", next_step=next_step)
