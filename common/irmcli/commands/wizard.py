"""`irmexport wizard`: the sample file, and a page with every value that Microsoft's wizard asks for."""

from __future__ import annotations

from pathlib import Path

import click
from irmcore.clock import SystemClock, iso
from irmcore.errors import ConfigurationError
from irmcore.profile.model import PLACEHOLDER

from irmcli import options
from irmcli.emulator.connection import connection_to
from irmcli.output import Output, count
from irmcli.session import indicator_delay
from irmcli.session.connector_session import ConnectorSession
from irmcli.settings import Settings
from irmcli.timestamps import parse_timestamp

_TITLE = "Insider Risk Indicators: what to choose in the wizard"


@click.command("wizard")
@click.argument("names", nargs=-1, required=True, metavar="PROFILE...")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("wizard"),
    show_default=True,
    help="Where the page and the sample files are put; nothing there is replaced.",
)
@click.option(
    "--changed",
    metavar="MOMENT",
    help="Only remember that indicators or policies were changed then: 0m, 2h, 2026-11-22T08:00Z.",
)
@options.emulator
@click.pass_context
def command(
    ctx: click.Context,
    *,
    names: tuple[str, ...],
    directory: Path,
    changed: str | None,
    emulator_dir: str | None,
) -> None:
    """Write a sample file, and a page (HTML, Markdown) with every value to choose in Microsoft's wizard.

    With --changed: remember when custom indicators or policies were changed; uploads warn for 24 hours.
    """
    if changed is not None:
        _remember(ctx, names, changed, emulator_dir)
        return
    from irmcli.wizard import connectors, page, sample, steps

    output, settings = Output.of(ctx), Settings.of(ctx)
    chosen = {name: settings.profile(name) for name in names}
    files = {profile.name: name for name, profile in chosen.items()}
    if len(files) < len(chosen):
        raise ConfigurationError(
            "two of these profiles have the same `name`",
            where=", ".join(chosen),
            next_step="Give each its own: it names the connector and its sample file.",
        )
    found = connectors.needed(list(chosen.values()))
    sections = steps.sections(found, files)
    texts = {"wizard.md": page.markdown(_TITLE, sections), "wizard.html": page.page(_TITLE, sections)}
    for connector in found:
        columns = connector.profile.columns
        texts[f"{connector.name}-sample.csv"] = sample.sample(columns, connector.related_values)
    _refuse_existing(directory, texts)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8", newline="")
    output.line(f"{count(len(found), 'connector')} needed:")
    for connector in found:
        output.line(f"  {connector.name}: {connector.why}")
    for quarrel in connectors.quarrels(found):
        output.warn(quarrel)
    for name in texts:
        output.line(f"Written: {directory / name}")
    output.document(
        {
            "connectors": [
                {"name": c.name, "profiles": [p.name for p in c.profiles], "why": c.why} for c in found
            ],
            "files": [str(directory / name) for name in texts],
        }
    )


def _refuse_existing(directory: Path, texts: dict[str, str]) -> None:
    there = [name for name in texts if (directory / name).exists()]
    if there:
        raise ConfigurationError(
            f"there is a {there[0]} already",
            where=str(directory),
            next_step="Give another directory with --directory, or remove it first.",
        )


def _remember(ctx: click.Context, names: tuple[str, ...], changed: str, emulator_dir: str | None) -> None:
    output, settings = Output.of(ctx), Settings.of(ctx)
    at, now = parse_timestamp(changed), SystemClock().now()
    if at > now + 60:
        raise click.BadParameter("that is in the future: give the moment of the change once it was made")
    results = []
    for name in names:
        profile = settings.profile(name)
        connection = connection_to(profile, emulator_dir)
        if connection.connector.job_id == PLACEHOLDER:
            raise ConfigurationError(
                f"`job_id` of profile {profile.name} still has the placeholder",
                next_step="Fill in the job ID of the wizard's Finish page first.",
            )
        way = ConnectorSession(output, settings, profile, connection)
        way.make()
        indicator_delay.remember(way.outbox, at, settings.origin({}).user)
        until = iso(at + indicator_delay.SECONDS)
        output.line(f"{profile.name}: changed at {iso(at)}; uploads warn until {until}")
        results.append({"profile": profile.name, "changed": iso(at), "until": until})
    output.document(results)
