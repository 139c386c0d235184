"""Synthetic sample tables: two users with IRM alerts, among people without any.

The same seed gives the same bytes. The other people have no IRM alerts, so ``samples/answers.json`` is right
for every seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from irmcore.errors import ConfigurationError

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CLOCK = "sample.json"
_DAYS = 14
_COUNTRIES = {"NL": "Utrecht", "PT": "Porto", "BR": "Recife", "SE": "Lund"}
_OPERATIONS = ("Update user", "Add member to group", "Register device", "Change password")


@dataclass(frozen=True)
class Answer:
    """The expected result of a function on the sample tables."""

    columns: list[str]
    rows: list[list[Any]]


def answers(root: Path) -> dict[str, Answer]:
    """Function → expected result."""
    document = json.loads((root / "samples" / "answers.json").read_text(encoding="utf-8"))
    return {name: Answer(**answer) for name, answer in document.items()}


def write(root: Path, into: Path, *, seed: int, people: int) -> dict[str, int]:
    """Write the sample tables; returns table → number of rows. Raises ConfigurationError."""
    into.mkdir(parents=True, exist_ok=True)
    if any(into.glob("*.jsonl")):
        raise ConfigurationError(
            "the folder already has tables", where=str(into), next_step="Choose an empty or a new folder."
        )
    tables: dict[str, list[dict[str, Any]]] = {}
    for file in sorted((root / "samples" / "story").glob("*.jsonl")):
        tables[file.stem] = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    chance = random.Random(seed)  # noqa: S311 — repeatable sample data, no secret
    for person in range(people):
        for table, row in _days_of(f"person{person:04}@contoso.com", chance):
            tables[table].append(row)
    for table, rows in tables.items():
        ordered = sorted(rows, key=lambda row: str(row["TimeGenerated"]))
        text = "".join(f"{json.dumps(row)}\n" for row in ordered)
        (into / f"{table}.jsonl").write_text(text, encoding="utf-8")
    about = {"synthetic": True, "seed": seed, "people": people, "now": NOW.isoformat()}
    (into / CLOCK).write_text(json.dumps(about) + "\n", encoding="utf-8")
    return {table: len(rows) for table, rows in tables.items()}


def clock(folder: Path) -> datetime | None:
    """The current time of sample tables; None for other tables."""
    try:
        about = json.loads((folder / CLOCK).read_text(encoding="utf-8"))
        return datetime.fromisoformat(about["now"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _days_of(upn: str, chance: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """Two ordinary weeks of a person."""
    country = chance.choice(list(_COUNTRIES))
    address = f"203.0.113.{chance.randrange(1, 255)}"
    for day in range(_DAYS):
        start = (NOW - timedelta(days=day + 1)).replace(hour=8) + timedelta(seconds=chance.randrange(3600))
        at = start.isoformat().replace("+00:00", "Z")
        common = {
            "TimeGenerated": at,
            "UserPrincipalName": upn,
            "IPAddress": address,
            "Location": country,
            "ResultType": chance.choice(["0", "0", "0", "50126"]),
        }
        place = {"city": _COUNTRIES[country], "countryOrRegion": country}
        device = {"deviceId": f"laptop-of-{upn}"}
        yield (
            "SigninLogs",
            {**common, "AppDisplayName": "Office 365", "LocationDetails": place, "DeviceDetail": device},
        )
        yield (
            "AADNonInteractiveUserSignInLogs",
            {
                **common,
                "AppDisplayName": "OneDrive Sync",
                "LocationDetails": json.dumps(place),
                "DeviceDetail": json.dumps(device),
            },
        )
        yield (
            "AuditLogs",
            {
                "TimeGenerated": at,
                "OperationName": chance.choice(_OPERATIONS),
                "Result": "success",
                "InitiatedBy": {"user": {"userPrincipalName": upn}},
                "TargetResources": [{"type": "User", "userPrincipalName": upn}],
            },
        )
