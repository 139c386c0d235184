"""Fixtures of KQL: YAML files beside the artefact's mirror, with tables, a call and the expected rows.

A table has its name in KQL; ``NAME.SHAPE`` is another shape of it. A table that a case does not name is
missing. A row with ``_Times: n`` is n rows, a second apart; ``_IngestionTime`` is when it arrived.
``columns`` selects and orders the columns to compare; rows are literal. The call is the file's name unless
it says another; that of an aggregation is its name and a span, and may end with a part of the users and how
many parts there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from irmsentinel.content import aggregations, rules, tables, workbooks
from irmsentinel.content import artefacts as content
from irmsentinel.content.aggregations import Aggregation, Span
from irmsentinel.content.tables import Table
from irmsentinel.kql.engine import Engine

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One case of a fixture file. ``values`` fill the placeholders of a workbook's query."""

    file: Path
    what: str
    now: datetime
    tables: dict[str, list[dict[str, Any]]]
    call: str
    columns: list[str]
    rows: list[list[Any]]
    values: dict[str, str]


@dataclass(frozen=True, order=True)
class Query:
    """The KQL of one function, rule, export, summary rule or part of a workbook.

    ``key`` is its folder and name; that of a workbook's part ends with ``#`` and the part's name.
    """

    key: str
    body: str


@cache
def cases() -> tuple[Case, ...]:
    """Every case of every fixture file, read once per process."""
    return tuple(case for file in sorted(HERE.glob("*/*.yaml")) for case in _cases_of(file))


def _cases_of(file: Path) -> Iterator[Case]:
    with file.open("rb") as opened:
        document = yaml.load(opened, Loader=yaml.CSafeLoader)  # many times as fast as safe_load
    for case in document["cases"]:
        given = {**document, **case}
        yield Case(
            file=file,
            what=case["what"],
            now=given["now"].astimezone(UTC),
            tables={
                name: [copy for row in rows for copy in _repeated(row)]
                for name, rows in {**document.get("tables", {}), **case.get("tables", {})}.items()
            },
            call=given.get("call", file.stem),
            columns=given["columns"],
            rows=case["rows"],
            values=given.get("values", {}),
        )


def _repeated(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row with ``_Times: n`` as n rows, a second apart."""
    if "_Times" not in row:
        yield row
    for i in range(row.get("_Times", 0)):
        kept = {key: value for key, value in row.items() if key != "_Times"}
        yield {**kept, "TimeGenerated": kept["TimeGenerated"] + timedelta(seconds=i)}


@cache
def queries() -> tuple[Query, ...]:
    """All KQL of this tree that fixtures run, except for the published queries, read once per process."""
    artefacts = [artefact for artefact in our_content().artefacts if artefact.path.parent.name != "published"]
    found = [
        Query(f"{artefact.path.parent.name}/{artefact.name}", artefact.body)
        for artefact in artefacts
        if not artefact.has_override  # the local engine cannot run it
    ]
    found += [Query(f"{aggregations.FOLDER}/{name}", each.query) for name, each in exports().items()]
    rules_of_summary = aggregations.summary_rules().items()
    found += [Query(f"{aggregations.SUMMARY_RULES}/{name}", each.query) for name, each in rules_of_summary]
    for book in workbooks.load():
        found += [
            Query(f"{workbooks.FOLDER}/{book.name}#{name}", query) for name, query in book.queries.items()
        ]
    return tuple(found)


def key_of(case: Case) -> str:
    """The key of the query that a case is about."""
    key = f"{case.file.parent.name}/{case.file.stem}"
    return f"{key}#{case.call}" if case.file.parent.name == workbooks.FOLDER else key


def run(case: Case, changed: Mapping[str, str] | None = None) -> list[list[Any]]:
    """The chosen columns of the local engine's result, in its order.

    ``changed``: other bodies than ours, by the keys of their queries.
    """
    bodies = {query.key: query.body for query in queries()} | dict(changed or {})
    known = table_shapes(our_content().root)
    functions = [
        replace(each, body=bodies.get(f"{each.path.parent.name}/{each.name}", each.body))
        for each in our_content().local_functions()
    ]
    with Engine(functions) as engine:
        for name, rows in case.tables.items():
            table, _, shape = name.partition(".")
            engine.insert(known[table][shape], [{k: plain(v) for k, v in row.items()} for row in rows])
        result = engine.run(_query(case, bodies), now=case.now)
    at = [next(i for i, column in enumerate(result.columns) if column.name == name) for name in case.columns]
    return [[plain(row[i]) for i in at] for row in result.rows]


@cache
def our_content() -> content.Content:
    """The content of this tree, read once per process."""
    return rules.with_rules(content.load())


@cache
def table_shapes(root: Path) -> Mapping[str, Mapping[str, Table]]:
    """The shapes of each table under that root, read once per process."""
    return tables.shapes(tables.load(root / "tables"))


@cache
def exports() -> Mapping[str, Aggregation]:
    """The aggregations of this tree, read once per process."""
    return aggregations.load()


def holds(case: Case, given: list[list[Any]]) -> bool:
    """Whether the rows are the expected ones, in any order unless the query sorts."""
    expected = [[plain(cell) for cell in row] for row in case.rows]
    sorts = " sort by " in case.call or case.file.parent.name == workbooks.FOLDER
    same = sorted(map(repr, given)) == sorted(map(repr, expected))
    return same and (given == expected or not sorts)


def _query(case: Case, bodies: Mapping[str, str]) -> str:
    """The KQL of a call: the name of a query, or of an aggregation with a span, or KQL."""
    key = key_of(case)
    if case.file.parent.name == workbooks.FOLDER:
        return workbooks.filled(bodies[key], case.values)
    name, *span = case.call.split()
    if name in exports() and len(span) in {2, 4}:
        changed = replace(exports()[name], query=bodies[f"{aggregations.FOLDER}/{name}"])
        return changed.kql(Span(*map(datetime.fromisoformat, span[:2])), *map(int, span[2:]))
    if case.call == case.file.stem and key in bodies:
        return bodies[key]
    return next((a.body for a in our_content().artefacts if a.name == case.call), case.call)


def plain(value: Any) -> Any:
    """A value as in JSON: times as text in UTC."""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        return moment.isoformat().replace("+00:00", "Z")
    return value
