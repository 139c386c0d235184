"""Synthetic sample tables: a month of a made-up company, in which every rule and query finds somebody.

The same seed gives the same bytes. The people whom the seed adds have no IRM alerts, so
``samples/answers.json`` and the ``story`` of each query's file are right for every seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from irmcore import settings
from irmcore.errors import ConfigurationError

from irmsentinel.content import aggregations, rules
from irmsentinel.kql.result import Result

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CLOCK = "sample.json"
#: The folders whose queries are told of in the story, and the form of their files.
KINDS = {rules.ANALYTIC: rules.RULE, rules.HUNTING: rules.RULE, aggregations.FOLDER: aggregations.AGGREGATION}
_DAYS = 14
_COUNTRIES = {"NL": "Utrecht", "PT": "Porto", "BR": "Recife", "SE": "Lund"}
_OPERATIONS = ("Update user", "Add member to group", "Register device", "Change password")


@dataclass(frozen=True)
class Answer:
    """The expected result of a function on the sample tables."""

    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Part:
    """A rule, hunting query or aggregation in the story: run at that time, it finds these users or hosts."""

    at: datetime
    who: list[str]
    why: str


def story(root: Path) -> dict[str, Part]:
    """Name → its part in the story that the sample tables tell, as its file has it. Raises IrmError."""
    files = [
        settings.read(path, kind).value | {"name": path.stem}
        for folder, kind in KINDS.items()
        for path in sorted((root / folder).glob("*.yaml"))
    ]
    return {
        each["name"]: Part(datetime.fromisoformat(part["at"]), part["who"], part["why"])
        for each in files
        if (part := each.get("story"))
    }


def people(result: Result) -> list[str]:
    """The users of a result, or its hosts, in order; without names that are excluded."""
    names = [column.name for column in result.columns]
    at = names.index("UserPrincipalName" if "UserPrincipalName" in names else "Host")
    return sorted({str(row[at]) for row in result.rows if not str(row[at]).startswith("?excluded ")})


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
        tables[file.stem] = [
            row for line in file.read_text(encoding="utf-8").splitlines() for row in _repeated(line)
        ]
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


def _repeated(line: str) -> Iterator[dict[str, Any]]:
    """The row of a line, or as many as ``_times`` says, with ``{n}`` numbered from 0."""
    times = json.loads(line).pop("_times", 1)
    for number in range(times):
        row: dict[str, Any] = json.loads(line.replace("{n}", str(number)))
        row.pop("_times", None)
        yield row


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
