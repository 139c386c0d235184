"""The sample CSV from which Microsoft's wizard reads columns and types. Its rows are made up."""

import csv
import io
from collections.abc import Iterator, Sequence

from irmcore.profile import Column, Profile
from irmcore.profile.kinds import KINDS
from irmcore.shaping import times

_FIRST = 1_767_225_600_000_000  # 2026-01-01, in µs since 1970
_HOUR = 3_600_000_000


def sample(profile: Profile, related_values: Sequence[str]) -> str:
    """CSV text in the upload format, in which every related and allowed value and scenario occurs."""
    columns = profile.columns
    domains = [list(_domain(column, related_values)) for column in columns]
    number_of_rows = max(3, *map(len, domains))
    used = list(_used(profile, number_of_rows))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([column.header for column in columns])
    for number in range(number_of_rows):
        pairs = zip(columns, domains, strict=True)
        writer.writerow(
            [_cell(column, domain, number) if column in used[number] else "" for column, domain in pairs]
        )
    return out.getvalue()


def _used(profile: Profile, rows: int) -> Iterator[list[Column]]:
    """For each row the columns that have a value: all, or those of its scenario."""
    scenarios = [KINDS[profile.connector.kind].scenarios[name] for name in profile.scenarios]
    for number in range(rows):
        fields = scenarios[number % len(scenarios)].fields if scenarios else ()
        yield [c for c in profile.columns if not scenarios or c.role == "scenario" or c.maps_to in fields]


def _domain(column: Column, related_values: Sequence[str]) -> Sequence[str]:
    return related_values if column.role == "source" else column.allowed


def _cell(column: Column, domain: Sequence[str], number: int) -> str:
    if column.type == "user":
        return f"sample.user{number + 1}@contoso.com"
    if column.type == "datetime":
        return times.canonical(_FIRST + number * _HOUR)  # no two rows with the same user and time
    if column.type == "number":
        return str(number + 1)
    return domain[number % len(domain)] if domain else f"text {number + 1}"
