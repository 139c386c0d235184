"""The HR connector's rules for one file: a table in, kept records and counts out.

Promised: pure, and no value of a row in any message. The rules are those of Microsoft's page "Set up a
connector to import HR data"; that a ragged row ends in "internal server error" is from
https://github.com/MicrosoftDocs/microsoft-365-docs/issues/8784.
Not promised: that the service refuses a record where the page only says what it must have. The emulator
drops such a record and counts it, as the service counts records that it does not save.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from irmemulator.event_times import parse_time
from irmemulator.file_rules import TIME_NOT_ISO, USER_EMPTY, Outcome, Record, Refusal, Table
from irmemulator.settings import Job

#: Rows of a file, as others quote the page of 2026; the repository's version has no number.
MAX_RECORDS = 500

SCENARIO_UNKNOWN = "scenario_unknown"
VALUE_MISSING = "value_missing"
VALUE_TOO_LONG = "value_too_long"

_USER = "EmailAddress"
_DATES = ("ResignationDate", "LastWorkingDate", "EffectiveDate")
_LONGEST = {"Remarks": 200, "Rating": 25}
#: What each scenario requires, and the field that dates it, if any.
REQUIRED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "resignation": (_USER, "ResignationDate", "LastWorkingDate"),
        "job-level-change": (_USER, "EffectiveDate"),
        "performance-review": (_USER, "EffectiveDate"),
        "performance-improvement-plan": (_USER, "EffectiveDate"),
        "employee-profile": (
            _USER,
            "EmployeeFirstName",
            "EmployeeLastName",
            "EmployeeAddressLine1",
            "EmployeeZipCode",
        ),
    }
)


def apply_hr_rules(table: Table, job: Job) -> Outcome | Refusal:
    """Apply the job's mapping and the page's rules to a file."""
    for line, row in zip(table.lines, table.rows, strict=True):
        if len(row) != len(table.header):
            return Refusal("ragged_row", f"line {line}: internal server error", status=500)
    # "The column names that you type aren't case-sensitive, but be sure to include spaces".
    at = {name.casefold(): position for position, name in enumerate(table.header)}
    columns = {field: at[name.casefold()] for field, name in job.mapping.items() if name.casefold() in at}
    missing = {
        job.mapping.get(field, field)
        for scenario in job.scenarios.values()
        for field in REQUIRED[scenario]
        if field not in columns
    }
    if missing:
        names = ", ".join(sorted(missing))
        return Refusal("column_missing", f"line 1: a mandatory column is missing: {names}")
    scenario_at = None
    if job.source_column is not None:
        scenario_at = at.get(job.source_column.casefold())
        if scenario_at is None:
            return Refusal("no_scenario_column", "line 1: the identifier column is missing")
    if not table.rows:
        return Refusal("no_records", "the file has a header and no records")
    kept, dropped = [], Counter[str]()
    for row in table.rows:
        value = row[scenario_at] if scenario_at is not None else next(iter(job.scenarios))
        found = _record(table.header, row, value, columns, job)
        if isinstance(found, Record):
            kept.append(found)
        else:
            dropped[found] += 1
    return Outcome(len(table.rows), tuple(kept), MappingProxyType(dict(dropped)))


def _record(
    header: Sequence[str], row: Sequence[str], value: str, columns: Mapping[str, int], job: Job
) -> Record | str:
    """The record of a row, or why it is dropped."""
    if value not in job.scenarios:
        return SCENARIO_UNKNOWN
    required = REQUIRED[job.scenarios[value]]
    cells = {field: row[position] for field, position in columns.items()}
    if not cells[_USER].strip():
        return USER_EMPTY
    if not all(cells[field].strip() for field in required):
        return VALUE_MISSING
    if any(len(cells.get(field, "")) > longest for field, longest in _LONGEST.items()):
        return VALUE_TOO_LONG
    dates = [parse_time(cells[field]) for field in _DATES if cells.get(field)]
    if None in dates:
        return TIME_NOT_ISO
    time = next((cells[field] for field in required if field in _DATES), "")
    fields = tuple(zip(header, row, strict=True))
    return Record(cells[_USER], time, parse_time(time) or 0, value, fields)
