"""The app's pages in a real browser, with a fake Splunk Web and the app's real REST handler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import bundle
from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunk_web import SplunkWeb
from tests.fakes.splunkd_handler import RestHandler
from tests.fakes.splunkd_rest import SplunkdRest
from tests.needs import find_python
from tests.splunk_app.conftest import Searches

#: Long, so that a busy machine fails no test; pytest's timeout catches what hangs.
expect.set_options(timeout=30_000)

#: Signs a user in and opens a view.
Open = Callable[..., Page]

# All rules of axe: WCAG alone, without best practices, accepts a page without headings.
_AXE = "async () => (await axe.run()).violations.map(v => `${v.id}: ${v.nodes[0].html.slice(0, 300)}`)"


@pytest.fixture
def home(on_3_13: Searches) -> SplunkHome:
    """The Splunk home of the searches, so that the pages show their outbox."""
    return on_3_13.home


@pytest.fixture
def web(home: SplunkHome, splunkd: SplunkdRest) -> Iterator[SplunkWeb]:
    """Splunk Web on the newer of Splunk's Pythons."""
    python = find_python("3.13")
    assert python is not None
    handler = RestHandler(python, home, splunkd)
    with SplunkWeb(home, splunkd, handler) as running:
        yield running
    assert not handler.end()


@pytest.fixture
def visit(web: SplunkWeb, page: Page) -> Open:
    """Opens a view, as the administrator unless another session key is given."""

    def open_view(view: str, key: str = "admin-session") -> Page:
        page.context.clear_cookies()
        page.context.add_cookies(web.sign_in(key))
        page.goto(web.view(view))
        return page

    return open_view


@pytest.fixture(scope="session")
def axe() -> Callable[[Any], list[str]]:
    """What axe-core finds in a page or frame: the rule and the element of each violation."""
    script = (bundle.packages() / "axe-core" / "axe.min.js").read_text(encoding="utf-8")

    def look(page: Any) -> list[str]:
        page.evaluate(f"() => {{ {script} }}")
        found: list[str] = page.evaluate(_AXE)
        return found

    return look


@pytest.fixture
def picture(pictures: Path) -> Callable[[Page, str], None]:
    """Saves screenshots of a page, 1280 and 390 pixels wide, and checks that it is never wider than that."""

    def take(page: Page, name: str) -> None:
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_function(f"document.documentElement.scrollWidth <= {width}", timeout=30_000)
            height = min(900, page.evaluate("() => document.body.scrollHeight"))
            clip: Any = {"x": 0, "y": 0, "width": width, "height": height}
            page.screenshot(path=pictures / f"{name}-{width}.png", clip=clip)

    return take
