"""Print the result of a query."""

from __future__ import annotations

from typing import Any

from irmcli.output import Output, count
from irmcore.errors import ConfigurationError

from irmsentinel.kql.result import Result, cell


def sorted_by_time(result: Result) -> Result:
    """The rows sorted by TimeGenerated, if there is such a column. A function returns them in no order."""
    at = next((i for i, column in enumerate(result.columns) if column.name == "TimeGenerated"), None)
    if at is None:
        return result
    return Result(
        result.columns, tuple(sorted(result.rows, key=lambda row: (str(row[at]).rstrip("Z"), repr(row))))
    )


def select_columns(result: Result, columns: str | None) -> Result:
    """Only these columns, in this order. Raises ConfigurationError for an unknown one."""
    if columns is None:
        return result
    positions = {column.name: i for i, column in enumerate(result.columns)}
    names = [name.strip() for name in columns.split(",")]
    for name in names:
        if name not in positions:
            raise ConfigurationError(
                f"the result has no column `{name}`",
                where="--columns",
                next_step=f"It has: {', '.join(positions)}.",
            )
    chosen = [positions[name] for name in names]
    return Result(
        tuple(result.columns[i] for i in chosen), tuple(tuple(row[i] for i in chosen) for row in result.rows)
    )


def show_result(output: Output, title: str, result: Result) -> None:
    """Print a result as a table, or as a JSON array of objects."""
    names = [column.name for column in result.columns]
    kinds = [column.type for column in result.columns]
    rows: list[list[Any]] = [list(map(cell, row, kinds)) for row in result.rows]
    output.table(
        f"{title}: {count(len(rows), 'row')}", names, [["" if c is None else c for c in row] for row in rows]
    )
    if not rows:
        output.line(f"{title}: no rows")
    output.document([dict(zip(names, row, strict=True)) for row in rows])
