"""The report's figures from literal events, and its page in a real browser, light and dark."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from irmcli.reporting import charts
from irmcli.reporting.figures import days, duration, figures, quantile
from irmcli.reporting.page import page as made_page
from irmcore.operations.status import BatchStatus, ConnectorStatus

from tests.browser import texts_in_trouble

if TYPE_CHECKING:
    from playwright.sync_api import Page

A, B = "purview-a", "purview-b"
FIRST = datetime.date(2026, 11, 1)


def overview(name: str, title: str, *items: BatchStatus) -> ConnectorStatus:
    """A connector that is ready to send; ``items`` need attention."""
    return ConnectorStatus(name, title, "/o", "open", "", 0.0, 0.0, "", 2, 40, 0.0, 0.0, items)


HELD = BatchStatus("c" * 64, "HELD", 12, 0.0, 1, 0.0, "reset", "Look at the log in the portal.")


def events() -> Iterator[dict[str, Any]]:
    """Two connectors over 21 days: rows every day, some refused, one upload with an unknown outcome."""
    for number in range(21):
        day = FIRST + datetime.timedelta(days=number)
        for name, rows, delay in (
            (A, 400 + 37 * (number % 5), 40),
            (B, 90 + 11 * (number % 7), 300 + 400 * number),
        ):
            at = datetime.datetime(day.year, day.month, day.day, 6, tzinfo=datetime.UTC)
            batch = f"{name}-{number}"
            refused = number % 4 if name == A else 0
            counts = {"read": rows + refused, "shaped": rows, "merged": 0, "skipped": 0, "rejected": refused}
            reasons = [{"column": "User", "reason": "upn-without-domain", "rows": refused}] if refused else []
            base = {"connector": name, "batch": batch, "rows": rows, "user": "CANARY"}
            yield {
                "event": "run",
                "connector": name,
                "at": at.isoformat(),
                "counts": counts,
                "reasons": reasons,
            }
            yield {
                **base,
                "event": "accepted",
                "at": at.isoformat(),
                "host": "CANARY",
                "details": {"file": "CANARY"},
            }
            kind = "hold" if (name, number) == (B, 9) else "sent"
            yield {**base, "event": kind, "at": (at + datetime.timedelta(seconds=delay)).isoformat()}


def lines() -> Any:
    """The figures of ``events``."""
    return figures(
        events(), [overview(A, "leavers (purview-a)"), overview(B, "dropbox <b> (purview-b)", HELD)]
    )


def test_the_figures_of_a_connector() -> None:
    """Confirmed rows, refusals by reason, held uploads, and the time from row to receipt."""
    one, two = lines()
    assert (one.runs, one.uploads, one.held) == (21, 21, 0)
    assert one.rows == one.counts["shaped"] == sum(400 + 37 * (n % 5) for n in range(21))
    assert one.reasons == {("upn-without-domain", "User"): one.counts["rejected"]}
    assert set(one.seconds) == {40.0}
    assert (two.uploads, two.held) == (20, 1)
    assert two.days[FIRST].rows == 90
    assert two.days[FIRST + datetime.timedelta(days=9)].rows == 0


def test_a_batch_resolved_as_sent_counts_as_sent() -> None:
    """`resolve --sent` confirms an upload; `--resend` does not."""
    base = {"connector": A, "batch": "x", "rows": 7, "at": "2026-11-01T06:00:00+00:00"}
    found = figures(
        [{**base, "event": "resolved-sent"}, {**base, "event": "resolved-resend"}], [overview(A, A)]
    )
    assert found[0].rows == 7


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.2, "under 1 s"),
        (45, "45 s"),
        (125, "2 min 5 s"),
        (12_000, "3 h 20 min"),
        (187_300, "2 d 4 h"),
    ],
)
def test_durations_are_read_at_a_glance(seconds: float | None, text: str) -> None:
    """Two units at most."""
    assert duration(seconds) == text


def test_quantiles_are_values_that_occurred() -> None:
    """Nearest rank: one value is its own quantile, and no values have none."""
    assert quantile([], 0.5) is None
    assert quantile([3.0], 0.95) == 3.0
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert quantile(list(map(float, range(1, 101))), 0.95) == 95.0


def text_of_page() -> str:
    """The page of ``events``."""
    return made_page(lines(), days(FIRST, FIRST + datetime.timedelta(days=20)), "Made by a test.")


def test_the_page_has_no_personal_data_and_loads_nothing() -> None:
    """The page has no user, host or file, no script and no link; a profile's name is escaped."""
    text = text_of_page()
    assert "CANARY" not in text
    assert not re.search(r"<script|<link|<img|src=|href=|url\(|@import", text)
    assert "dropbox <b>" not in text
    assert "dropbox &lt;b&gt;" in text


def test_an_empty_outbox_has_a_page_too() -> None:
    """A report before the first upload says so."""
    assert "Nothing has been sent" in made_page([], [FIRST], "Made by a test.")


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_a_browser(page: Page, pictures: Path, tmp_path: Path, scheme: Any) -> None:
    """Charts have accessible names, text has enough contrast, and everything is readable on a phone, too."""
    (tmp_path / "report.html").write_text(text_of_page())
    page.emulate_media(color_scheme=scheme)
    page.goto((tmp_path / "report.html").as_uri())
    assert page.get_by_role("img").count() == 5
    assert page.get_by_role("img", name="Rows delivered by day: leavers").is_visible()
    bars = page.locator("svg rect.mark").evaluate_all("all => all.filter(r => r.getBBox().height > 0).length")
    assert bars >= 41
    assert page.get_by_role("heading", name="Needs attention: 1").is_visible()
    colours = json.loads(page.evaluate(CONTRAST))
    assert colours["text"] >= 4.5
    assert colours["mark"] >= 3.0
    for width in (1280, 390, 320):
        page.set_viewport_size({"width": width, "height": 800})
        assert texts_in_trouble(page) == []
        page.screenshot(path=pictures / f"report-{scheme}-{width}.png", full_page=True)
        assert (pictures / f"report-{scheme}-{width}.png").stat().st_size > 20_000
    # On a phone each cell has the name of its column, from the style.
    name = "getComputedStyle(document.querySelector('td'), '::before').content"
    assert page.evaluate(name) in ('"Connector: "', '"Connector" ": "')


def test_the_ends_and_middles_of_axes_are_round() -> None:
    """Whatever the largest value, an axis ends at a number whose half is a whole one, or a plain duration."""
    for largest in (0, 1, 3, 5, 7, 437, 5_001, 123_456, 9_999_999):
        ticks = ticks_of(charts.bars("t", [FIRST], [largest], "rows"))
        end, middle = (int(text.replace(",", "")) for text in (ticks[2], ticks[1]))
        assert (ticks[0], middle * 2) == ("0", end)
        assert largest <= end <= max(2, 2 * largest)
    for seconds, ends in (
        (1.4, ["0", "1 s", "2 s"]),
        (40, ["0", "30 s", "1 min"]),
        (5_000, ["0", "1 h", "2 h"]),
        (80_000, ["0", "12 h", "1 d"]),
        (900_000, ["0", "20 d", "40 d"]),
    ):
        assert ticks_of(charts.dots("t", [FIRST], [seconds], duration)) == ends


def ticks_of(chart: str) -> list[str]:
    """The texts of a chart's vertical axis, from below."""
    return re.findall(r'<text class="end"[^>]*>([^<]*)<', chart)


def test_connectors_of_one_profile_keep_their_own_names() -> None:
    """A profile's name is short; where two connectors have the same, it would be ambiguous."""
    twice = figures(events(), [overview(A, f"leavers ({A})"), overview(B, f"leavers ({B})")])
    text = made_page(twice, [FIRST], "Made by a test.")
    assert f"<h3>leavers ({A})</h3>" in text
    assert "<h3>dropbox &lt;b&gt;</h3>" in text_of_page()


#: WCAG's contrast of the text, and of the marks, with the page.
CONTRAST = """
() => {
  const numbers = css => css.match(/[0-9.]+/g).slice(0, 3).map(Number);
  const light = rgb => rgb.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => { const [x, y] = [light(numbers(a)), light(numbers(b))].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05); };
  const back = getComputedStyle(document.body).backgroundColor;
  const soft = getComputedStyle(document.querySelector('.soft')).color;
  const card = getComputedStyle(document.querySelector('svg')).backgroundColor;
  const mark = ratio(getComputedStyle(document.querySelector('svg .mark')).fill, card);
  return JSON.stringify({ text: Math.min(ratio(soft, back), ratio(soft, card)), mark });
}
"""
