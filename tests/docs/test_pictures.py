"""The pictures of docs/ can be read: no text lies on another one, on a line or beyond the picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.growth import picture
from tests.browser import texts_in_trouble

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]


@pytest.mark.needs("chromium")
def test_the_picture_of_the_costs_can_be_read(page: Page) -> None:
    """Neither the picture of docs/ nor one of other figures has a text that collides."""
    steep = {
        "irmexport": (60.0, 9.0, 6.5, 6.4),
        "csv.reader → csv.writer": (59.0, 0.4, 0.3, 0.3),
        "memory, MiB": (31.0, 900.0, 33.0, 1200.0),
    }
    for drawing in ((ROOT / "docs" / "performance.svg").read_text("utf-8"), picture(steep, "a machine")):
        page.set_content(f'<body style="margin: 0; width: 640px">{drawing}</body>')
        assert page.locator("svg text").count() == 25
        assert texts_in_trouble(page) == []
