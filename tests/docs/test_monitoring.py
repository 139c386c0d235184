"""docs/monitoring.md has every metric and every event of a log, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from irmcli.metrics import METRICS
from irmcore.delivery.replies import Action

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
#: A call that writes an event: `write("INFO", "sent"`, `_log("queued"`, `output.event("waiting"`,
#: `report(name, "WARN", "no-connector"`, and the two events of `event("checked" if dry else "queued"`.
WRITTEN = re.compile(
    r"(?:write|report|_log|\blog|\.event)\(\s*(?:name,\s*)?(?:(?:\"[A-Z]+\"|[A-Z]+|level),\s*)?"
    r"\"([a-z]+(?:-[a-z]+)*)\"(?: if dry else \"([a-z-]+)\")?"
)
#: These write to Splunk's log of modular actions, or pass an event on.
OTHERS = {"modular_action_log.py"}


def column(head: str, number: int = 0) -> list[str]:
    """The cells of a column of the table with this head."""
    rows = TEXT.split(f"| {head} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [row.strip("| ").split(" | ")[number].strip("`") for row in rows]


def test_every_metric_is_listed_with_its_text() -> None:
    """Name and help are those of the program."""
    assert column("metric") == [metric.name for metric in METRICS]
    texts = zip(column("metric", 1), METRICS, strict=True)
    assert [text for text, metric in texts if not text.startswith(metric.text)] == []


def test_the_catalogue_has_every_event_that_is_written() -> None:
    """Those of the command line and of the Splunk app, and what the sender tells its listener."""
    written = {action.value for action in Action} - {Action.REFRESH.value} | {"history-lost"}
    for folder in ("common/irmcli", "splunk_app/bin"):
        for file in (ROOT / folder).rglob("*.py"):
            if file.name not in OTHERS:
                found = WRITTEN.findall(file.read_text(encoding="utf-8"))
                written |= {name for names in found for name in names if name}
    listed = column("event")
    assert sorted(listed) == sorted(written)
