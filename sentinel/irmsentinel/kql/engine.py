"""The local engine: KQL on this machine, by duckdb-kql on DuckDB. Only ``cost`` also uses these packages.

A query sees only the loaded tables and the content's functions, and does no I/O once the tables are loaded.
The caller sets ``now()``. A result has Kusto's types, UTC datetimes, and "" for null strings, which Kusto
does not have. The engine does not support all of KQL: the rest is an error. ``docs/kql.md`` has the subset
that gives the same result here and on Azure.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import duckdb
import duckdb_kql
from duckdb_kql import ir
from duckdb_kql.engine import schema
from duckdb_kql.lower import lower
from duckdb_kql.stored_functions import ResolvedFunctions, StoredFunction, parse_functions
from irmcore.errors import DataError
from irmcore.settings import nearest

from irmsentinel.content import artefacts
from irmsentinel.content.artefacts import Artefact, Column
from irmsentinel.content.tables import Table, fitting
from irmsentinel.kql.engine_errors import RAISED, Text, explained
from irmsentinel.kql.result import Result

_TO_DUCKDB = {
    "datetime": "TIMESTAMP",
    "string": "VARCHAR",
    "dynamic": "JSON",
    "long": "BIGINT",
    "int": "INTEGER",
    "real": "DOUBLE",
    "bool": "BOOLEAN",
    "guid": "UUID",
}
_TO_KUSTO = {duck: kusto for kusto, duck in _TO_DUCKDB.items()} | {"INTERVAL": "timespan", "HUGEINT": "long"}
_EPOCH = "1970-01-01T00:00:00"
#: duckdb-kql has no ingestion_time(). Here it is a column that a row may have, and TimeGenerated otherwise.
_INGESTED = "_IngestionTime"
_INGESTION_TIME = re.compile(r"\bingestion_time\(\)")
_IN_ITS_PLACE = f"{_INGESTED}  "  # of the same length, so that errors name the right column

_TIMESPAN_TEXT = " WHEN 'INTERVAL' THEN list_transform("
_BRACKETS = re.compile(r"'(?:[^']|'')*'|[()]")
_IS_TIMESPAN = "a timespan becomes a text"

Row = Mapping[str, Any]


class Engine:
    """Tables in memory, and KQL over them. For one thread."""

    def __init__(self, functions: Sequence[Artefact] = ()) -> None:
        """`functions`: the functions that queries may call."""
        self._functions = {function.name: function for function in functions}
        self._connection = duckdb_kql.connect()
        self._connection.execute("SET TimeZone = 'UTC'")
        self._sealed = False
        self._tables: list[str] = []
        self._within: tuple[datetime, datetime] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the tables."""
        self._connection.close()

    def load(self, table: Table, file: Path) -> None:
        """Load a table's rows from JSON lines. Raises DataError with file and line."""
        for number, row in _rows_of(file):
            _check(row, table, f"{file}:{number}")
        columns = ", ".join(f"'{c.name}': '{_TO_DUCKDB[c.type]}'" for c in table.columns)
        at = "TimeGenerated" if any(c.name == "TimeGenerated" for c in table.columns) else _INGESTED
        read = f"read_json(?, format='newline_delimited', columns={{{columns}, '{_INGESTED}': 'TIMESTAMP'}})"
        try:
            # The names come from tables/; the value is a parameter.
            self._connection.execute(
                f'CREATE TABLE "{table.name}__rows" AS SELECT * REPLACE '
                f'(coalesce({_INGESTED}, "{at}") AS {_INGESTED}) FROM {read}',
                [str(file)],
            )
            self._show(table.name, None)
            if table.name.endswith("_CL"):
                packed = (
                    f'SELECT "TimeGenerated", {_INGESTED}, json_merge_patch(to_json(t), '
                    f"""'{{"{_INGESTED}": null}}') AS "Record" FROM "{table.name}" AS t"""
                )
                self._connection.execute(f'CREATE VIEW "{table.name}__packed" AS {packed}')
        except duckdb.Error as error:
            raise DataError(
                f"the rows cannot be read as {table.name} ({type(error).__name__})",
                where=str(file),
                next_step="Compare the values with the types in tables/.",
            ) from None
        self._tables.append(table.name)

    def _show(self, table: str, within: tuple[datetime, datetime] | None) -> None:
        """Show queries all rows of a table, or those within a time span."""
        view = f'CREATE OR REPLACE VIEW "{table}" AS SELECT * FROM "{table}__rows"'
        if within is not None:
            start, end = (moment.astimezone(UTC).replace(tzinfo=None).isoformat() for moment in within)
            view += f""" WHERE "TimeGenerated" >= '{start}' AND "TimeGenerated" < '{end}'"""
        self._connection.execute(view)

    def insert(self, table: Table, rows: Iterable[Row]) -> None:
        """Load rows from memory. Raises DataError."""
        with tempfile.TemporaryDirectory(prefix="irmexport-rows-") as folder:
            file = Path(folder) / f"{table.name}.jsonl"
            file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
            self.load(table, file)

    def run(
        self,
        kql: str,
        *,
        now: datetime,
        within: tuple[datetime, datetime] | None = None,
        artefact: Artefact | None = None,
    ) -> Result:
        """The result of a query. Raises DataError with file, line and column if it is wrong or not supported.

        `within`: as with Log Analytics' timespan, every table shows only the rows in it. `artefact`: the one
        whose body the query contains.
        """
        for table in self._tables if within != self._within else ():
            self._show(table, within)
        self._within = within
        if not self._sealed:
            self._connection.execute("SET enable_external_access = false")
            self._sealed = True
        moment = now.astimezone(UTC).replace(tzinfo=None).isoformat()
        try:
            sql = self._translated(kql, moment)
            if sql.unbound:
                raise duckdb_kql.KqlSchemaError(", ".join(sql.unbound), hint="a parameter without a value")
            answer = self._executed(sql)
            described = answer.description or []
            names, types = [name for name, *_ in described], [_kusto_type(kind) for _, kind, *_ in described]
            rows = answer.fetchall()
        except RAISED as error:
            raise self._explained(error, kql, artefact) from None
        shown = [i for i, name in enumerate(names) if name != _INGESTED]
        columns = tuple(Column(names[i], types[i]) for i in shown)
        return Result(columns, tuple(tuple(_value(row[i], types[i]) for i in shown) for row in rows))

    def _executed(self, sql: duckdb_kql.TranslationResult) -> duckdb.DuckDBPyConnection:
        """The answer. duckdb_kql.query() gives a relation, which is executed again to read its rows."""
        try:
            return self._connection.execute(_without_timespan_texts(sql), sql.parameters or None)
        except duckdb.ConversionException as error:
            if _IS_TIMESPAN not in str(error):
                raise
            return self._connection.execute(str(sql), sql.parameters or None)

    def _translated(self, kql: str, moment: str) -> duckdb_kql.TranslationResult:
        columns = tuple((table, tuple(names)) for table, names in schema(self._connection).items())
        return _translation(
            _INGESTION_TIME.sub(_IN_ITS_PLACE, kql),
            columns,
            tuple(self._called_by(kql)[None].values()),
            moment,
        )

    def lowered(self, kql: str) -> ir.Query:
        """The query as a tree, the functions that it calls included. Raises DataError."""
        try:
            return lower(_INGESTION_TIME.sub(_IN_ITS_PLACE, kql), functions=self._called_by(kql))
        except RAISED as error:
            raise self._explained(error, kql, None) from None

    def _explained(self, error: Exception, kql: str, artefact: Artefact | None) -> DataError:
        """The error with its place. duckdb-kql blames a function's name if it cannot translate its body."""
        blamed = getattr(error, "construct", "").removeprefix("function:")
        if blamed in self._functions and (artefact is None or blamed != artefact.name):
            function = self._functions[blamed]
            try:
                self._translated(function.body, _EPOCH)
            except RAISED as inner:
                return self._explained(inner, function.body, function)
        return explained(error, self._texts(kql, artefact))

    def _texts(self, kql: str, artefact: Artefact | None) -> list[Text]:
        """The query, with the file that it is from if known, and the functions that it calls."""
        query = Text(kql)
        if artefact is not None and artefact.body in kql:
            before = kql[: kql.index(artefact.body)].count("\n")
            query = Text(kql, str(artefact.path), artefact.first_line - before)
        return [query, *(Text.of(self._functions[name]) for name in artefacts.called(self._functions, kql))]

    def _called_by(self, kql: str) -> ResolvedFunctions:
        """The functions that a query calls, parsed."""
        called = {}
        for name in artefacts.called(self._functions, kql):
            function = self._functions[name]
            body = _INGESTION_TIME.sub(_IN_ITS_PLACE, function.body)
            called[name] = _parsed(name, f"function {name}({function.signature}) {{ {body}\n}}")
        return {None: called}


@lru_cache(maxsize=8)
def _translation(
    kql: str,
    columns: tuple[tuple[str, tuple[str, ...]], ...],
    functions: tuple[StoredFunction, ...],
    now: str,
) -> duckdb_kql.TranslationResult:
    """The SQL of a query. Translating takes 0.1 to 0.6 s, and one query is often run on several tables."""
    called: ResolvedFunctions = {None: {function.name: function for function in functions}}
    return duckdb_kql.to_sql(
        kql,
        schema={table: list(names) for table, names in columns},
        functions=called,
        query_now=now,
        allow_write=False,
    )


def _without_timespan_texts(sql: str) -> str:
    """The SQL, which raises an error with ``_IS_TIMESPAN`` if it makes a timespan a text.

    duckdb-kql writes out how a timespan becomes a text wherever any value does. Without that, DuckDB plans
    the content's queries in half the time.
    """
    kept, start = [], 0
    while (found := sql.find(_TIMESPAN_TEXT, start)) >= 0:
        depth = 0
        for token in _BRACKETS.finditer(sql, found + len(_TIMESPAN_TEXT) - 1):
            depth += {"(": 1, ")": -1}.get(token[0], 0)
            if not depth:
                break
        kept += [sql[start:found], f" WHEN 'INTERVAL' THEN '{_IS_TIMESPAN}'::INT::VARCHAR"]
        start = token.end() + len("[1]")
    return "".join([*kept, sql[start:]])


@cache
def _parsed(name: str, declaration: str) -> StoredFunction:
    """A function's declaration. Parsing one takes 0.1 s, so each is parsed once per process."""
    return (parse_functions([declaration]) or {})[None][name]


def load_folder(engine: Engine, folder: Path, tables: Mapping[str, Mapping[str, Table]]) -> list[Table]:
    """Load every TABLE.jsonl of a folder, in the shape that fits its columns. Raises DataError."""
    files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    if not files:
        raise DataError(
            "the folder has no tables",
            where=str(folder),
            next_step=f"To create sample tables: irmexport sentinel samples {folder}",
        )
    found = []
    for file in files:
        if file.stem not in tables:
            near = nearest(file.stem, tables)
            hint = f"Did you mean {near}?" if near else "Describe its columns in tables/."
            raise DataError(f"the table `{file.stem}` is unknown", where=str(file), next_step=hint)
        names = {name for _, row in _rows_of(file) for name in row}
        table = fitting(list(tables[file.stem].values()), names)
        engine.load(table, file)
        found.append(table)
    return found


def _rows_of(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line.decode("utf-8"))
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise DataError(
                    "a line is not a JSON object in UTF-8",
                    where=f"{file}:{number}",
                    next_step='Write one row per line: {"TimeGenerated": …}',
                )
            yield number, row


def _check(row: Row, table: Table, where: str) -> None:
    known = {column.name: column.type for column in table.columns} | {_INGESTED: "datetime"}
    for name, value in row.items():
        if name not in known:
            near = nearest(name, known)
            hint = f"Did you mean {near}?" if near else f"tables/ has the columns of {table.name}."
            raise DataError(f"{table.name} has no column `{name}`", where=where, next_step=hint)
        if known[name] == "datetime" and value is not None and not _is_time(value):
            raise DataError(
                f"`{name}` is not a time in UTC",
                where=where,
                next_step="Write it as 2026-11-20T08:00:00Z.",
            )


def _is_time(value: object) -> bool:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return False
    return moment.tzinfo is not None and not moment.utcoffset()


def _kusto_type(kind: object) -> str:
    name = str(kind)
    return "dynamic" if name.endswith("[]") else _TO_KUSTO.get(name, name.lower())


def _value(value: Any, kind: str) -> Any:
    if value is None:
        return "" if kind == "string" else None
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return value
