"""`irmexport schedule`: the files by which cron, systemd or Windows' Task Scheduler runs a command."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from irmcore.errors import ConfigurationError

from irmcli.output import Output
from irmcli.scheduling import timers
from irmcli.settings import Settings

#: What may be scheduled: commands that never ask, and whose arguments hold no secret.
SCHEDULED = {"send", "drain", "sentinel", "clean-up"}


@click.command("schedule", context_settings={"ignore_unknown_options": True})
@click.option(
    "--format",
    "form",
    type=click.Choice(list(timers.FORMS)),
    required=True,
    help="For whom: cron, systemd or Windows' Task Scheduler.",
)
@click.option(
    "--every", type=click.Choice(list(timers.EVERY)), default="1h", show_default=True, help="How often."
)
@click.option(
    "--name", default="irmexport", show_default=True, help="What the files and the task are called."
)
@click.option(
    "--output",
    "output_path",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the files here instead of printing them.",
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND…")
@click.pass_context
def command(
    ctx: click.Context, *, form: str, every: str, name: str, output_path: Path | None, words: tuple[str, ...]
) -> None:
    """Write what runs COMMAND (send FILE …, drain, sentinel run) again and again. No secret is in it."""
    output, settings = Output.of(ctx), Settings.of(ctx)
    if words[0] not in SCHEDULED:
        raise ConfigurationError(
            f"`{words[0]}` is not a command to schedule",
            next_step=f"There are: {', '.join(sorted(SCHEDULED))}.",
        )
    if not timers.NAME.fullmatch(name):
        raise ConfigurationError(
            "the name has other characters than letters, digits and -", where="--name", next_step="Rename it."
        )
    file = _read(ctx.find_root().command, words)
    task = timers.Task(
        name=name,
        program=str(Path(sys.argv[0]).absolute()),
        arguments=("--outbox", str(settings.outbox.absolute()), *(_wherever(word, file) for word in words)),
        outbox=str(settings.outbox.absolute()),
        every=every,
        user=settings.origin({}).user,
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
    output.line(timers.NEXT[form].format(name=name, folder=output_path or "."), "dim")
    output.document({"files": files})


def _read(command: click.Command, words: tuple[str, ...]) -> str | None:
    """The FILE that ``words`` name, if they do. Raises click.UsageError where the command would.

    Told now, to whoever is here; not at night, to nobody.
    """
    rest = list(words)
    while isinstance(command, click.Group) and rest:
        name = rest.pop(0)
        found = command.get_command(click.Context(command), name)
        if found is None:
            raise click.UsageError(f"{name!r} is no command to schedule.")
        command = found
    file = command.make_context(" ".join(words), rest).params.get("file")  # reads the words, and runs nothing
    return file if isinstance(file, str) else None


def _wherever(word: str, file: str | None) -> str:
    """A file that is named from here, named from anywhere: a scheduled command begins elsewhere.

    FILE is one that may come later; other words are files if there are such.
    """
    path = Path(word)
    named = word != "-" and (word == file or (not word.startswith("-") and path.is_file()))
    return str(path.absolute()) if named else word
