"""The page as Markdown, and as one printable HTML page that markdown-it makes of it.

Each function but ``page`` makes Markdown, in which no text that it is given becomes markup. In a sentence,
what stands between two backticks is code.
"""

import re
from collections.abc import Sequence

from irmcli import html_page

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { border: 1px solid #8888; padding: .35rem .6rem; text-align: left; vertical-align: top; }
code, pre { font: .92em ui-monospace, monospace; background: #8882; border-radius: .2rem; }
code { padding: .1rem .25rem; overflow-wrap: anywhere; }
pre { padding: .8rem; overflow-x: auto; white-space: pre-wrap; }
pre code { padding: 0; background: none; }
@media print {
  body { font-size: 11pt; margin: 0; max-width: none; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
}
"""


def page(title: str, markdown: str) -> str:
    """The document as one self-contained HTML page."""
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False}).enable("table")
    return html_page.document(title, _STYLE, made.render(markdown))


def document(title: str, sections: Sequence[str]) -> str:
    """The document."""
    return "\n\n".join([f"# {_plain(title)}", *sections]) + "\n"


def section(title: str, *blocks: str) -> str:
    """A heading and its content."""
    return "\n\n".join([f"## {_plain(title)}", *blocks])


def text(sentences: str) -> str:
    """A paragraph, or an item of a list."""
    parts = re.split("`([^`]+)`", sentences)
    return "".join(_code(part) if i % 2 else _plain(part) for i, part in enumerate(parts))


def points(*items: str) -> str:
    """A list."""
    return "\n".join(f"- {text(item)}" for item in items)


def steps(*items: str) -> str:
    """A list whose order matters."""
    return "\n".join(f"{number}. {text(item)}" for number, item in enumerate(items, 1))


def commands(lines: str) -> str:
    """Lines for a shell."""
    return f"```\n{lines}\n```"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, values: int = 1) -> str:
    """A table. Column ``values`` (from 0) holds literal values to type or choose."""
    cells = [[_code(cell) if i == values else _plain(cell) for i, cell in enumerate(row)] for row in rows]
    lines = [" | ".join(row) for row in [list(map(_plain, columns)), ["---"] * len(columns), *cells]]
    return "\n".join(f"| {line} |" for line in lines)


def _plain(words: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", _one_line(words))


def _code(words: str) -> str:
    if not words:
        return ""
    fence = "`" * (max(map(len, re.findall("`+", words)), default=0) + 1)
    space = " " if "`" in words else ""
    return f"{fence}{space}{_one_line(words).replace('|', chr(92) + '|')}{space}{fence}"


def _one_line(words: str) -> str:
    return " ".join(words.split("\n"))
