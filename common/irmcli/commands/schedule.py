"""`irmexport schedule`: the files by which cron, systemd or Windows' Task Scheduler runs a command."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from irmcore.errors import ConfigurationError

from irmcli import timers
from irmcli.say import Say
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
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the files here instead of printing them.",
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND…")
@click.pass_context
def command(
    ctx: click.Context, *, form: str, every: str, name: str, output: Path | None, words: tuple[str, ...]
) -> None:
    """Write what runs COMMAND (send FILE …, drain, sentinel run) again and again. No secret is in it."""
    say, settings = Say.of(ctx), Settings.of(ctx)
    if words[0] not in SCHEDULED:
        raise ConfigurationError(
            f"`{words[0]}` is not a command to schedule",
            next_step=f"There are: {', '.join(sorted(SCHEDULED))}.",
        )
    if not timers.NAME.fullmatch(name):
        raise ConfigurationError(
            "the name has other characters than letters, digits and -", where="--name", next_step="Rename it."
        )
    task = timers.Task(
        name=name,
        program=str(Path(sys.argv[0]).absolute()),
        arguments=("--outbox", str(settings.outbox.absolute()), *map(_wherever, words)),
        outbox=str(settings.outbox.absolute()),
        every=every,
        user=settings.origin({}).user,
    )
    files = timers.FORMS[form](task)
    for file, text in files.items():
        if output is None:
            say.line(f"# {file}" if form != "windows-task" else f"<!-- {file} -->", "dim")
            for line in text.splitlines():
                say.line(line)
            continue
        output.mkdir(parents=True, exist_ok=True)
        (output / file).write_text(text, encoding=timers.ENCODINGS[form])
        say.line(f"{output / file}")
    say.line(timers.NEXT[form].format(name=name, folder=output or "."), "dim")
    say.document({"files": files})


def _wherever(word: str) -> str:
    """A file that is named from here, named from anywhere: a scheduled command begins elsewhere."""
    path = Path(word)
    return str(path.absolute()) if not word.startswith("-") and path.is_file() else word
