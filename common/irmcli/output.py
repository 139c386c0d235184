"""What a command prints: tables and colour on a terminal, plain lines elsewhere, or one JSON document.

Results go to standard output, messages to standard error. Control characters in text from outside
(file names, a service's reply) are escaped.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from irmcore.clock import iso
from irmcore.errors import IrmError

from irmcli.exit_codes import known_error

if TYPE_CHECKING:
    from irmcli.log import Log
    from irmcli.terminal import Terminal


def clean(value: object) -> str:
    """``value`` as printable text; every other character is escaped."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def count(number: int, noun: str) -> str:
    """``1 row``, ``2 rows``, ``2 batches``."""
    plural = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def _is_terminal() -> bool:
    """Whether standard output is a terminal; False if it is closed, as in a daemon."""
    if os.environ.get("FORCE_COLOR"):
        return True
    try:
        return sys.stdout is not None and sys.stdout.isatty()
    except ValueError:
        return False


#: The values of JSON documents that are seconds since 1970, and how a document shows them: as ISO 8601.
_TIMES = frozenset(
    (
        *("accepted", "at", "due", "expires", "next_probe", "not_before", "oldest", "proposed_since"),
        *("last_receipt", "last_run", "retention_ran", "retry_at", "since", "upload_ends"),
    )
)


def _with_times(value: Any, key: str = "") -> Any:
    """``value`` with its times as text, at any depth; None for no time."""
    if isinstance(value, Mapping):
        return {name: _with_times(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_times(inner) for inner in value]
    if isinstance(value, float) and key in _TIMES:
        return iso(value) if value else None
    return value


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime.datetime) else str(value)


class Output:
    """The output of one command.

    ``verbosity``: -1 for errors and warnings alone, 1 for details, too. With a ``log``, messages and events
    are its lines, and results are printed as a JSON document or not at all.
    """

    def __init__(self, *, as_json: bool = False, verbosity: int = 0, log: Log | None = None) -> None:
        self.as_json = as_json
        self.verbosity = verbosity
        self.log = log
        self._silent = as_json or verbosity < 0 or log is not None
        self._broken = False
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A file or pipe on Windows has an old code page: what it lacks is escaped, and stops nothing.
            sys.stdout.reconfigure(errors="backslashreplace")
        self._terminal: Terminal | None = None
        if not self._silent and _is_terminal():
            from irmcli.terminal import Terminal  # here: it loads rich, which takes 40 ms

            self._terminal = Terminal()

    @staticmethod
    def of(ctx: click.Context) -> Output:
        """The output of the running command."""
        output: Output = ctx.obj
        return output

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line of the result; nothing in JSON mode, with a log, or if it shall be quiet."""
        if self._silent:
            return
        if (terminal := self._terminal) is not None:
            self._try(lambda: terminal.line(clean(text), style))
        else:
            self._try(lambda: click.echo(clean(text)))

    def _try(self, write: Callable[[], object]) -> None:
        """Write, and ignore a closed pipe or a full disk: neither may stop a delivery."""
        if self._broken:
            return
        try:
            write()
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError:
            self._broken = True
            # Python flushes its buffer again at exit, which must not fail a second time.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def raw(self, data: bytes) -> None:
        """Write bytes unchanged, for files and pipes."""
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table, numbers right-aligned; nothing without rows, and where ``line`` prints nothing."""
        if self._silent or not rows:
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
        """Print the JSON document, with its times as text; nothing in text mode."""
        if self.as_json:
            text = json.dumps(_with_times(document), indent=2, sort_keys=True, default=_plain)
            self._try(lambda: click.echo(text))

    def detail(self, text: str) -> None:
        """Print a detail to standard error, if details are wanted."""
        if self.verbosity > 0 and self.log is not None:
            self.log.write("DEBUG", "detail", clean(text))
        elif self.verbosity > 0:
            click.echo(click.style(clean(text), dim=True), err=True)

    def warn(self, text: str) -> None:
        """Print a warning to standard error."""
        if self.log is not None:
            self.log.write("WARN", "warning", clean(text))
            return
        click.echo(click.style("warning: ", fg="yellow") + clean(text), err=True)

    def event(self, name: str, text: str, style: str = "", *, level: str = "INFO", **fields: Any) -> None:
        """Print a line of the result; with a log, write the event ``name`` and its fields instead."""
        if self.log is None:
            self.line(text, style)
        elif level != "INFO" or self.verbosity >= 0:
            self.log.write(level, name, clean(text), **fields)

    def error(self, error: IrmError) -> None:
        """Print what happened, where, and the next step; in JSON mode, the error as the document."""
        if self.as_json:
            document = {"error": error.what, "where": error.where, "next_step": error.next_step}
            self.document({**document, "kind": type(error).__name__})
        self.partial_error(error)

    def partial_error(self, raised: IrmError | OSError) -> IrmError:
        """Print an error that does not end the command; nothing in JSON mode, where it is in the document."""
        error = known_error(raised)
        if self.log is not None:
            fields = {"where": error.where, "next_step": error.next_step, "error": type(error).__name__}
            self.log.write("ERROR", "failed", clean(error.what), **fields)
        elif not self.as_json:
            where = f"{clean(error.where)}: " if error.where else ""
            click.echo(click.style("error: ", fg="red") + where + clean(error.what) + ".", err=True)
            click.echo(f"  {clean(error.next_step)}", err=True)
        return error

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None] | None]:
        """Show a row counter inside the block on a terminal; yields None elsewhere.

        ``total``: about how many rows there are, for the share that is done and the time that is left.
        """
        if self._terminal is None:
            yield None
            return
        with self._terminal.progress(what, total) as update:
            yield update
