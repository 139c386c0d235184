"""What an export needs of the command line it joins: profiles, a connector's outbox, and a delivery."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import click
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Outbox
from irmcore.shaping.readers import Table


class Way(Protocol):
    """The way of rows into one connector."""

    @property
    def outbox(self) -> Outbox:
        """The connector's outbox; it may not exist yet."""

    def prepare(self) -> None:
        """Make the outbox. Raises ConfigurationError for settings that cannot work."""

    def accept(self, table: Table, *, name: str, details: Mapping[str, str]) -> RunResult:
        """Shape rows and keep them durably. Raises IrmError: then nothing of them was accepted."""

    def dry_run(self, table: Table, *, name: str) -> RunResult:
        """The same, writing nothing."""

    def show(self, done: RunResult, *, dry: bool) -> None:
        """Tell what became of the rows."""

    def drain(self) -> int:
        """Send what waits and tell it; the exit code that it means."""


class Host(Protocol):
    """The command line."""

    @property
    def configuration(self) -> Path:
        """The folder of the user's own configuration."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Where a secret may be."""

    def outbox(self) -> Path:
        """The folder of all outboxes, made if need be. Raises ConfigurationError."""

    def way(self, profile: str, emulator: str | None) -> Way:
        """The way by a profile, to Microsoft or to the local stand-in. Raises ConfigurationError."""

    def tell(self, trouble: Exception) -> int:
        """Show an IrmError or OSError that does not end the command; the exit code that it means."""

    def code_of_rows(self, refused: int) -> int:
        """The exit code of rows that were accepted, of which so many were refused."""

    def worst(self, codes: list[int]) -> int:
        """The exit code of several outcomes together."""


def of(ctx: click.Context) -> Host:
    """The host of the command that runs."""
    host: Host = ctx.meta["irmexport.host"](ctx)
    return host
