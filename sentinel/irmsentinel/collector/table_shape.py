"""Which shape Compliance_IRM_AuditGeneral_CL has in a workspace; what the collector can do with it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from irmcore.errors import DataError

from irmsentinel.kql.result import Result

TABLE = "Compliance_IRM_AuditGeneral_CL"
_OURS = {"RecordId", "RecordType", "Data"}


@dataclass(frozen=True)
class Found:
    """``shape``: missing, ready, classic, migrated or foreign; ``ready``: the collector may send."""

    shape: str
    ready: bool
    words: str
    next_step: str = ""


_MISSING = Found(
    "missing",
    ready=False,
    words="there is no such table, or no right to read it.",
    next_step="Deploy it: irmexport sentinel template --collection FILE",
)
_READY = Found("ready", ready=True, words="the collector's own columns are there.")
_CLASSIC = Found(
    "classic",
    ready=False,
    words="made by a Logic App (HTTP Data Collector API); a data collection rule cannot fill it as it is.",
    next_step=(
        "Either migrate it, which cannot be undone and keeps the old columns and rows: az rest --method post "
        f"--url https://management.azure.com/<workspace id>/tables/{TABLE}/migrate?api-version=2025-07-01. "
        "Then deploy the template, which adds the new columns; the Logic App may fail to send from then on. "
        "Or keep it, and deploy under another name: IRMAuditGeneralRecords then needs that name as well."
    ),
)
_MIGRATED = Found(
    "migrated",
    ready=True,
    words="the old columns and the collector's stand beside each other; both are read.",
)
_FOREIGN = Found(
    "foreign",
    ready=False,
    words="it has neither a Logic App's columns nor the collector's.",
    next_step="See who made it; deploying the template would add the collector's columns.",
)


def shape(columns: Collection[str]) -> Found:
    """The shape of a table with these columns."""
    old = any(name.endswith(("_s", "_d", "_g", "_t", "_b")) for name in columns)
    ours = set(columns) >= _OURS
    if ours:
        return _MIGRATED if old else _READY
    return _CLASSIC if old else _FOREIGN


def found(run: Callable[[str], Result]) -> Found:
    """The shape in the workspace that ``run`` asks. Raises what ``run`` does, a missing table aside."""
    try:
        result = run(f"{TABLE} | take 0")
    except DataError as error:
        if "HTTP 400" in error.what:  # the query is right: it is the table that is not there
            return _MISSING
        raise
    return shape([column.name for column in result.columns])
