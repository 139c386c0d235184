"""The shape of Compliance_IRM_AuditGeneral_CL in a workspace: whether the collector can fill it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from irmcore.errors import DataError

from irmsentinel.kql.result import Result

TABLE = "Compliance_IRM_AuditGeneral_CL"
_OUR_COLUMNS = {"RecordId", "RecordType", "Data"}


@dataclass(frozen=True)
class TableShape:
    """``shape``: missing, ready, classic, migrated or foreign. ``ready``: the collector can fill it."""

    shape: str
    ready: bool
    message: str
    next_step: str = ""


_MISSING = TableShape(
    "missing",
    ready=False,
    message="the table does not exist, or you may not read it.",
    next_step="Deploy it: irmexport sentinel template --collection FILE",
)
_READY = TableShape("ready", ready=True, message="the table has the collector's columns.")
_CLASSIC = TableShape(
    "classic",
    ready=False,
    message="a Logic App made the table (HTTP Data Collector API); no data collection rule can fill it yet.",
    next_step=(
        "Either migrate it, which cannot be undone and keeps the old columns and rows: az rest --method post "
        f"--url https://management.azure.com/<workspace id>/tables/{TABLE}/migrate?api-version=2025-07-01. "
        "Then deploy the template, which adds the new columns. The Logic App may fail to send from then on. "
        "Or keep it and deploy the table under another name, and use that name in IRMAuditGeneralRecords too."
    ),
)
_MIGRATED = TableShape(
    "migrated",
    ready=True,
    message="the table has the old columns and the collector's; the parser reads both.",
)
_FOREIGN = TableShape(
    "foreign",
    ready=False,
    message="the table has neither a Logic App's columns nor the collector's.",
    next_step="Find out who created it. Deploying the template would add the collector's columns.",
)


def shape(columns: Collection[str]) -> TableShape:
    """The shape of a table with these columns."""
    old = any(name.endswith(("_s", "_d", "_g", "_t", "_b")) for name in columns)
    if set(columns) >= _OUR_COLUMNS:
        return _MIGRATED if old else _READY
    return _CLASSIC if old else _FOREIGN


def find(query: Callable[[str], Result]) -> TableShape:
    """The shape in the workspace that ``query`` reads. Raises what ``query`` raises."""
    try:
        result = query(f"{TABLE} | take 0")
    except DataError as error:
        if "HTTP 400" in error.what:  # the query is valid, so the table is missing
            return _MISSING
        raise
    return shape([column.name for column in result.columns])
