"""`irmexport schedule`: write the files that make cron, systemd or Windows Task Scheduler run a command."""

import datetime
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from irmcore.errors import ConfigurationError

from irmcli.output import Output
from irmcli.scheduled import SCHEDULABLE
from irmcli.scheduling import timers
from irmcli.settings import Settings

#: Parameters of commands that are paths, or may be one.
_PATHS = ("textfile", "folder", "file", "source", "emulator_dir", "graph_emulator")
#: Options whose value, or what follows its =, is a profile: a path only if it ends so.
_PROFILES, _OF_PROFILES = ("-p", "--profile", "--route"), (".yaml", ".yml")


# Options after COMMAND are COMMAND's own, also those that have the name of one of ours.
@click.command("schedule", context_settings={"allow_interspersed_args": False})
@click.option(
    "--format",
    "form",
    type=click.Choice(list(timers.FORMS)),
    required=True,
    help="Target: cron, systemd or Windows Task Scheduler.",
)
@click.option(
    "--every", type=click.Choice(list(timers.EVERY)), default="1h", show_default=True, help="Interval."
)
@click.option(
    "--at",
    type=click.DateTime(["%H:%M"]),
    metavar="HH:MM",
    help="Time of day of a daily command (--every 1d), in the time zone of this machine.",
)
@click.option("--name", default="irmexport", show_default=True, help="Name of the files and the task.")
@click.option(
    "--output",
    "output_path",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory to write the files to, instead of printing them.",
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND…")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    form: str,
    every: str,
    at: datetime.datetime | None,
    name: str,
    output_path: Path | None,
    words: tuple[str, ...],
) -> None:
    """Write a schedule for COMMAND. It contains no secret.

    COMMAND is send FILE …, drain, clean-up, metrics, identities sync, reconcile --folder DIR, canary,
    sentinel run, watch DIR --once …, or with systemd watch DIR …, which runs until it is stopped.

    Example: irmexport schedule --format systemd --every 1d --at 06:30 send FILE --profile NAME
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    if words[0] not in SCHEDULABLE:
        raise ConfigurationError(
            f"`{words[0]}` cannot be scheduled",
            next_step=f"These can: {', '.join(sorted(SCHEDULABLE))}.",
        )
    if not timers.NAME.fullmatch(name):
        raise ConfigurationError(
            "the name may only contain letters, digits and -",
            where="--name",
            next_step="Choose another name.",
        )
    if at is not None and every != "1d":
        raise click.UsageError("--at is the time of a daily command: add --every 1d.")
    params = _parameters(ctx.find_root().command, words)
    until_stopped = words[0] == "watch" and not params["once"]
    periodic = ctx.get_parameter_source("every") is not ParameterSource.DEFAULT
    if until_stopped and (form != "systemd" or periodic):
        raise ConfigurationError(
            "`watch` runs until it is stopped",
            next_step="Use --format systemd without --every, or add --once after watch.",
        )
    paths = {name: str(params[name]) for name in _PATHS if params.get(name)}
    paths = {name: path for name, path in paths.items() if path != "-" and "://" not in path}
    written = [Path(paths[name]).absolute() for name in ("folder", "source") if name in paths]
    written += [Path(paths["textfile"]).absolute().parent] if "textfile" in paths else []
    task = timers.Task(
        name=name,
        program=_program(),
        arguments=(
            *("--outbox", settings.address or str(settings.outbox.absolute())),
            *(
                _absolute(word, paths.values(), before)
                for word, before in zip(words, ("", *words), strict=False)
            ),
        ),
        outbox=str(settings.outbox.absolute()),
        every="" if until_stopped else every,
        user=settings.origin({}).user,
        at=(at.hour, at.minute) if at else None,
        writable=tuple(map(str, written)),
    )
    files = timers.FORMS[form](task)
    for file, text in files.items():
        if output_path is None:
            output.line(f"# {file}" if form != "windows-task" else f"<!-- {file} -->", "dim")
            for line in text.splitlines():
                output.line(line)
            continue
        output_path.mkdir(parents=True, exist_ok=True)
        (output_path / file).write_text(text, encoding=timers.ENCODINGS[form])
        output.line(f"{output_path / file}")
    output.line(timers.next_step(form, task, str(output_path or ".")), "dim")
    output.document({"files": files})


def _program() -> str:
    """The path of this program. On Windows, pip's launcher removes `.exe` from the first argument."""
    path = Path(sys.argv[0]).absolute()
    launcher = path.with_name(f"{path.name}.exe")
    return str(launcher if launcher.is_file() else path)


def _parameters(command: click.Command, words: tuple[str, ...]) -> dict[str, Any]:
    """The options and arguments in ``words``. Raises click.UsageError as the command itself would.

    A wrong option is reported now, not by the first scheduled run.
    """
    rest = list(words)
    while isinstance(command, click.Group) and rest:
        name = rest.pop(0)
        found = command.get_command(click.Context(command), name)
        if found is None:
            raise click.UsageError(f"{name!r} is not a command that can be scheduled.")
        command = found
    return command.make_context(" ".join(words), rest).params  # parses the words; runs nothing


def _absolute(word: str, paths: Collection[str], before: str) -> str:
    """A word with the absolute path of a file: a scheduled command starts in another directory.

    What is one of ``paths`` need not exist yet. Any other word, or what follows its last =, counts as a file
    if it exists. ``before`` is the word before it.
    """
    head, equals, tail = word.rpartition("=")
    if before in _PROFILES or head.startswith(_PROFILES):
        paths = ()
        if not tail.endswith(_OF_PROFILES):
            return word
    if word in paths:
        return str(Path(word).absolute())
    is_file = not tail.startswith("-") and Path(tail).is_file()
    return f"{head}{equals}{Path(tail).absolute()}" if is_file else word
