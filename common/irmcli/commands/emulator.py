"""`irmexport emulator`: a local stand-in of the connector, to rehearse with."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click
from irmcore import profile as profiles
from irmcore.errors import ConfigurationError
from irmemulator.settings import Options

from irmcli.emulator.launch import announce, create_emulator
from irmcli.output import Output
from irmcli.settings import Settings


@click.command("emulator")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("irmexport-emulator"),
    show_default=True,
    help="Where its address, CA, made-up secret and the records it keeps are put.",
)
@click.option("-p", "--profile", "names", multiple=True, help="A profile it has a job for; all shipped ones.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8443, show_default=True, help="0: any free port."
)
@click.option(
    "--lifetime",
    type=click.FloatRange(1, 7 * 86_400),
    default=3600.0,
    show_default=True,
    help="Seconds after which it ends.",
)
@click.option(
    "--time-precision",
    type=click.Choice(["us", "ms", "s"]),
    default="us",
    show_default=True,
    help="Undocumented: how finely it tells times apart.",
)
@click.option(
    "--refuse-unknown-source-values",
    is_flag=True,
    help="Undocumented: answer 400 instead of saving none of such rows.",
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
) -> None:
    """Run a local stand-in of the Purview connector over HTTPS, on this machine only, until Ctrl-C."""
    output, settings = Output.of(ctx), Settings.of(ctx)
    chosen = [settings.profile(name) for name in names or profiles.shipped_names()]
    options = Options(
        time_precision=time_precision,  # type: ignore[arg-type]
        refuse_unknown_source_values=refuse_unknown_source_values,
    )
    made = create_emulator(directory, chosen, options, port=port, lifetime=lifetime)
    try:
        made.start()
    except OSError as error:
        raise ConfigurationError(
            f"port {port} cannot be used ({error.strerror})",
            next_step="Give another one with --port; 0 takes any free one.",
        ) from None
    with contextlib.ExitStack() as ending:
        ending.callback(made.stop)
        announce(directory, made)
        output.line(f"A stand-in of the Purview connector, not Microsoft's service: {made.url}/")
        for name in names or profiles.shipped_names():
            output.line(f"  irmexport send FILE --profile {name} --emulator {directory}")
        output.line(f"It ends after {lifetime:,.0f} s, or with Ctrl-C.")
        output.document({"url": made.url, "directory": str(directory)})
        with contextlib.suppress(KeyboardInterrupt):
            made.wait()
