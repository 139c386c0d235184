"""`irmexport watch DIR`: each file that appears in a folder is sent once, when it is whole."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import click
from irmcore.clock import SystemClock, iso

from irmcli import options
from irmcli.exit_codes import DONE
from irmcli.output import Output, count
from irmcli.settings import Settings


@click.command("watch")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-p", "--profile", "profile_name", help="The profile of all files.")
@click.option(
    "--route",
    "texts",
    multiple=True,
    metavar="PATTERN=PROFILE",
    help="Files by their path in DIR, the first that fits: 'leavers/*.csv=leaver-prediction'.",
)
@click.option(
    "--settle",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    help="Seconds without a change after which a file is whole; more on network shares.",
)
@click.option("--poll", is_flag=True, help="Look every 5 s, and trust no notification of the system.")
@click.option("--once", is_flag=True, help="Take and send what is there, then end: for cron.")
@click.option(
    "--max-refused", type=click.IntRange(min=0), help="More refused rows than this: the file is an error."
)
@click.option("--unit", "print_unit", is_flag=True, help="Print a systemd unit that does this, and end.")
@options.emulator
@click.pass_context
def command(
    ctx: click.Context,
    *,
    directory: Path,
    profile_name: str | None,
    texts: tuple[str, ...],
    settle: float,
    poll: bool,
    once: bool,
    max_refused: int | None,
    print_unit: bool,
    emulator_dir: str | None,
) -> None:
    """Send each file that appears in DIR, once, until SIGTERM or Ctrl-C.

    Files go to DIR/archive, those of which nothing could be read to DIR/errors, refused rows to DIR/rejects.
    Hidden files and *.tmp, *.part and their like are left alone. With --json: one JSON object a line.
    """
    from irmcli.watching import routes
    from irmcli.watching.folder import Folder
    from irmcli.watching.watcher import Watcher

    output, settings = Output.of(ctx), Settings.of(ctx)
    found = routes.read(settings, texts, profile_name, emulator_dir)
    if print_unit:
        more = [f"--settle={settle:g}", *(["--poll"] if poll else [])]
        more += [f"--max-refused={max_refused}"] if max_refused is not None else []
        more += ["--emulator", str(Path(emulator_dir).absolute())] if emulator_dir is not None else []
        _print_unit(settings, directory, profile_name, texts, more)
        return

    def tell(event: dict[str, Any]) -> None:
        if output.as_json:
            click.echo(json.dumps({"at": iso(clock.now()), **event}, sort_keys=True, default=str))

    clock = SystemClock()
    folder = Folder(directory.absolute(), clock, settle=settle)
    watcher = Watcher(output, settings, folder, found, clock, tell, max_refused, poll)
    before = {
        number: signal.signal(number, lambda *_: watcher.end()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    if sys.platform == "linux":
        # Should a writer come while a lease is asked for, the kernel tells us so; by default that would kill.
        before[signal.SIGIO] = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        output.line(
            f"Watching {folder.root} by {count(len(found), 'route')}"
            if not once
            else f"Looking at {folder.root}"
        )
        watcher.run(once_for=settle * 2 + 1 if once else None)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    output.line(
        "Ended; what waits in the outbox is sent by the next watch or drain." if not once else "Done."
    )
    ctx.exit(watcher.code if once else DONE)


def _print_unit(
    settings: Settings, directory: Path, profile: str | None, texts: tuple[str, ...], more: list[str]
) -> None:
    from irmcli.watching import systemd_unit

    outbox, folder = str(settings.outbox.absolute()), str(directory.absolute())
    words = [str(Path(sys.argv[0]).absolute()), "--outbox", outbox, "watch", folder, *more]
    if profile is not None:
        words += ["--profile", _placed(settings, profile)]
    for text in texts:
        pattern, _, name = text.rpartition("=")
        words += ["--route", f"{pattern}={_placed(settings, name)}"]
    click.echo(systemd_unit.unit(words, folder, outbox), nl=False)


def _placed(settings: Settings, name: str) -> str:
    """A profile as a service finds it, which has another home and another working directory."""
    own = settings.profiles / f"{name}.yaml"
    if name.endswith((".yaml", ".yml")):
        return str(Path(name).absolute())
    return str(own.absolute()) if own.is_file() else name
