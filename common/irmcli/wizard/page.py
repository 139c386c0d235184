"""Format sections as Markdown and as one printable HTML page. Values are escaped in both."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from irmcli import html_page

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { border: 1px solid #8888; padding: .35rem .6rem; text-align: left; vertical-align: top; }
code, pre { font: .92em ui-monospace, monospace; background: #8882; border-radius: .2rem; }
code { padding: .1rem .25rem; overflow-wrap: anywhere; }
pre { padding: .8rem; overflow-x: auto; white-space: pre-wrap; }
@media print {
  body { font-size: 11pt; margin: 0; max-width: none; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
}
"""


@dataclass(frozen=True)
class Text:
    """A paragraph. In it and in ``Points``, what stands between two backticks is code."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list, ``numbered`` if its order matters."""

    items: Sequence[str]
    numbered: bool = False


@dataclass(frozen=True)
class Table:
    """A table. Column ``values`` (from 0) holds literal values to type or choose."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    values: int = 1


@dataclass(frozen=True)
class Commands:
    """Lines for a shell."""

    text: str


Block = Text | Points | Table | Commands


@dataclass(frozen=True)
class Section:
    """A heading and its content."""

    title: str
    blocks: Sequence[Block]


def markdown(title: str, sections: Sequence[Section]) -> str:
    """The document as Markdown."""
    parts = [f"# {_plain(title)}"]
    for section in sections:
        parts.append(f"## {_plain(section.title)}")
        parts += map(_markdown_block, section.blocks)
    return "\n\n".join(parts) + "\n"


def _markdown_block(block: Block) -> str:
    if isinstance(block, Text):
        return _prose(block.text, _plain, _code)
    if isinstance(block, Points):
        marks = (f"{n}." if block.numbered else "-" for n in range(1, len(block.items) + 1))
        return "\n".join(
            f"{mark} {_prose(item, _plain, _code)}" for mark, item in zip(marks, block.items, strict=True)
        )
    if isinstance(block, Commands):
        return f"```\n{block.text}\n```"
    lines = ["| " + " | ".join(map(_plain, block.columns)) + " |", "|" + "---|" * len(block.columns)]
    for row in block.rows:
        cells = (_code(c) if i == block.values else _plain(c) for i, c in enumerate(row))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _prose(text: str, plain: Callable[[str], str], code: Callable[[str], str]) -> str:
    parts = re.split("`([^`]+)`", text)
    return "".join(code(part) if i % 2 else plain(part) for i, part in enumerate(parts))


def _html_code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>"


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", _one_line(text))


def _code(text: str) -> str:
    if not text:
        return ""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    space = " " if "`" in text else ""
    return f"{fence}{space}{_one_line(text).replace('|', chr(92) + '|')}{space}{fence}"


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))


def page(title: str, sections: Sequence[Section]) -> str:
    """The document as one self-contained HTML page."""
    body = [f"<h1>{html.escape(title)}</h1>"]
    for section in sections:
        body.append(f"<h2>{html.escape(section.title)}</h2>")
        body += map(_html_block, section.blocks)
    return html_page.document(title, _STYLE, "\n".join(body))


def _html_block(block: Block) -> str:
    if isinstance(block, Text):
        return f"<p>{_prose(block.text, html.escape, _html_code)}</p>"
    if isinstance(block, Points):
        tag = "ol" if block.numbered else "ul"
        items = "".join(f"<li>{_prose(item, html.escape, _html_code)}</li>" for item in block.items)
        return f"<{tag}>{items}</{tag}>"
    if isinstance(block, Commands):
        return f"<pre>{html.escape(block.text)}</pre>"
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in block.columns)
    rows = []
    for row in block.rows:
        cells = (
            _html_code(cell) if i == block.values and cell else html.escape(cell)
            for i, cell in enumerate(row)
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"
