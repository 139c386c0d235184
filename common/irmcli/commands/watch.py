"""`irmexport watch FOLDER`: send each file that appears in a folder, once, when it is complete."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import click
from irmcore.clock import SystemClock, iso
from irmcore.errors import ConfigurationError

from irmcli import options
from irmcli.exit_codes import DONE
from irmcli.output import Output, count
from irmcli.settings import Settings


@click.command("watch")
@click.argument("source", metavar="FOLDER")
@click.option("-p", "--profile", "profile_name", help="Profile of all files.")
@click.option(
    "--route",
    "routes",
    multiple=True,
    metavar="PATTERN=PROFILE",
    help="Profile by path in FOLDER; the first match wins. Example: 'leavers/*.csv=leaver-prediction'.",
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
@click.option("--queue-only", is_flag=True, help="Accept the rows and leave sending to `irmexport drain`.")
@click.option(
    "--max-refused",
    type=click.IntRange(min=0),
    help="Reject a file that has more refused rows than this.",
)
@options.emulator
@options.sign_in
@click.option(
    "--graph-emulator",
    "graph_emulator",
    type=options.FOLDER,
    help="Watch a drive of the local emulator of `identities emulator` with this directory.",
)
@click.pass_context
def command(
    ctx: click.Context,
    *,
    source: str,
    profile_name: str | None,
    routes: tuple[str, ...],
    settle: float,
    poll: bool,
    once: bool,
    queue_only: bool,
    max_refused: int | None,
    emulator_dir: str | None,
    who: options.SignIn,
    graph_emulator: Path | None,
) -> None:
    """Send each file that appears in FOLDER, once.

    Runs until SIGTERM or Ctrl-C.

    FOLDER is a directory; a folder of SharePoint or OneDrive,
    sharepoint://contoso.sharepoint.com/sites/NAME/LIBRARY/FOLDER; or a prefix of a container,
    az://ACCOUNT/CONTAINER/PREFIX or s3://BUCKET/PREFIX. --sign-in and the options after it say who signs in
    to SharePoint or Azure.

    Sent files move to FOLDER/archive, unreadable files to FOLDER/errors; FOLDER/rejects gets the refused
    rows. Hidden files, *.tmp, *.part and similar names are ignored. With --json, prints one JSON object per
    line.

    Example: irmexport watch /srv/exports --profile leaver-prediction
    """
    from irmcli.watching.routes import parse_routes
    from irmcli.watching.sources import cloud_of, open_folder
    from irmcli.watching.watcher import Watcher

    output, settings = Output.of(ctx), Settings.of(ctx)
    if sys.platform == "win32":
        raise ConfigurationError(
            "`watch` does not run on Windows, where a directory cannot be opened",
            next_step="Let Task Scheduler send a file: irmexport schedule --format windows-task --every 1d "
            "send FILE --profile PROFILE",
        )
    found = parse_routes(settings, routes, profile_name, emulator_dir)

    def notify(event: dict[str, Any]) -> None:
        if output.as_json:
            click.echo(json.dumps({"at": iso(clock.now()), **event}, sort_keys=True, default=str))

    clock = SystemClock()
    folder = open_folder(
        source, settings, cloud_of(found), who, clock, settle=settle, emulator=graph_emulator
    )
    watcher = Watcher(output, settings, folder, clock, notify, poll, found, max_refused, not queue_only)
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
