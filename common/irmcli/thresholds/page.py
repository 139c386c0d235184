"""The advice as one HTML page: a chart of the thresholds, one of the weeks, and the numbers as tables."""

import datetime
import html
from collections.abc import Mapping, Sequence

from irmcli import html_page
from irmcli.reporting import charts
from irmcli.reporting.page import STYLE, figure, table
from irmcli.thresholds import figures
from irmcli.thresholds.advice import FEWEST, Advice
from irmcli.thresholds.steps import text_of


def page(
    title: str,
    notes: Sequence[str],
    advice: Sequence[Advice],
    mondays: Sequence[datetime.date],
    now: Mapping[str, Mapping[str, int]],
) -> str:
    """The page. ``notes`` are sentences on the rows and the rule; ``now`` has the steps set by indicator."""
    body = [f"<h1>{html.escape(title)}</h1>", *(f'<p class="soft">{html.escape(note)}</p>' for note in notes)]
    for one in advice:
        body += _indicator(one, now[one.indicator.name], mondays)
    return html_page.document(title, STYLE, "\n".join(body))


def _indicator(one: Advice, now: Mapping[str, int], mondays: Sequence[datetime.date]) -> list[str]:
    name, marks = one.indicator.name, figures.marks(one, now)
    texts = figures.sentences(one, now)
    parts = [f"<h2>{html.escape(name)}</h2>", *(f"<p>{html.escape(text)}</p>" for text in texts)]
    if one.levels:
        bars = [
            (f"{text_of(each.step)} {marks.get(each.step, '')}".strip(), round(each.a_week or 0))
            for each in one.thresholds
            if (each.a_week or 0) >= 1
        ]
        caption = "People in an average week, by threshold, where it is at least one"
        weekly = f"People who reach low, by week (fewer than {FEWEST} are not drawn)"
        parts += [
            '<div class="charts">',
            figure(caption, charts.ranked(f"{caption}: {name}", bars, "a week")),
            figure(
                weekly, charts.bars(f"{weekly}: {name}", mondays, [n or 0 for n in one.by_week], "people")
            ),
            "</div>",
        ]
    if rows := [figures.cells(each, marks) for each in one.thresholds]:
        parts.append(table("What each threshold brings", figures.COLUMNS, rows, numbers=(0, *range(2, 8))))
    return parts
