"""The KQL of docs/thresholds.md counts what `irmexport thresholds` counts."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from click.testing import CliRunner
from irmcli.main import main
from irmsentinel.content import artefacts, tables
from irmsentinel.kql import checker
from irmsentinel.kql.engine import Engine

PAGE = Path(__file__).parents[2] / "docs" / "thresholds.md"
HEAD = (
    "// People who reach each of some thresholds.\n//\n// needs: OfficeActivity\n// returns: Threshold:long, "
    "PeopleADay:real, HighestDay:string, PeopleAWeek:real, PeopleInAll:long\n"
)


def query() -> str:
    """The one query of the page."""
    (text,) = re.findall(r"```kql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(text)


def test_the_query_is_accepted_by_microsofts_parser(tmp_path: Path) -> None:
    """Its names, types and columns, and the portability rules."""
    (tmp_path / "enrichment").mkdir()
    (tmp_path / "enrichment" / "Thresholds.kql").write_text(HEAD + query())
    loaded = artefacts.load(own=tmp_path)
    only = [each for each in loaded.artefacts if each.name == "Thresholds"]
    assert len(only) == 1
    node = Path(shutil.which("node", path=str(Path(sys.executable).parent)) or "node")
    assert checker.check(loaded, node, Path(sys.prefix) / "kql", only=only) == []


def test_its_numbers_are_those_of_the_command(tmp_path: Path) -> None:
    """Both count the same downloads; a period with parts of weeks at both ends, and people of a few days."""
    draw = random.Random(29)  # noqa: S311 - made-up events
    events = []
    for person in range(14):
        for number in range(37):
            start = datetime(2026, 10, 7, 3, tzinfo=UTC) + timedelta(days=number)
            busy = draw.choice((0, 0, 0, 0, 9, 12, 30)) + (50 if person < 6 and number % 9 == 0 else 0)
            at = [(start + timedelta(seconds=draw.randrange(60_000))).isoformat() for _ in range(busy)]
            name = f"P{person}@contoso.com"
            events += [{"TimeGenerated": t, "Operation": "FileDownloaded", "UserId": name} for t in at]
    counts = Counter((event["UserId"], event["TimeGenerated"][:10]) for event in events)
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(
            ["UserPrincipalName", "ActivityDate", "Activity", "ActivityCount", "VolumeMB", "Details"]
        )
        lines.writerows(
            (n, f"{day}T00:00:00Z", "UsbCopy", value, "", "") for (n, day), value in counts.items()
        )
    args = ["--outbox", str(tmp_path), "thresholds", "daily-activities", str(tmp_path / "rows.csv"), "--json"]
    done = CliRunner().invoke(main, [*args, "--now", "10,20,50", "--now", "UsbCopy=10,20,50"])
    document = json.loads(done.stdout)
    assert date.fromisoformat(document["first"]).weekday() == 2
    found = {line["threshold"]: line for line in document["indicators"][0]["thresholds"]}
    (table,) = (each for each in tables.load(artefacts.root() / "tables") if each.name == "OfficeActivity")
    with Engine() as engine:
        engine.insert(table, events)
        rows = engine.run(query(), now=datetime(2026, 11, 20, 12, tzinfo=UTC)).rows
    assert [row[0] for row in rows] == [10, 20, 50]
    for threshold, a_day, highest, a_week, in_all in rows:
        line = found[threshold]
        most = "<5" if line["most_a_day"] is None else str(line["most_a_day"])
        assert (highest, in_all) == (most, line["people"])
        assert abs(a_day - line["a_day"]) <= 0.051
        assert abs(a_week - line["a_week"]) <= 0.051
    assert len({row[2] for row in rows}) > 1
