"""`irmexport sentinel …`: the subcommands that join the command line through its entry point."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import click
from irmcore.errors import ConfigurationError

from irmsentinel.cli import collect as collect_command
from irmsentinel.cli import export as export_commands
from irmsentinel.cli import extra, voice
from irmsentinel.cli import host as hosts
from irmsentinel.content import aggregations, rules, samples
from irmsentinel.content import artefacts as content
from irmsentinel.kql import calls
from irmsentinel.kql.result import Result, cell
from irmsentinel.packaging import arm, arm_collection

_A_WORKSPACE = "00000000-0000-0000-0000-00000000c0de"
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group("sentinel")
def command() -> None:
    """Microsoft Sentinel: exports to the connector, the collector of IRM alerts, queries, functions."""


for _command in (*export_commands.COMMANDS, *collect_command.COMMANDS):
    command.add_command(_command)


@command.command("list")
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List the functions, queries and rules."""
    output, loaded = voice.of(ctx), rules.with_rules(content.load())
    rows = [(a.name, a.signature if a.is_function else "(a query)", a.summary) for a in loaded.artefacts]
    for name, signature, summary in rows:
        output.line(f"{name}({signature})" if signature != "(a query)" else name, "bold")
        output.line(f"  {summary}")
    output.document([{"name": n, "parameters": s, "summary": about} for n, s, about in rows])


@command.command("samples")
@click.argument("directory", type=_FOLDER)
@click.option("--seed", default=1, show_default=True, help="The same seed, the same rows.")
@click.option("--people", default=50, show_default=True, help="People without alerts around the story.")
@click.pass_context
def samples_(ctx: click.Context, directory: Path, seed: int, people: int) -> None:
    """Write made-up sample tables into DIRECTORY, for `query --local`."""
    output = voice.of(ctx)
    written = samples.write(content.root(), directory, seed=seed, people=people)
    output.table("Made-up tables", ("table", "rows"), list(written.items()))
    output.line(f"Next: irmexport sentinel query IRMAlerts --local {directory}")
    output.document(written)


@command.command("query")
@click.argument("name")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="starttime=ago(7d); repeatable.")
@click.option("--local", "folder", type=_FOLDER, help="Run on this machine, on the folder's TABLE.jsonl.")
@click.option(
    "--workspace", help="Run on this Log Analytics workspace (its id); the functions must be there."
)
@click.option("--cloud", default="public", show_default=True, help="public, us-government or china.")
@click.option("--emulator", type=_FOLDER, help="Use the local emulator of the query API with this directory.")
@click.option("--timespan", help="How far back a query looks, at most.  [default: its own, or 14d]")
@click.option("--columns", help="Only these columns, separated by commas.")
@click.pass_context
def query(
    ctx: click.Context,
    *,
    name: str,
    params: tuple[str, ...],
    folder: Path | None,
    workspace: str | None,
    cloud: str,
    emulator: Path | None,
    timespan: str | None,
    columns: str | None,
) -> None:
    """Run the query or function NAME and print its table."""
    if sum(map(bool, (folder, workspace, emulator))) != 1:
        raise click.UsageError("Say where: --local DIR, --workspace ID or --emulator DIR.")
    loaded = rules.with_rules(content.load())
    asked = loaded.named(name)
    if timespan and asked.is_function:
        raise click.UsageError("--timespan is for queries; a function has --param starttime=… and endtime=….")
    kql = calls.text(asked, _values(params))
    # A rule says itself how far it looks back; a query as published does not.
    bounded = asked.is_function or asked.path.suffix == ".yaml"
    span = calls.span(timespan or "14d") if timespan or not bounded else None
    if folder:
        with extra.needed():
            from irmsentinel.kql import local
        engine, now = local.open_folder(loaded, folder, asked)
        with engine:
            result = engine.run(kql, now=now, within=(now - span, now) if span else None)
    else:
        with extra.needed():
            from irmsentinel.export import sources
        there = sources.remote(workspace, cloud, emulator, hosts.of(ctx).environment)
        result = there.query(kql, timespan=span)
    show(voice.of(ctx), name, chosen(in_order(result), columns))


@command.command("emulator")
@click.option("--directory", type=_FOLDER, default=Path("irmexport-log-analytics"), show_default=True)
@click.option("--local", "folder", type=_FOLDER, required=True, help="The folder of tables that it queries.")
@click.option("--port", default=0, help="0: any free port.")
@click.option(
    "--lifetime",
    type=click.FloatRange(min=0, min_open=True, max=7 * 86_400),
    default=3600.0,
    show_default=True,
    help="Seconds after which it stops.",
)
@click.pass_context
def emulator_(ctx: click.Context, directory: Path, folder: Path, port: int, lifetime: float) -> None:
    """Run a local emulator of the Log Analytics query API over HTTPS, on this machine only."""
    with extra.needed():
        from irmsentinel.emulators.query_api import Options, QueryApiEmulator
        from irmsentinel.kql import local
    output = voice.of(ctx)
    engine, now = local.open_folder(content.load(), folder)
    options = Options(_A_WORKSPACE, now)
    with engine, QueryApiEmulator(engine, options, directory, port=port, lifetime=lifetime) as running:
        running.announce()
        output.line(f"An emulator of the Log Analytics query API, not Microsoft's service: {running.url}/v1")
        output.line(f"  irmexport sentinel query IRMAlerts --emulator {directory}")
        output.line(f"It stops after {lifetime:,.0f} s, or when you press Ctrl-C.")
        with contextlib.suppress(KeyboardInterrupt):
            running.wait()


@command.command("template")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
@click.option(
    "--summary-rules", is_flag=True, help="The summary rules for sources too large to export, instead."
)
@click.option("--collection", is_flag=True, help="The collector's tables and data collection rules instead.")
@click.pass_context
def template(ctx: click.Context, *, file: Path, summary_rules: bool, collection: bool) -> None:
    """Write the ARM template that deploys the functions to FILE (- for standard output)."""
    if summary_rules and collection:
        raise click.UsageError("Choose one of --summary-rules and --collection.")
    if summary_rules:
        document = arm.summary_rules(aggregations.summary_rules().values())
    else:
        made = arm_collection.template if collection else arm.template
        document = made(content.load())
    text = json.dumps(document, indent=2) + "\n"
    if str(file) == "-":
        click.echo(text, nl=False)
        return
    file.write_text(text, encoding="utf-8")
    voice.of(ctx).line(f"az deployment group create -g GROUP -f {file} -p workspace=NAME")


def in_order(result: Result) -> Result:
    """The rows by TimeGenerated, where there is one: a function gives them in no order."""
    at = next((i for i, column in enumerate(result.columns) if column.name == "TimeGenerated"), None)
    if at is None:
        return result
    return Result(
        result.columns, tuple(sorted(result.rows, key=lambda row: (str(row[at]).rstrip("Z"), repr(row))))
    )


def chosen(result: Result, columns: str | None) -> Result:
    """Only these columns, in this order. Raises ConfigurationError for an unknown one."""
    if columns is None:
        return result
    at = {column.name: i for i, column in enumerate(result.columns)}
    names = [name.strip() for name in columns.split(",")]
    for name in names:
        if name not in at:
            raise ConfigurationError(
                f"the result has no column `{name}`", where="--columns", next_step=f"It has: {', '.join(at)}."
            )
    picked = [at[name] for name in names]
    kept = tuple(result.columns[i] for i in picked)
    return Result(kept, tuple(tuple(row[i] for i in picked) for row in result.rows))


def show(output: voice.Voice, title: str, result: Result) -> None:
    """A result as a table, or as JSON objects."""
    names = [column.name for column in result.columns]
    kinds = [column.type for column in result.columns]
    rows: list[list[Any]] = [list(map(cell, row, kinds)) for row in result.rows]
    output.table(
        f"{title}: {len(rows):,} rows", names, [["" if c is None else c for c in row] for row in rows]
    )
    if not rows:
        output.line(f"{title}: no rows")
    output.document([dict(zip(names, row, strict=True)) for row in rows])


def _values(params: tuple[str, ...]) -> dict[str, str]:
    pairs = [param.partition("=") for param in params]
    if not all(equals for _, equals, _ in pairs):
        raise click.UsageError("Write --param NAME=VALUE.")
    return {name: value for name, _, value in pairs}
