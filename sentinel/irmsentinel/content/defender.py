"""The rules and hunting queries for Defender's advanced hunting, written from the workspace's.

A query for Defender is one text. It has the functions that it calls in itself, because Defender has no saved
functions of a workspace; it reads only Defender's own tables, and has their names of columns. Nothing is
written twice: ``defender/mapping.json`` says how tables and columns are called there, and the text is the
workspace's query with these names. It is no compiler: a part of a union that reads a table which Defender
does not have is left out, and a query that needs more than that has a reason instead of a text.

Not verified: that Defender runs it. Microsoft's parser binds each text against Defender's tables.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from irmsentinel.content import tables, unions
from irmsentinel.content.artefacts import Artefact, Column, Content
from irmsentinel.content.rules import ANALYTIC, Rule
from irmsentinel.content.tables import LITERALS, Table

FOLDER = "defender"
#: Columns that Log Analytics adds to every table.
_STANDARD = {"TenantId", "SourceSystem", "Type", "_BilledSize", "_IsBillable", "_ResourceId"}
_EMPTY = {"string": '""', "dynamic": "dynamic(null)", "datetime": "datetime(null)"}
_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"(?<=\.)\s+")
_TIME = re.compile(r"\bTimeGenerated(?=\d*\b)")
#: The Timestamp of a detection must be that of a row. For Alert* tables, no ReportId is needed as well
#: (https://learn.microsoft.com/defender-xdr/custom-detection-rules).
_OF_ALERT = """
| project-away Timestamp
| join kind=inner (AlertInfo
    | where ServiceSource has "Insider Risk"
    | summarize arg_max(Timestamp, Title) by RowKey = tolower(AlertId)) on $left.AlertId == $right.RowKey"""
_OF_USER = """
| project-away Timestamp
| extend RowKey = iff(isempty(AadUserId), UserPrincipalName, AadUserId)
| join kind=inner (union
    (AlertEvidence | project Timestamp, AlertId, ServiceSource, RowKey = tolower(AccountObjectId)),
    (AlertEvidence | project Timestamp, AlertId, ServiceSource, RowKey = tolower(AccountUpn))
    | where ServiceSource has "Insider Risk" and isnotempty(RowKey)
    | summarize arg_max(Timestamp, AlertId) by RowKey) on RowKey"""


@dataclass(frozen=True)
class Edition:
    """A query for Defender: its functions, callees first, and what is run with them.

    ``reads`` are Defender's tables in it, ``left_out`` those that the workspace's query reads as well.
    ``about`` is the query's description without the sentences about tables and columns that Defender does
    not have.
    """

    functions: tuple[Artefact, ...]
    query: str
    columns: tuple[str, ...]
    reads: tuple[str, ...]
    left_out: tuple[str, ...]
    about: str
    renamed: Mapping[str, str] = field(repr=False)

    def name(self, column: str) -> str:
        """What a column of the workspace's result is called."""
        return "Timestamp" if column == "TimeGenerated" else self.renamed.get(column, column)

    @property
    def text(self) -> str:
        """All of it as one query."""
        bodies = (
            f"let {each.name} = ({each.signature}) {{\n{textwrap.indent(each.body, '    ')}\n}};\n"
            for each in self.functions
        )
        return "".join([*bodies, self.query])


@dataclass(frozen=True)
class Defender:
    """The content as Defender can run it."""

    content: Content
    names: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, content: Content) -> Defender:
        """With the mapping of our content."""
        file = content.root / FOLDER / "mapping.json"
        names = json.loads(file.read_text(encoding="utf-8"))
        entries = names["tables"]
        names["tables"] = {
            name: {**entries.get(each.get("like"), {}), **each} for name, each in entries.items()
        }
        return cls(content, names)

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """Defender's tables that the content can read."""
        own = {table.name: table for table in tables.load(self.content.root / FOLDER / "tables")}
        wanted = [entry.get("table", name) for name, entry in self.names["tables"].items()]
        return {name: own.get(name) or _streamed(self._workspace[name]) for name in wanted}

    def why_not(self, rule: Rule) -> str | None:
        """Why there is no edition for Defender; None if there is one."""
        if rule.name in self.names["useless"]:
            return str(self.names["useless"][rule.name])
        read = self._read_by(rule.artefact.body, besides_alerts=True)
        missing = [name for name in read if name not in self.names["tables"]]
        if missing and len(missing) == len(read):
            return self.reasons(missing)
        edition = self._written(rule)
        unknown = set(_WORD.findall(LITERALS.sub("", edition.text))) & set(self._workspace) - set(self.tables)
        return self.reasons(sorted(unknown)) or None

    def reasons(self, missing: Iterable[str]) -> str:
        """Why Defender does not have some tables of the workspace."""
        found: dict[str, list[str]] = {}
        for table in missing:
            found.setdefault(self.names["missing"].get(table, "in the workspace only"), []).append(table)
        return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in found.items())

    def edition(self, rule: Rule) -> Edition:
        """The query of a rule or hunting query. Raises ValueError with the reason if there is none."""
        reason = self.why_not(rule)
        if reason is not None:
            raise ValueError(f"{rule.name}: {reason}")
        return self._written(rule)

    def _written(self, rule: Rule) -> Edition:
        body = textwrap.dedent(rule.artefact.body)
        query, called = self._query(body), self._called(body)
        columns = [column.name for column in rule.artefact.returns]
        shown = [name for name in columns if name not in self.names["without"]]
        if rule.folder == ANALYTIC:
            query += _OF_ALERT if "AlertId" in columns else _OF_USER
            others = (name for name in shown if name != "TimeGenerated")
            shown = list(dict.fromkeys(("Timestamp", "AlertId", *others)))
        renamed = self.names["renamed"]
        project = ", ".join(f"{renamed[name]} = {name}" if name in renamed else name for name in shown)
        wrapped = textwrap.fill(project, 110, initial_indent="| project ", subsequent_indent="    ")
        read = self._read_by(body, besides_alerts=True)
        text = LITERALS.sub("", "\n".join([query, *(function.body for function in called)]))
        return Edition(
            functions=called,
            query=f"{query}\n{wrapped}\n",
            reads=tuple(name for name in self.tables if name in set(_WORD.findall(text))),
            columns=tuple(renamed.get(name, name) for name in shown),
            left_out=tuple(name for name in read if name not in self.names["tables"]),
            about=self._about(rule),
            renamed=renamed,
        )

    def _about(self, rule: Rule) -> str:
        sentences = _SENTENCE.split(str(rule.fields["description"]).strip())
        theirs = {*self.names["without"], *self.names["alerts"]}
        return " ".join(each for each in sentences if not theirs & set(_WORD.findall(each)))

    @cached_property
    def _workspace(self) -> Mapping[str, Table]:
        """The workspace's tables, each in the shape that the content creates or that is the only one."""
        known = tables.shapes(tables.load(*(folder / "tables" for folder in self.content.folders)))
        return {name: shapes.get("") or next(iter(shapes.values())) for name, shapes in known.items()}

    @cached_property
    def _functions(self) -> Mapping[str, Artefact]:
        return {function.name: function for function in self.content.functions}

    def _read_by(self, text: str, *, besides_alerts: bool = False) -> list[str]:
        """The workspace's tables that a text reads, in it or in the functions that it calls.

        ``besides_alerts``: without those that it reads only for the alerts.
        """
        found: dict[str, None] = {}
        seen = {self.names["alerts_function"]} if besides_alerts else set()

        def visit(text: str) -> None:
            for word in dict.fromkeys(_WORD.findall(LITERALS.sub("", text))):
                if word in self._workspace:
                    found[word] = None
                elif word in self._functions and word not in seen:
                    seen.add(word)
                    visit(self._functions[word].body)

        visit(text)
        return list(found)

    @cached_property
    def _gone(self) -> frozenset[str]:
        """The tables that Defender lacks, and the functions that read nothing else."""
        lacking = {name for name in self._workspace if name not in self.names["tables"]}
        reads = {name: set(self._read_by(function.body)) for name, function in self._functions.items()}
        return frozenset(lacking | {name for name, read in reads.items() if read and read <= lacking})

    def _called(self, text: str) -> tuple[Artefact, ...]:
        """The functions that a query calls in Defender, callees first; one without tables gives no rows."""
        order: dict[str, Artefact] = {}

        def visit(text: str) -> None:
            for name in dict.fromkeys(_WORD.findall(LITERALS.sub("", text))):
                if name in self._functions and name not in order:
                    function = self._functions[name]
                    body = function.declaration().body if name in self._gone else self._query(function.body)
                    visit(body)
                    order[name] = replace(function, body=_TIME.sub("Timestamp", body))

        visit(self._query(text))
        return tuple(order.values())

    def _query(self, text: str) -> str:
        """A text with Defender's names, without what reads tables that Defender lacks."""
        named = set(_WORD.findall(LITERALS.sub("", text)))
        kept = unions.without(text, self._gone)
        parts, end = [], 0
        for literal in LITERALS.finditer(kept):
            parts += [self._code(kept[end : literal.start()], named), literal[0]]
            end = literal.end()
        return "".join([*parts, self._code(kept[end:], named)])

    def _code(self, code: str, named: set[str]) -> str:
        def table(word: re.Match[str]) -> str:
            return self._table(word[0], named) if word[0] in self.names["tables"] else word[0]

        return _TIME.sub("Timestamp", _WORD.sub(table, code))

    def _table(self, name: str, named: set[str]) -> str:
        """A table of the workspace's in Defender, with the columns that are named."""
        entry = self.names["tables"][name]
        columns = {column: place for column, place in entry.get("columns", {}).items() if column in named}
        text = str(entry.get("table", name))
        if "where" in entry:
            text += f'\n        | where {entry["where"]["column"]} has "{entry["where"]["has"]}"'
        # The local engine cannot tell two columns apart by case alone: such a one is renamed.
        for column, place in [*columns.items()]:
            if isinstance(place, str) and place.lower() == column.lower():
                text += f"\n        | project-rename {column} = {columns.pop(column)}"
        if columns:
            kinds = {column.name: column.type for column in self._workspace[name].columns}
            values = (
                f"{column} = {self._value(place, kinds[column], text)}" for column, place in columns.items()
            )
            text += "\n        | extend " + ",\n            ".join(values)
        return text

    def _value(self, place: Any, kind: str, table: str) -> str:
        """The KQL of a column's value in Defender, as the workspace's type."""
        if place is None:
            return _EMPTY[kind]
        if isinstance(place, str):
            theirs = {column.name: column.type for column in self.tables[_WORD.findall(table)[0]].columns}
            return place if theirs.get(place) == kind else f"to{kind}({place})"
        if "fields" in place:
            bag = ", ".join(f'"{key}", {column}' for key, column in place["fields"].items())
            return f"bag_pack({bag})" if kind == "dynamic" else f"to{kind}(bag_pack({bag}))"
        cases = (f'{place["from"]} == {value}, "{word}"' for word, value in place["values"].items())
        return f'case({", ".join(cases)}, "")'


def _streamed(table: Table) -> Table:
    """The table in Defender that the workspace's is streamed from."""
    columns = (
        Column("Timestamp" if column.name == "TimeGenerated" else column.name, column.type)
        for column in table.columns
        if column.name not in _STANDARD
    )
    return replace(table, columns=tuple(columns))
