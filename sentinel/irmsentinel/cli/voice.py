"""How the command line lets its subcommands speak; the command line has the real one (irmcli.output)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import click
from irmcore.http.credentials import Credential
from irmcore.outbox import Origin
from irmcore.profile.model import CredentialRef


class Voice(Protocol):
    """Results on standard output: lines and tables, or one JSON document."""

    def line(self, text: str = "", style: str = "") -> None: ...

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None: ...

    def document(self, document: Mapping[str, Any] | Sequence[Any]) -> None: ...

    def warn(self, text: str) -> None: ...


class Surroundings(Protocol):
    """What the command line takes from its surroundings (irmcli.settings has the real one)."""

    def credential(self, place: CredentialRef) -> Credential: ...

    def outbox_ready(self) -> str: ...

    def origin(self, details: Mapping[str, str]) -> Origin: ...


def surroundings(ctx: click.Context) -> Surroundings:
    """The surroundings of the command that runs."""
    found: Surroundings = ctx.meta["irmexport.settings"]
    return found


def of(ctx: click.Context) -> Voice:
    """The voice of the command that runs."""
    voice: Voice = ctx.obj
    return voice
