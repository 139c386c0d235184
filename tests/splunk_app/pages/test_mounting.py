"""Each page is shown by each version of Splunk Web, which load an app's scripts in different ways."""

from __future__ import annotations

import configparser
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.fakes.splunk_web import RELEASES, Release, SplunkWeb
from tests.splunk_app.pages.conftest import Open

pytestmark = [pytest.mark.needs("chromium", "python3.13"), pytest.mark.timeout(180)]

PAGES = ("connectors", "profiles", "queue")
SUFFIXES = {name: ["", "_10_4"] if release.has_page_for_apps else [""] for name, release in RELEASES.items()}


def shows(page: Page, name: str) -> None:
    """The page is there, once, with what the server said."""
    expect(page.get_by_role("heading", name=name.capitalize(), level=1)).to_have_count(1)
    expect(page.get_by_role("main").get_by_role("button").first).to_be_visible()
    expect(page.get_by_text("Loading")).to_have_count(0)


@pytest.mark.parametrize("release", RELEASES)
def test_each_page_is_shown(visit: Open, web: SplunkWeb, page: Page, release: str) -> None:
    """As a dashboard in every version, and also in the page for apps where that exists.

    The script's address has the build of app.conf: browsers keep the script until its address changes.
    """
    web.release = RELEASES[release]
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    for suffix in SUFFIXES[release]:
        for name in PAGES:
            visit(f"{name}{suffix}")
            shows(page, name)
            assert page.locator("iframe").count() == 0
            assert page.title() == f"{name.capitalize()} | irmexport"
    conf = configparser.ConfigParser(interpolation=None)
    conf.read(web.app / "default" / "app.conf")
    scripts = {address for address in addresses if address.endswith("/dashboard.js")}
    assert scripts == {f"{web.url}/en-US/static/@1:{conf['install']['build']}/app/irmexport/dashboard.js"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_dashboard_has_no_accessibility_violation(
    visit: Open, web: SplunkWeb, axe: Callable[[Any], list[str]], theme: str
) -> None:
    """In both themes, in a window of any width."""
    web.theme = theme
    page = visit("connectors")
    shows(page, "connectors")
    assert axe(page) == []
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.get_by_role("list", name="Connectors")).to_contain_text("leavers")
    assert axe(page) == []


def test_if_no_script_is_loaded_the_dashboard_says_where_the_page_is(visit: Open, web: SplunkWeb) -> None:
    """Its text has a link to the view that needs no dashboard."""
    web.release = Release(has_page_for_apps=True, loads=())
    page = visit("queue")
    page.get_by_role("link", name="the same page without a dashboard").click()
    shows(page, "queue")


def test_a_dashboard_that_draws_its_panels_again_keeps_the_page(visit: Open) -> None:
    """Splunk Web may replace an element after the page was shown in it."""
    page = visit("queue")
    shows(page, "queue")
    page.evaluate(
        """() => {
            const panel = document.getElementById('irmexport-queue').parentElement;
            panel.innerHTML = '<div id="irmexport-queue">Loading</div>';
        }"""
    )
    shows(page, "queue")
