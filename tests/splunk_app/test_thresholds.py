"""The search of docs/thresholds.md counts the people of each threshold. Splunk did not run it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.splunk_app import spl, spl_run
from tests.splunk_app.events import DAY, Event, box
from tests.splunk_app.test_content import LOOKUPS, MACROS

PAGE = Path(__file__).parents[2] / "docs" / "thresholds.md"
WEEKS = "span=floor((ActivityDate/86400+3)/7)"


def counted(span: str) -> dict[int, tuple[object, ...]]:
    """What the page's search finds: by threshold its other columns."""
    (text,) = re.findall(r"```\n(`irmexport_box`.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert "eval span=ActivityDate" in text
    search = spl.expanded(" ".join(text.split()).replace("span=ActivityDate", span), MACROS)
    rows = spl_run.run(search, events(), LOOKUPS, (DAY - 50 * 86_400, DAY + 41 * 86_400))
    assert {row["Activity"] for row in rows} == {"BoxDownload"}
    return {row["threshold"]: tuple(list(row.values())[2:]) for row in rows}


def events() -> list[Event]:
    """Six people with 10 downloads on Wednesday and Thursday, five of them 20 on the Monday after, two 50."""
    found = []
    for person in range(6):
        made = {0: 10, 1: 10, 5: 20 if person < 5 else 0, 6: 50 if person < 2 else 0}
        for day, number in made.items():
            one = box({"type": "user", "id": "1", "name": "x", "login": f"p{person}@contoso.com"})
            found += [{**one, "_time": DAY + day * 86_400 + n} for n in range(number)]
    return found


def test_people_by_day() -> None:
    """10 is reached by 6, 6, 5 and 2 people; 50 only by two, which is not shown."""
    assert counted("span=ActivityDate") == {10: (19, "0.2", 6, 6), 20: (7, "0.1", 5, 5)}


def test_people_by_week() -> None:
    """Each person counts once a week, and a week begins on Monday."""
    assert counted(WEEKS) == {10: (11, "0.1", 6, 6), 20: (5, "0.1", 5, 5)}
    assert "floor((ActivityDate/86400+3)/7)" in PAGE.read_text(encoding="utf-8")
