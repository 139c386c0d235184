"""The fake Splunk Web restricts an app's views as the real one does."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.fakes.splunk_web import RELEASES, SplunkWeb
from tests.splunk_app.pages.conftest import Open

pytestmark = [pytest.mark.needs("chromium", "python3.13"), pytest.mark.timeout(180)]

#: What DOMPurify keeps: the paragraph, its `id` and the link.
PANEL = """<dashboard version="1.1" script="own.js"><label>Hostile</label><row><panel><html>
  <p id="kept" onclick="document.title = 'clicked'"><a href="queue">kept</a></p>
  <iframe src="/en-US/app/irmexport/queue"></iframe><embed src="/x"></embed><object data="/x"></object>
  <script>document.title = 'ran'</script><style>p {display: none}</style><link href="/x" rel="stylesheet"/>
</html></panel></row></dashboard>"""
SCRIPT = """
const seen = [document.currentScript, typeof $, typeof jQuery, document.getElementById('kept') !== null];
try { define(() => 1); } catch (error) { seen.push(error.message); }
document.documentElement.dataset.seen = seen.join();
"""


@pytest.fixture
def hostile(web: SplunkWeb) -> SplunkWeb:
    """The app with a view that breaks the rules."""
    (web.app / "default" / "data" / "ui" / "views" / "hostile.xml").write_text(PANEL)
    (web.app / "appserver" / "static" / "own.js").write_text(SCRIPT)
    return web


def test_what_splunk_web_does_not_allow_in_a_panel_is_removed(visit: Open, hostile: SplunkWeb) -> None:
    """Frames, embedded content, scripts, styles, links to styles and event handlers."""
    assert hostile.release == RELEASES["9.3"]
    page = visit("hostile")
    kept = page.locator("#kept")
    expect(kept).to_be_visible()
    kept.click(position={"x": 300, "y": 5})
    assert page.title() == "Hostile"
    inside = "[...document.querySelectorAll('#dashboard *')].map(node => node.localName).join()"
    assert page.evaluate(inside) == "div,p,a"


def test_a_script_is_evaluated_as_text(visit: Open, hostile: SplunkWeb, page: Page) -> None:
    """It has no element, no jQuery and a `define` that wants names; the panels may not be there yet."""
    for release, drawn in (("9.3", "true"), ("10.0", "false"), ("10.4 with script", "false")):
        hostile.release = RELEASES[release]
        visit("hostile")
        expect(page.locator("html")).to_have_attribute(
            "data-seen", f",undefined,undefined,{drawn},Mismatched anonymous define()"
        )
    # Of 10.4 it is also reported that it does not load the script that a view names.
    hostile.release = RELEASES["10.4"]
    visit("hostile")
    expect(page.locator("#kept")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert page.locator("html[data-seen]").count() == 0


def test_before_10_4_there_is_no_page_for_apps(visit: Open, page: Page, trouble: list[str]) -> None:
    """The view is an error there."""
    visit("queue_10_4")
    expect(page.get_by_text("this version has no pages/splunk_ui_app.html")).to_be_visible()
    assert "404" in trouble.pop()
