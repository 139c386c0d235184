"""The browser that other tests look through: it sees what a person sees, and lets nothing out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.needs("chromium")


def test_a_page_is_drawn_and_pictured(page: Page, pictures: Path) -> None:
    """Text that a script wrote is there, and a picture of it is kept."""
    page.set_content("<h1 id=a></h1><script>a.textContent = 'drawn'</script>")
    assert page.get_by_role("heading", name="drawn").is_visible()
    page.screenshot(path=pictures / "drawn.png")
    assert (pictures / "drawn.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<img src='https://example.com/a.png'>", "asks https://example.com/a.png"),
        ("<script>console.error('oh')</script>", "console: oh"),
        ("<script>throw new Error('ah')</script>", "not caught: ah"),
    ],
)
def test_what_must_not_happen_is_noticed(page: Page, trouble: list[str], content: str, said: str) -> None:
    """A request to another host, an error in the console, an exception: each would fail the test."""
    page.set_content(content)
    page.wait_for_load_state("networkidle")
    assert said in trouble
    trouble.clear()
