"""`irmexport wizard`: write the sample file and a page with every value that Microsoft's wizard asks for."""

from pathlib import Path

import click
from irmcore.clock import SystemClock, iso
from irmcore.errors import ConfigurationError
from irmcore.profile.model import PLACEHOLDER
from irmcore.profile.published_limits import of_profiles

from irmcli import options
from irmcli.emulator.connection import connection_to
from irmcli.output import Output, count
from irmcli.session import indicator_delay
from irmcli.session.connector_session import ConnectorSession
from irmcli.session.limits_output import limits_document, show_limits
from irmcli.settings import Settings
from irmcli.time_options import parse_timestamp

_TITLE = "What to choose in Microsoft's wizard"


@click.command("wizard")
@click.argument("names", nargs=-1, required=True, metavar="PROFILE...")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("wizard"),
    show_default=True,
    help="Directory for the page and the sample files; existing files are not replaced.",
)
@click.option(
    "--changed",
    metavar="TIME",
    help="Only record when indicators or policies changed: 0m (now), 2h ago, 2026-11-22T08:00Z.",
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
    """Write what to enter in Microsoft's wizard, and a sample.

    The page (HTML and Markdown) has every value.

    With --changed, records when custom indicators or policies changed; uploads warn for the next 24 hours.

    Example: irmexport wizard my-profile.yaml
    """
    if changed is not None:
        _record_change(ctx, names, changed, emulator_dir)
        return
    from irmcli.wizard import connectors, page, sample, steps

    output, settings = Output.of(ctx), Settings.of(ctx)
    chosen = {name: settings.profile(name) for name in names}
    files = {profile.name: name for name, profile in chosen.items()}
    if len(files) < len(chosen):
        raise ConfigurationError(
            "two of these profiles have the same `name`",
            where=", ".join(chosen),
            next_step="Give each its own name: it names the connector and its sample file.",
        )
    found = connectors.needed(list(chosen.values()))
    text = page.document(_TITLE, steps.sections(found, files))
    texts = {"wizard.md": text, "wizard.html": page.page(_TITLE, text)}
    for connector in found:
        texts[f"{connector.name}-sample.csv"] = sample.sample(connector.profile, connector.related_values)
    _refuse_existing(directory, texts)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8", newline="")
    output.line(f"{count(len(found), 'connector')} needed:")
    for connector in found:
        output.line(f"  {connector.name}: {connector.why}")
    for conflict in connectors.conflicts(found):
        output.warn(conflict)
    limits = of_profiles(list(chosen.values()))
    show_limits(output, limits, chosen.values())
    for name in texts:
        output.line(f"Wrote {directory / name}")
    output.document(
        {
            "connectors": [
                {"name": c.name, "profiles": [p.name for p in c.profiles], "why": c.why} for c in found
            ],
            "files": [str(directory / name) for name in texts],
            "limits": limits_document(limits),
        }
    )


def _refuse_existing(directory: Path, texts: dict[str, str]) -> None:
    existing = [name for name in texts if (directory / name).exists()]
    if existing:
        raise ConfigurationError(
            f"{existing[0]} exists already",
            where=str(directory),
            next_step="Choose another directory with --directory, or remove the file first.",
        )


def _record_change(
    ctx: click.Context, names: tuple[str, ...], changed: str, emulator_dir: str | None
) -> None:
    output, settings = Output.of(ctx), Settings.of(ctx)
    at, now = parse_timestamp(changed), SystemClock().now()
    if at > now + 60:
        raise click.BadParameter("the time is in the future: record a change after you made it")
    results = []
    for name in names:
        profile = settings.profile(name)
        connection = connection_to(profile, emulator_dir)
        if connection.connector.job_id == PLACEHOLDER:
            raise ConfigurationError(
                f"`job_id` of profile {profile.name} is still the placeholder",
                next_step="Copy the job ID from the wizard's Finish page into the profile.",
            )
        session = ConnectorSession(output, settings, profile, connection)
        session.create_outbox()
        indicator_delay.save(session.outbox, at, settings.origin({}).user)
        until = iso(at + indicator_delay.SECONDS)
        output.line(f"{profile.name}: changed at {iso(at)}; uploads print a warning until {until}")
        results.append({"profile": profile.name, "changed": iso(at), "until": until})
    output.document(results)
