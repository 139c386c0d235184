"""A real browser for tests: Debian's Chromium, driven by Playwright.

    @pytest.mark.needs("chromium")
    def test_…(page: Page) -> None: …

``page`` is a new, empty profile each time. A page's request to any other host is
blocked and fails the test; so does an error in its console or an uncaught exception.
A test that provokes one removes it from ``trouble``.

Playwright is imported by the fixtures alone: the core's tests read this file on Python 3.9 without it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Route

#: Where pictures of what a test saw are kept, if set; otherwise in the test's own folder.
PICTURES = "IRMEXPORT_PICTURES"
_HERE = {"127.0.0.1", "localhost", "::1"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for one module: Playwright's event loop would interfere with other tests."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - see above

    chromium = shutil.which("chromium")
    assert chromium is not None
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium)
        yield running
        running.close()


@pytest.fixture
def trouble() -> list[str]:
    """What went wrong in the test's page. Must be empty in the end."""
    return []


@pytest.fixture
def page(browser: Browser, trouble: list[str]) -> Iterator[Page]:
    """A page of its own profile, in UTC and English, without access to other machines."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, locale="en-US", timezone_id="UTC", reduced_motion="reduce"
    )

    def breaker(route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname not in _HERE:
            trouble.append(f"asks {address.scheme}://{address.hostname}{address.path}")
            route.abort()
        else:
            route.continue_()

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            trouble.append(f"console: {message.text}")

    context.route(re.compile(""), breaker)
    new = context.new_page()
    new.on("console", heard)
    new.on("pageerror", lambda error: trouble.append(f"not caught: {error}"))
    yield new
    context.close()
    assert not trouble


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder for screenshots, which CI may keep."""
    folder = Path(os.environ.get(PICTURES, tmp_path / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def texts_in_trouble(page: Page) -> list[str]:
    """The texts of the page that nobody can read well, each with what is wrong with it.

    A text of a drawing must not lie on another one, on a line or beyond the drawing, and must be at least
    11 pixels high. No text may lie beyond the window.
    """
    found: list[str] = page.evaluate(_TEXTS)
    return found


_TEXTS = """
() => {
  const trouble = [], inner = (a, b) => a.left < b.right - 0.5 && b.left < a.right - 0.5
    && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5;
  for (const svg of document.querySelectorAll('svg')) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    const texts = [...svg.querySelectorAll('text')].map(e => [e.textContent, e.getBoundingClientRect(), e]);
    const lines = [...svg.querySelectorAll('polyline')];
    texts.forEach(([text, box, element], i) => {
      if (box.left < frame.left || box.right > frame.right
        || box.top < frame.top || box.bottom > frame.bottom)
        trouble.push(`${text}: beyond the drawing`);
      if (parseFloat(getComputedStyle(element).fontSize) * element.getScreenCTM().a < 11)
        trouble.push(`${text}: too small`);
      for (const [other, there] of texts.slice(i + 1))
        if (inner(box, there)) trouble.push(`${text}: on ${other}`);
      for (const line of lines)
        for (let at = 0; at <= line.getTotalLength(); at += 1) {
          const p = line.getPointAtLength(at).matrixTransform(line.getScreenCTM());
          // The glyphs are lower than their line box.
          const low = box.height * 0.2;
          if (p.x > box.left && p.x < box.right && p.y > box.top + low && p.y < box.bottom - low) {
            trouble.push(`${text}: on a line`);
            break;
          }
        }
    });
  }
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    const box = range.getBoundingClientRect();
    if (box.width && box.right > document.documentElement.clientWidth + 1)
      trouble.push(`${walker.currentNode.data.trim()}: beyond the window`);
  }
  return trouble;
}
"""
