"""`irmexport emulator`: a local emulator of the connector, to try things without Microsoft's service."""

import contextlib
from pathlib import Path

import click
from irmcore import profile as profiles
from irmemulator.reported import REPORTED
from irmemulator.settings import Options

from irmcli import options
from irmcli.emulator.launch import announce, create_emulator, running
from irmcli.output import Output
from irmcli.settings import Settings


@click.command("emulator")
@click.option(
    "-p",
    "--profile",
    "names",
    multiple=True,
    help="A profile to have a connector for. Default: all shipped profiles.",
)
@options.local_emulator(
    "irmexport-emulator",
    "Where its address, its CA, a made-up secret and saved records are.",
    8443,
)
@click.option(
    "--time-precision",
    type=click.Choice(["us", "ms", "s"]),
    default="us",
    show_default=True,
    help="How precisely it keeps event times. What Microsoft's service does is undocumented.",
)
@click.option(
    "--refuse-unknown-source-values",
    is_flag=True,
    help="Refuse a file with an unknown source value instead of dropping the row. "
    "What Microsoft's service does is undocumented.",
)
@click.option(
    "--reported",
    type=click.Choice(list(REPORTED)),
    help="Answer every upload as users have reported of Microsoft's service; the output names the report.",
)
@click.pass_context
def command(
    ctx: click.Context,
    *,
    directory: Path,
    names: tuple[str, ...],
    port: int,
    lifetime: float,
    time_precision: str,
    refuse_unknown_source_values: bool,
    reported: str | None,
) -> None:
    """Run a local emulator of the Purview connector.

    It serves HTTPS on this machine only.

    Example: irmexport emulator --profile leaver-prediction
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    chosen = [settings.profile(name) for name in names or profiles.shipped_names()]
    chosen_options = Options(
        time_precision=time_precision,  # type: ignore[arg-type]
        refuse_unknown_source_values=refuse_unknown_source_values,
    )
    emulator = create_emulator(directory, chosen, chosen_options, port=port, lifetime=lifetime)
    if reported is not None:
        emulator.faults.until_cleared(REPORTED[reported].fault)
    with running(emulator, port):
        announce(directory, emulator)
        output.line(f"An emulator of the Purview connector, not Microsoft's service: {emulator.url}")
        output.line(f"  Password of /records, /uploads and /control/faults: {emulator.control_token}")
        for name in names or profiles.shipped_names():
            output.line(f"  irmexport send FILE --profile {name} --emulator {directory}")
        if reported is not None:
            output.line(f"As reported: {REPORTED[reported].what} ({REPORTED[reported].source})")
        output.line(f"It stops after {lifetime:,.0f} s, or when you press Ctrl-C.")
        output.document({"url": emulator.url, "directory": str(directory)})
        with contextlib.suppress(KeyboardInterrupt):
            emulator.wait()
