"""The picture of each workbook: drawn on literal tables, readable from a phone to a wide screen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from irmsentinel.content import workbooks
from irmsentinel.kql.engine import Engine

from tests.browser import PICTURES, browser, page, trouble
from tests.sentinel.fixtures import cases, our_content, plain, table_shapes
from tests.sentinel.workbook_page import page as drawn

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["browser", "page", "trouble"]
BOOKS = workbooks.load()
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def engine() -> Iterator[Engine]:
    """The tables of the workbooks' fixtures."""
    with Engine(our_content().local_functions()) as running:
        for file in sorted({case.file for case in cases() if case.file.parent.name == "workbooks"}):
            case = next(case for case in cases() if case.file == file)
            for name, rows in case.tables.items():
                known = table_shapes(our_content().root)[name][""]
                running.insert(known, [{key: plain(value) for key, value in row.items()} for row in rows])
        yield running


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_a_workbook_can_be_read_on_any_screen(
    book: workbooks.Workbook, engine: Engine, page: Page, tmp_path: Path
) -> None:
    """Each title is shown, and only tables scroll sideways."""
    file = tmp_path / f"{book.name}.html"
    file.write_text(drawn(book, engine, NOW, {}), encoding="utf-8")
    folder = Path(os.environ.get(PICTURES, tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        page.set_content(file.read_text(encoding="utf-8"))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=folder / f"workbook-{book.name}-{width}.png", full_page=True)
    text = page.inner_text("body")
    assert book.title in text
    assert "`" not in text
    assert all(f"{tile}\n" in text for tile in ("Open alerts", "Closed") if book.name == "IRMAlerts")
