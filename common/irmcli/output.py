"""How the command line speaks: tables and colour on a terminal, plain lines elsewhere, or one JSON document.

Texts that come from outside (file names, a service's reply) are shown without control characters.
Messages go to standard error, results to standard output.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from irmcore.errors import IrmError

if TYPE_CHECKING:
    from irmcli.terminal import Terminal


def clean(value: object) -> str:
    """``value`` as text of printable characters; what would move a terminal's cursor is escaped."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def count(number: int, noun: str) -> str:
    """``1 row``, ``2 rows``, ``2 batches``."""
    plural = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def _is_terminal() -> bool:
    """Whether a person reads the output; a daemon may have closed it."""
    if os.environ.get("FORCE_COLOR"):
        return True
    try:
        return sys.stdout is not None and sys.stdout.isatty()
    except ValueError:
        return False


class Output:
    """The output of one command."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._broken = False
        self._terminal: Terminal | None = None
        if not as_json and _is_terminal():
            from irmcli.terminal import Terminal  # here: it loads rich, which takes 40 ms

            self._terminal = Terminal()

    @staticmethod
    def of(ctx: click.Context) -> Output:
        output: Output = ctx.obj
        return output

    def line(self, text: str = "", style: str = "") -> None:
        """A line of the result; none in JSON mode."""
        if self.as_json:
            return
        if (terminal := self._terminal) is not None:
            self._try(lambda: terminal.line(clean(text), style))
        else:
            self._try(lambda: click.echo(clean(text)))

    def _try(self, write: Callable[[], object]) -> None:
        """Write, unless the reader has gone or its disk is full: that must not stop a delivery."""
        if self._broken:
            return
        try:
            write()
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError:
            self._broken = True
            # What Python still has in its buffer must not fail again at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def raw(self, data: bytes) -> None:
        """Bytes as they are, for files and pipes."""
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table; columns whose cells are all numbers stand to the right."""
        if self.as_json or not rows:
            return
        cells = [[clean(cell) for cell in row] for row in rows]
        numeric = [all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(columns))]
        if (terminal := self._terminal) is not None:
            self._try(lambda: terminal.table(title, columns, cells, numeric))
            return
        self.line(title)
        widths = [max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns))]
        for row in [list(columns), *cells]:
            padded = (
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, numeric, strict=True)
            )
            self.line("  " + "  ".join(padded).rstrip())

    def document(self, document: Mapping[str, Any] | Sequence[Any]) -> None:
        """The JSON document; nothing in text mode."""
        if self.as_json:
            text = json.dumps(document, indent=2, sort_keys=True, default=str)
            self._try(lambda: click.echo(text))

    def warn(self, text: str) -> None:
        """A message that is not part of the result."""
        click.echo(click.style("warning: ", fg="yellow") + clean(text), err=True)

    def error(self, error: IrmError) -> None:
        """What happened, where, and the next step."""
        if self.as_json:
            document = {"error": error.what, "where": error.where, "next_step": error.next_step}
            self.document({**document, "kind": type(error).__name__})
            return
        place = f"{clean(error.where)}: " if error.where else ""
        click.echo(click.style("error: ", fg="red") + place + clean(error.what) + ".", err=True)
        click.echo(f"  {clean(error.next_step)}", err=True)

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[int], None] | None]:
        """A counter of rows on a terminal; nothing elsewhere."""
        if self._terminal is None:
            yield None
            return
        with self._terminal.progress(what) as told:
            yield told
