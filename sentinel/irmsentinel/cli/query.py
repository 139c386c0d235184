"""`irmexport sentinel query`, `samples` and `emulator`: run a query, locally or on a workspace."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click
from irmcli import options as shared
from irmcli.extras import sentinel_extra
from irmcli.output import Output
from irmcli.settings import Settings

from irmsentinel.cli import options
from irmsentinel.cli.options import FOLDER
from irmsentinel.cli.result_output import select_columns, show_result, sorted_by_time
from irmsentinel.content import artefacts, rules, samples
from irmsentinel.kql import calls

_EMULATED_WORKSPACE = "00000000-0000-0000-0000-00000000c0de"


@click.command("samples")
@click.argument("directory", type=FOLDER)
@click.option("--seed", default=1, show_default=True, help="Seed; the same one gives the same rows.")
@click.option("--people", default=50, show_default=True, help="Number of people without alerts to add.")
@click.pass_context
def samples_(ctx: click.Context, directory: Path, seed: int, people: int) -> None:
    """Write made-up tables for `query --local` to DIRECTORY.

    Example: irmexport sentinel samples tables
    """
    output = Output.of(ctx)
    written = samples.write(artefacts.root(), directory, seed=seed, people=people)
    output.table("Made-up tables", ("table", "rows"), list(written.items()))
    output.line(f"Next: irmexport sentinel query IRMAlerts --local {directory}")
    output.document(written)


@click.command("query")
@click.argument("name")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="Parameter, as starttime=ago(7d); repeatable.",
)
@click.option(
    "--local", "folder", type=FOLDER, help="Run on this machine, on the TABLE.jsonl files in a directory."
)
@click.option(
    "--workspace",
    help="Run on the Log Analytics workspace with this ID; the functions must be deployed there.",
)
@options.cloud
@click.option(
    "--emulator", type=FOLDER, help="Run on the emulator of the query API that runs with this directory."
)
@click.option("--timespan", help="Maximum look-back of the query.  [default: its own, or 14d]")
@click.option("--columns", help="Columns to print, separated by commas.")
@options.content
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
    own: Path | None,
) -> None:
    """Run the query or function NAME and print its rows.

    Example: irmexport sentinel query IRMAlerts --workspace ID --param starttime=ago(7d)
    """
    if sum(map(bool, (folder, workspace, emulator))) != 1:
        raise click.UsageError("Choose one source: --local DIR, --workspace ID or --emulator DIR.")
    loaded = rules.with_rules(artefacts.load(own=own))
    artefact = loaded.named(name)
    if timespan and artefact.is_function:
        raise click.UsageError("--timespan is for queries; a function has --param starttime=… and endtime=….")
    kql = calls.text(artefact, _values(params))
    # A rule sets its own time range; a published query does not.
    bounded = artefact.is_function or artefact.path.suffix == ".yaml"
    span = calls.span(timespan or "14d") if timespan or not bounded else None
    if folder:
        with sentinel_extra():
            from irmsentinel.kql import local
        engine, now = local.open_folder(loaded, folder, artefact)
        with engine:
            within = (now - span, now) if span else None
            result = engine.run(kql, now=now, within=within, artefact=artefact)
    else:
        with sentinel_extra():
            from irmsentinel.export import sources
        source = sources.remote(workspace, cloud, emulator, Settings.of(ctx).environment)
        result = source.query(kql, timespan=span)
    show_result(Output.of(ctx), name, select_columns(sorted_by_time(result), columns))


def _values(params: tuple[str, ...]) -> dict[str, str]:
    pairs = [param.partition("=") for param in params]
    if not all(equals for _, equals, _ in pairs):
        raise click.UsageError("Write a parameter as --param NAME=VALUE.")
    return {name: value for name, _, value in pairs}


@click.command("emulator")
@shared.local_emulator("irmexport-log-analytics", "Directory for its address and its CA.", 0)
@click.option(
    "--local", "folder", type=FOLDER, required=True, help="Directory with the TABLE.jsonl files to serve."
)
@options.content
@click.pass_context
def emulator_(
    ctx: click.Context, *, directory: Path, folder: Path, port: int, lifetime: float, own: Path | None
) -> None:
    """Run a local emulator of the Log Analytics query API.

    It serves HTTPS on this machine only.

    Example: irmexport sentinel emulator --local tables
    """
    with sentinel_extra():
        from irmsentinel.emulators.query_api import Options, QueryApiEmulator
        from irmsentinel.kql import local
    output = Output.of(ctx)
    engine, now = local.open_folder(artefacts.load(own=own), folder)
    settings = Options(_EMULATED_WORKSPACE, now)
    with engine, QueryApiEmulator(engine, settings, directory, port=port, lifetime=lifetime) as running:
        running.announce()
        output.line(f"An emulator of the Log Analytics query API, not Microsoft's service: {running.url}/v1")
        output.line(f"  irmexport sentinel query IRMAlerts --emulator {directory}")
        output.line(f"It stops after {lifetime:,.0f} s, or when you press Ctrl-C.")
        with contextlib.suppress(KeyboardInterrupt):
            running.wait()
