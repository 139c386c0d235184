"""Output on a terminal: colour, drawn tables, a row counter. Imported only there: rich takes 40 ms."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text


class Terminal:
    """Standard output on a terminal. Every text it gets is printable already."""

    def __init__(self) -> None:
        self._lines = Console(highlight=False, soft_wrap=True)

    def line(self, text: str, style: str) -> None:
        self._lines.print(Text(text, style=style))

    def table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]
    ) -> None:
        """Draw a table. ``right`` says which columns are right-aligned."""
        table = Table(title=Text(title, style="bold"), title_justify="left")
        for name, to_right in zip(columns, right, strict=True):
            table.add_column(name, justify="right" if to_right else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        Console(highlight=False).print(table)

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Show a row counter inside the block; call the yielded function with the number of rows.

        With ``total``, about how many there are, it shows a percentage and the time that is left.
        """
        columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn()]
        if total is not None:
            columns += [TextColumn("{task.percentage:3.0f} %"), TextColumn("ETA"), TimeRemainingColumn()]
        columns += [TextColumn("{task.completed:,} rows"), TimeElapsedColumn()]
        # No refresh thread: worker processes are started only from a process with a single thread.
        with Progress(*columns, transient=True, auto_refresh=False) as bar:
            task = bar.add_task(what, total=total)
            yield lambda rows: bar.update(
                task, completed=rows, total=total and max(total, rows), refresh=True
            )
