"""The canary's row: one that fits any profile, for a test account.

Each column is filled by its type, so the row takes the same path as every other one. A number is 1; a column
with listed values has the first of them. Free text is the marker, by which the row can be recognized.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from irmcore.profile import Profile
from irmcore.profile.kinds import KINDS
from irmcore.profile.model import Column
from irmcore.shaping import times


def readable(profile: Profile) -> Profile:
    """``profile`` for rows that `row` makes: fields are named like headers, times are ISO 8601."""
    columns = (
        replace(column, field=column.header, format="auto", time_field=None) for column in profile.columns
    )
    return replace(profile, columns=tuple(columns))


def row(profile: Profile, account: str, marker: str, at: float) -> Mapping[str, str]:
    """The row, by headers. ``at``: its event time in seconds since 1970, which no earlier row may have.

    If the connector's kind has scenarios, it is a row of the first that has a date, or else of the first.
    """
    known = KINDS[profile.connector.kind].scenarios
    name = next((one for one in profile.scenarios if known[one].date), next(iter(profile.scenarios), None))
    time = times.canonical(int(at * 1_000_000))
    found = {}
    for column in profile.columns:
        if name is not None and column.maps_to and column.maps_to not in known[name].fields:
            continue
        if column.role == "scenario" and name is not None:
            found[column.header] = profile.scenarios[name]
        else:
            found[column.header] = _value(column, account, marker, time)
    return found


def _value(column: Column, account: str, marker: str, time: str) -> str:
    if column.type == "string":
        return next(iter(column.related_values or column.allowed), marker)
    return {"user": account, "datetime": time, "number": "1"}[column.type]
