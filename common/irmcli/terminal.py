"""A person's terminal: colour, drawn tables, a counter of rows. Loaded only where there is one (40 ms)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text


class Terminal:
    """Standard output, where a person reads it; what it is given is printable already."""

    def __init__(self) -> None:
        self._lines = Console(highlight=False, soft_wrap=True)

    def line(self, text: str, style: str) -> None:
        self._lines.print(Text(text, style=style))

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]
    ) -> None:
        """A table; ``right``: which columns stand to the right."""
        table = Table(title=Text(title, style="bold"), title_justify="left")
        for name, to_right in zip(columns, right, strict=True):
            table.add_column(name, justify="right" if to_right else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        Console(highlight=False).print(table)

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[int], None]]:
        """A counter of rows while the block runs."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,} rows"),
        )
        # Drawn when told, not by a thread of its own: only a process of one thread is helped by others.
        with Progress(*columns, TimeElapsedColumn(), transient=True, auto_refresh=False) as bar:
            task = bar.add_task(what, total=None)
            yield lambda rows: bar.update(task, completed=rows, refresh=True)
