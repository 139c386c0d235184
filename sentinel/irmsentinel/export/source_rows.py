"""Why an export read no rows: its tables are missing, their rows stopped, or it counts none of them.

One query asks for the newest row of each table in the last 30 days. It does not tell what a user may not read
from what is missing: Log Analytics shows neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from irmsentinel.content.aggregations import Span
from irmsentinel.kql.result import Result

LOOK_BACK_DAYS = 30
#: Codes of IRMExportHealth_CL's column Reason.
MISSING, SILENT = "source-missing", "source-silent"


@dataclass(frozen=True)
class NoRows:
    """``text`` in words; ``reason`` is ``MISSING``, ``SILENT``, or "" if the tables have new rows."""

    reason: str
    text: str


def query(tables: Sequence[str]) -> str:
    """The KQL that gives the newest row of each table, and no row for a table that is missing."""
    legs = [
        f"({table} | where TimeGenerated > ago({LOOK_BACK_DAYS}d) | summarize NewestRow = max(TimeGenerated)"
        f' | project SourceTable = "{table}", NewestRow)'
        for table in tables
    ]
    nothing = "(datatable(SourceTable:string, NewestRow:datetime)[])"
    return f"union isfuzzy=true {', '.join((nothing, *legs))}"


def explain(tables: Sequence[str], answer: Result, span: Span, now: datetime) -> NoRows:
    """What the answer to ``query`` says about an export that read ``span`` and got nothing."""
    newest: Mapping[str, datetime | None] = {row[0]: _moment(row[1]) for row in answer.rows}
    missing = [table for table in tables if table not in newest]
    parts = [f"{_listed(missing)} not in this workspace"] if missing else []
    for table, at in newest.items():
        if at is None:
            parts.append(f"{table} has no rows in the last {LOOK_BACK_DAYS} days")
        elif at < span.start:
            parts.append(
                f"{table} has had no rows for {(now - at).days} days (since {at:%Y-%m-%d %H:%M} UTC)"
            )
        else:
            parts.append(f"{table} has rows, but none in this time that the export counts")
    current = any(at is not None and at >= span.start for at in newest.values())
    return NoRows("" if current else SILENT if newest else MISSING, "; ".join(parts))


def _listed(tables: Sequence[str]) -> str:
    head, last = ", ".join(tables[:-1]), tables[-1]
    return f"the tables {head} and {last} are" if head else f"the table {last} is"


def _moment(value: object) -> datetime | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
