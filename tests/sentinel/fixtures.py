"""Fixtures of KQL: YAML files beside the artefact's mirror, with tables, a call and the expected rows.

A table has its name in KQL; ``NAME.SHAPE`` is another shape of it. A table that a case does not name is
missing. ``columns`` selects and orders the columns to compare; rows are literal. A call of an aggregation is
its name and a span.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from irmsentinel.content import aggregations, rules, tables
from irmsentinel.content import artefacts as content
from irmsentinel.content.aggregations import Aggregation, Span
from irmsentinel.content.tables import Table
from irmsentinel.kql.engine import Engine

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One case of a fixture file."""

    file: Path
    what: str
    now: datetime
    tables: dict[str, list[dict[str, Any]]]
    call: str
    columns: list[str]
    rows: list[list[Any]]


def cases() -> Iterator[Case]:
    """Every case of every fixture file."""
    for file in sorted(HERE.glob("*/*.yaml")):
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        for case in document["cases"]:
            given = {**document, **case}
            yield Case(
                file=file,
                what=case["what"],
                now=given["now"].astimezone(UTC),
                tables={**document.get("tables", {}), **case.get("tables", {})},
                call=given["call"],
                columns=given["columns"],
                rows=case["rows"],
            )


def run(case: Case, loaded: content.Content | None = None) -> list[list[Any]]:
    """The chosen columns of the local engine's result, in its order; `loaded`: content other than ours."""
    loaded = loaded or our_content()
    known = table_shapes(loaded.root)
    with Engine(loaded.local_functions()) as engine:
        for name, rows in case.tables.items():
            table, _, shape = name.partition(".")
            engine.insert(known[table][shape], [{k: plain(v) for k, v in row.items()} for row in rows])
        result = engine.run(_query(case.call, loaded), now=case.now)
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
    """Whether the rows are the expected ones, in any order unless the call sorts."""
    expected = [[plain(cell) for cell in row] for row in case.rows]
    same = sorted(map(repr, given)) == sorted(map(repr, expected))
    return same and (given == expected or " sort by " not in case.call)


def _query(call: str, loaded: content.Content) -> str:
    """The KQL of a call: the name of a query or an aggregation (with a span), or KQL."""
    name, *span = call.split()
    if name in exports() and len(span) == 2:
        return exports()[name].kql(Span(*map(datetime.fromisoformat, span)))
    return next((a.body for a in loaded.artefacts if a.name == call and not a.is_function), call)


def plain(value: Any) -> Any:
    """A value as in JSON: times as text in UTC."""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        return moment.isoformat().replace("+00:00", "Z")
    return value
