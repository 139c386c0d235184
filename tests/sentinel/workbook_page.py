"""A workbook as a page, for a look without Azure: its tabs, tiles, charts and grids, filled from tables here.

python -m tests.sentinel.workbook_page TABLES FILE.html [WORKBOOK]

It draws what the workbook's file says: titles, widths, the columns' labels and formats. It is not Microsoft's
renderer: colours and fonts differ, and every tab is shown, one below the other.
"""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from irmsentinel.content import artefacts, workbooks
from irmsentinel.kql import local
from irmsentinel.kql.engine import Engine
from irmsentinel.kql.result import Result, cell

STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 75rem; padding: 1rem }
h1 { font-size: 1.4rem } h2 { border-bottom: 2px solid #0b5cab; color: #0b5cab; font-size: 1.1rem }
section { display: flex; flex-wrap: wrap; gap: 1rem } figure { flex: 1 1 100%; margin: 0; min-width: 0 }
figure.half { flex-basis: 20rem } figcaption { font-weight: 600; margin: .5rem 0 }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: left; white-space: nowrap }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem }
.tile { border: 1px solid #bbb; border-radius: 4px; flex: 1 1 8rem; padding: .6rem }
.tile b { display: block; font-size: 1.6rem }
.bar { background: #0b5cab; display: inline-block; height: .7em }
.icon { border-radius: 50%; display: inline-block; height: .7em; margin-right: .4em; width: .7em }
"""
ICONS = {
    "Sev0": "#b00020", "failed": "#b00020", "Sev1": "#c85a00", "warning": "#c85a00", "Sev2": "#a68a00",
    "pending": "#a68a00", "success": "#1f7a1f", "Sev3": "#4a6fa5", "info": "#4a6fa5",
}  # fmt: skip
ICON, BAR, HEATMAP, LINK = 18, 4, 8, 7


def page(book: workbooks.Workbook, engine: Engine, now: datetime, values: Mapping[str, str]) -> str:
    """The workbook as HTML; ``values`` of its placeholders."""
    document = json.loads(book.text)
    shown = "".join(_items(document["items"], engine, now, values))
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{book.title}</title>"
    return f"<!doctype html><html lang=en><head>{head}<style>{STYLE}</style></head><body><section>{shown}"


def _items(
    items: list[dict[str, Any]], engine: Engine, now: datetime, values: Mapping[str, str]
) -> Iterator[str]:
    for item in items:
        made = item["content"]
        if item["type"] == 1:
            title, _, about = made["json"].partition("\n")
            mark = "h1" if title.startswith("# ") else "p"
            # Workbooks show Markdown (learn.microsoft.com/azure/azure-monitor/visualize/workbooks-text).
            text = f"<{mark}>{html.escape(title.lstrip('# '))}</{mark}>{html.escape(about)}"
            yield "<figure>" + re.sub("`([^`]+)`", r"<code>\1</code>", text) + "</figure>"
        elif item["type"] == 12:
            inner = "".join(_items(made["items"], engine, now, values))
            tab = html.escape(item["name"].removeprefix("tab "))
            yield f"<figure><h2>{tab}</h2><section>{inner}</section></figure>"
        elif item["type"] == 3:
            result = engine.run(workbooks.filled(made["query"], values), now=now)
            half = " class=half" if item.get("customWidth") else ""
            yield f"<figure{half}><figcaption>{html.escape(made['title'])}</figcaption>{_drawn(made, result)}"
            yield "</figure>"


def _drawn(made: dict[str, Any], result: Result) -> str:
    if not result.rows:
        return html.escape(made["noDataMessage"])
    if made["visualization"] == "tiles":
        tiles = "".join(f"<div class=tile>{title}<b>{value}</b></div>" for title, value in result.rows)
        return f"<div class=tiles>{tiles}</div>"
    return _grid(made, result)


def _grid(made: dict[str, Any], result: Result) -> str:
    """A table; a chart is one whose numbers are bars."""
    settings = made.get("gridSettings", {})
    labels = {each["columnId"]: each["label"] for each in settings.get("labelSettings", ())}
    formats = {each["columnMatch"]: each for each in settings.get("formatters", ())}
    columns = [column.name for column in result.columns]
    if made["visualization"] != "table":
        formats |= {name: {"formatter": BAR} for name in columns[-1:]}
    most = {
        name: max((row[i] for row in result.rows if isinstance(row[i], int | float)), default=0)
        for i, name in enumerate(columns)
    }
    head = "".join(f"<th>{html.escape(labels.get(name, name))}</th>" for name in columns)
    body = ""
    for row in result.rows:
        cells = (
            _cell(cell(value, column.type), formats.get(column.name, {}), most[column.name])
            for value, column in zip(row, result.columns, strict=True)
        )
        body += f"<tr>{''.join(f'<td>{text}</td>' for text in cells)}</tr>"
    return f"<div class=scroll><table><tr>{head}</tr>{body}</table></div>"


def _cell(value: Any, how: Mapping[str, Any], most: float) -> str:
    text = html.escape("" if value is None else str(value).removesuffix(".000000Z"))
    kind = how.get("formatter")
    if kind == ICON:
        grid = how["formatOptions"]["thresholdsGrid"]
        found = next((each for each in grid if each["thresholdValue"] == str(value)), grid[-1])
        colour = ICONS.get(found["representation"], "#777")
        return f"<span class=icon style='background:{colour}'></span>{text}"
    if kind in (BAR, HEATMAP) and isinstance(value, int | float) and most:
        return f"<span class=bar style='width:{5 * value / most:.2f}rem'></span> {text}"
    if kind == LINK:
        return "Open" if text else ""
    return text


def main() -> None:
    """Write a page."""
    tables, file, *name = sys.argv[1:]
    loaded = artefacts.load()
    engine, now = local.open_folder(loaded, Path(tables))
    (book,) = [book for book in workbooks.load() if book.name == (name or ["IRMAlerts"])[0]]
    Path(file).write_text(page(book, engine, now, {}), encoding="utf-8")


if __name__ == "__main__":
    main()
