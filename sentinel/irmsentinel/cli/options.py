"""Options that several `irmexport sentinel` commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from irmsentinel.content import aggregations

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


def workspace_ids(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Click callback: workspace IDs in lower case, so that each has one cursor however it is typed."""
    for value in values:
        if not re.fullmatch(aggregations.GUID, value):
            raise click.BadParameter("a workspace's ID is a GUID, not its name")
    return tuple(dict.fromkeys(value.lower() for value in values))


def utc_time(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Click callback: an ISO 8601 time with its UTC offset."""
    if value is None:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise click.BadParameter("write it as 2026-11-20T00:00:00Z")
    return parsed.astimezone(UTC)


def write_or_print(file: Path, text: str) -> bool:
    """Write to a file, or to standard output if it is -; returns whether there is a file."""
    if str(file) == "-":
        click.echo(text, nl=False)
    else:
        file.write_text(text, encoding="utf-8")
    return str(file) != "-"


template_file: Decorator = click.argument(
    "file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True)
)
content: Decorator = click.option(
    "--content",
    "own",
    type=FOLDER,
    envvar="IRMEXPORT_CONTENT",
    help="Folder with queries of your own, which are added to those of irmexport.  [IRMEXPORT_CONTENT]",
)
cloud: Decorator = click.option(
    "--cloud", default="public", show_default=True, help="Azure cloud: public, us-government or china."
)
query_emulator: Decorator = click.option(
    "--query-emulator",
    type=FOLDER,
    help="Read from the local emulator of the query API with this directory.",
)
connector_emulator: Decorator = click.option(
    "--emulator",
    type=click.Path(file_okay=False),
    help="Use the local emulator of the connector with this directory.",
)
queue_only: Decorator = click.option(
    "--queue-only", is_flag=True, help="Store the batches; a later drain sends them."
)
config: Decorator = click.option(
    "--config",
    type=FILE,
    envvar="IRMEXPORT_SENTINEL",
    help="File that lists the exports.  [IRMEXPORT_SENTINEL]",
)
health: Decorator = click.option(
    "--health",
    type=FILE,
    help="Report to IRMExportHealth_CL, with the identity and rule of this collector settings file.",
)
health_emulator: Decorator = click.option(
    "--health-emulator",
    type=FOLDER,
    help="Report to the emulator of `sentinel collector-emulator` with this directory.",
)
collector_settings: Decorator = click.option(
    "-s",
    "--settings",
    "file",
    default="collector.yaml",
    show_default=True,
    help="Settings of the collector; `irmexport sentinel settings` prints a template.",
)
collector_emulator: Decorator = click.option(
    "--emulator",
    type=FOLDER,
    help="Use the local emulator with this directory instead of Microsoft's services.",
)
