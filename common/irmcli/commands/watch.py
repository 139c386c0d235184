"""`irmexport watch DIR`: send each file that appears in a directory, once, when it is complete."""

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
@click.option("-p", "--profile", "profile_name", help="Profile of all files.")
@click.option(
    "--route",
    "routes",
    multiple=True,
    metavar="PATTERN=PROFILE",
    help="Profile by path in DIR; the first match wins. Example: 'leavers/*.csv=leaver-prediction'.",
)
@click.option(
    "--settle",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    help="Seconds without a change until a file counts as complete; use more on network shares.",
)
@click.option("--poll", is_flag=True, help="Look every 5 s instead of using the system's notifications.")
@click.option("--once", is_flag=True, help="Send the files that are there, then exit: for cron.")
@click.option(
    "--max-refused",
    type=click.IntRange(min=0),
    help="Reject a file that has more refused rows than this.",
)
@click.option("--unit", "print_unit", is_flag=True, help="Print a systemd unit for this command and exit.")
@options.emulator
@click.pass_context
def command(
    ctx: click.Context,
    *,
    directory: Path,
    profile_name: str | None,
    routes: tuple[str, ...],
    settle: float,
    poll: bool,
    once: bool,
    max_refused: int | None,
    print_unit: bool,
    emulator_dir: str | None,
) -> None:
    """Send each file that appears in DIR, once, until SIGTERM or Ctrl-C.

    Sent files move to DIR/archive, unreadable files to DIR/errors; DIR/rejects gets the refused rows. Hidden
    files, *.tmp, *.part and similar names are ignored. With --json, prints one JSON object per line.
    """
    from irmcli.watching.local_folder import LocalFolder
    from irmcli.watching.routes import parse_routes
    from irmcli.watching.watcher import Watcher

    output, settings = Output.of(ctx), Settings.of(ctx)
    found = parse_routes(settings, routes, profile_name, emulator_dir)
    if print_unit:
        more = [f"--settle={settle:g}", *(["--poll"] if poll else [])]
        more += [f"--max-refused={max_refused}"] if max_refused is not None else []
        more += ["--emulator", str(Path(emulator_dir).absolute())] if emulator_dir is not None else []
        _print_unit(settings, directory, profile_name, routes, more)
        return

    def notify(event: dict[str, Any]) -> None:
        if output.as_json:
            click.echo(json.dumps({"at": iso(clock.now()), **event}, sort_keys=True, default=str))

    clock = SystemClock()
    state = Path(settings.outbox_ready()) / "watched" / "folders"
    folder = LocalFolder(directory.absolute(), state, clock, settle=settle)
    watcher = Watcher(output, settings, folder, found, clock, notify, max_refused, poll)
    before = {
        number: signal.signal(number, lambda *_: watcher.end()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    if sys.platform == "linux":
        # The kernel sends SIGIO if a writer opens a file during our lease; its default action is to kill.
        before[signal.SIGIO] = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        if once:
            output.line(f"Looking for files in {folder.title}")
        else:
            output.line(f"Watching {folder.title} with {count(len(found), 'route')}")
        watcher.run(once_for=settle * 2 + 1 if once else None)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    output.line("Done." if once else "Stopped. The next watch or drain sends what is queued.")
    ctx.exit(watcher.code if once else DONE)


def _print_unit(
    settings: Settings, directory: Path, profile: str | None, routes: tuple[str, ...], more: list[str]
) -> None:
    from irmcli.watching import systemd_unit

    outbox, folder = str(settings.outbox.absolute()), str(directory.absolute())
    words = [str(Path(sys.argv[0]).absolute()), "--outbox", outbox, "watch", folder, *more]
    if profile is not None:
        words += ["--profile", _absolute(settings, profile)]
    for route in routes:
        pattern, _, name = route.rpartition("=")
        words += ["--route", f"{pattern}={_absolute(settings, name)}"]
    click.echo(systemd_unit.unit(words, folder, outbox), nl=False)


def _absolute(settings: Settings, name: str) -> str:
    """A profile's absolute path: a service has another home and working directory."""
    own = settings.profiles / f"{name}.yaml"
    if name.endswith((".yaml", ".yml")):
        return str(Path(name).absolute())
    return str(own.absolute()) if own.is_file() else name
