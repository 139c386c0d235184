"""`irmexport profile new`: a profile from a sample file, with what was guessed and why."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from irmcore import profile as profiles
from irmcore.clouds import CLOUDS
from irmcore.errors import ConfigurationError, InputError, ProfileError
from irmcore.intake.dry_run import dry_run
from irmcore.intake.run_result import RunResult
from irmcore.profile.model import PLACEHOLDER

from irmcli.exit_codes import DONE, ROWS_REFUSED
from irmcli.output import Output, clean
from irmcli.profile_setup import guesses, profile_text
from irmcli.profile_setup.guesses import Guess, Seen, Wishes
from irmcli.profile_setup.profile_text import Choices
from irmcli.session import input_file as source
from irmcli.session import shaping_output as shaped

_PLACES = ("env", "file", "keyring", "key_vault", "certificate")
_NONE = "none"
_COLUMN = re.compile(r"`columns(?:\[([0-9]+)\])?")
#: What spreadsheets write between columns in place of commas.
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class _Sample:
    """What was read of the sample; ``long`` rows have more fields than the header."""

    path: str
    columns: list[Seen]
    long: bool


def _source(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[str, tuple[str, ...]] | None:
    if value is None:
        return None
    header, _, values = value.partition("=")
    related = tuple(part for part in values.split(",") if part)
    if not header or not related:
        raise click.BadParameter("write it as COLUMN=VALUE,VALUE with the values to enter in the wizard")
    return header, related


def _credential(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, str]:
    kind, _, place = value.partition(":")
    if kind not in _PLACES or not place:
        raise click.BadParameter(f"write it as KIND:PLACE; kinds: {', '.join(_PLACES)}")
    return kind, place


@click.command("new")
@click.option(
    "--from", "sample", required=True, metavar="FILE", help="A sample: CSV with a header, or JSON lines."
)
@click.option(
    "-o",
    "--output",
    "output_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The profile to write; NAME.yaml.",
)
@click.option("--name", help="The profile's name; by default that of the file.")
@click.option("--description", help="One line that says what the rows are.")
@click.option("--kind", type=click.Choice(["indicator", "trigger"]), default="indicator", show_default=True)
@click.option("--user", metavar="COLUMN", help="The column of the user principal name.")
@click.option("--time", metavar="COLUMN", help="The column of the event time.")
@click.option(
    "--threshold", "thresholds", metavar="COLUMN", multiple=True, help="A number column for thresholds."
)
@click.option(
    "--source", metavar="COLUMN=VALUE,…", callback=_source, help="The wizard's source column, its values."
)
@click.option("--zone", help="The time zone of times that name no offset: UTC, Europe/Berlin.")
@click.option("--job-id", default=PLACEHOLDER, help="From the wizard's Finish page.")
@click.option("--tenant-id", default=PLACEHOLDER)
@click.option("--app-id", default=PLACEHOLDER)
@click.option("--cloud", type=click.Choice(list(CLOUDS)), default="commercial", show_default=True)
@click.option(
    "--credential",
    default="env:IRMEXPORT_SECRET",
    show_default=True,
    callback=_credential,
    help="Where the secret is: env:NAME, file:PATH, keyring:SERVICE/USER, key_vault:URL, certificate:PATH.",
)
@click.option("--take-guesses", is_flag=True, help="Ask nothing, also on a terminal.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    sample: str,
    output_path: Path | None,
    name: str | None,
    description: str | None,
    user: str | None,
    time: str | None,
    thresholds: tuple[str, ...],
    source: tuple[str, tuple[str, ...]] | None,
    zone: str | None,
    kind: str,
    job_id: str,
    tenant_id: str,
    app_id: str,
    cloud: str,
    credential: tuple[str, str],
    take_guesses: bool,
) -> None:
    """Write a commented profile from a sample: types and roles are guessed, then asked for or taken as given.

    The profile holds column names and settings, and no value of the sample.
    """
    output = Output.of(ctx)
    name = _slug(name or (output_path.stem if output_path else Path(sample).name.partition(".")[0]))
    target = output_path or Path(f"{name}.yaml")
    _refuse_existing(target)
    read = _read(sample)
    headers = [column.header for column in read.columns]
    wishes = Wishes(user, time, source[0] if source else None, thresholds or None)
    for wished in (user, time, wishes.source, *thresholds):
        if wished is not None and wished not in headers:
            raise click.BadParameter(
                f"{clean(wished)!r} is no column of the sample: {', '.join(map(clean, headers))}"
            )
    choices = Choices(
        name=name,
        description=description or f"Detections, as in the sample {Path(sample).name}.",
        zone=zone,
        join_last=read.long,
        related_values=source[1] if source else (),
        kind=kind,
        job_id=job_id,
        tenant_id=tenant_id,
        app_id=app_id,
        cloud=cloud,
        credential=credential,
    )
    if sys.stdin.isatty() and not take_guesses and not output.as_json:
        wishes, choices = _ask(read.columns, wishes, choices)
    made = guesses.guess(read.columns, wishes)
    _demand(made, read, choices)
    possible = None if wishes.source else guesses.possible_source(read.columns, made)
    choices = replace(choices, zone=choices.zone if any(column.zoneless for column in made) else None)
    text = profile_text.write(choices, made, possible)
    done = _try(text, target, sample)
    _write(target, text)
    _show(output, target, made, possible, done)
    output.document(_document(target, made, done))
    ctx.exit(ROWS_REFUSED if done.counts.rejected else DONE)


def _read(path: str) -> _Sample:
    if path == "-":
        raise click.BadParameter("give a file: it is read twice")
    with source.sample(path) as table:
        if guesses.headless(table.header):
            raise InputError(
                "the first line looks like a row, not like a header",
                where=f"{path}:1",
                next_step="Put the column names in the first line; a profile is made of them.",
            )
        _refuse_other_separators(table.header, path)
        width, long, rows = len(table.header), False, []
        for _, row in zip(range(guesses.ROWS), table.rows, strict=False):
            long = long or row.refused == "ragged-long"
            if row.refused is None or row.refused == "ragged-long":
                rows.append((*row.values[: width - 1], ",".join(row.values[width - 1 :])))
        if not rows:
            raise InputError(
                "the sample has no row that can be read",
                where=path,
                next_step="Add some: types and roles are guessed from their values.",
            )
        return _Sample(path, guesses.look(table.header, rows), long)


def _refuse_other_separators(header: Sequence[str], path: str) -> None:
    other = next((name for sign, name in _SEPARATORS.items() if sign in header[0]), None)
    if len(header) == 1 and other is not None:
        raise InputError(
            f"the columns seem to be separated by {other}, not by commas",
            where=f"{path}:1",
            next_step="Save it as CSV with commas; the files that are sent later need them too.",
        )


def _ask(columns: list[Seen], wishes: Wishes, choices: Choices) -> tuple[Wishes, Choices]:
    """What only a person can know, with the guess as the answer of Enter."""
    made = guesses.guess(columns, wishes)
    headers = [column.header for column in columns]

    def which(question: str, role: str, given: str | None) -> str | None:
        if given is not None:
            return given
        default = next((column.header for column in made if column.role == role), None)
        answer: str = click.prompt(
            question, type=click.Choice(headers), default=default, show_choices=default is None
        )
        return answer

    user = which("Column of the user (user principal name)", "user", wishes.user)
    time = which("Column of the event time", "time", wishes.time)
    thresholds, from_source, related = wishes.thresholds, wishes.source, choices.related_values
    if thresholds is None:
        guessed = [column.header for column in made if column.role == "threshold"]
        said = click.prompt("Number columns for thresholds, by commas", default=",".join(guessed) or _NONE)
        thresholds = tuple(part.strip() for part in said.split(",") if part.strip() in headers)
    if from_source is None:
        possible = guesses.possible_source(columns, made) or _NONE
        said = click.prompt("Source column (several indicators in one file)", default=possible)
        if said in headers:
            from_source = said
            values = click.prompt("Its values, as they will be entered in the wizard (by commas, no spaces)")
            related = tuple(part for part in values.split(",") if part)
    zone = choices.zone
    asked = Wishes(user, time, from_source, thresholds)
    if zone is None and any(column.zoneless for column in guesses.guess(columns, asked)):
        zone = click.prompt("Times name no offset: their time zone", default="UTC")
    return asked, replace(choices, zone=zone, related_values=related)


def _demand(made: list[Guess], read: _Sample, choices: Choices) -> None:
    for role, flag, what in (("user", "--user", "user principal names"), ("time", "--time", "event times")):
        if all(column.role != role for column in made):
            raise ConfigurationError(
                f"no column of the sample holds {what}",
                where=read.path,
                next_step=f"Name it with {flag} COLUMN, or add it to the export: the connector needs one.",
            )
    zoneless = next((column for column in made if column.zoneless), None)
    if zoneless is not None and choices.zone is None:
        raise ConfigurationError(
            f"the times of column {clean(zoneless.header)} name no offset, so their time zone must be known",
            where=read.path,
            next_step="Say where they were written down: --zone UTC, or --zone Europe/Berlin.",
        )


def _try(text: str, target: Path, sample: str) -> RunResult:
    """The sample, shaped by the profile that ``text`` is. Raises ConfigurationError for wrong settings."""
    try:
        profile = profiles.parse(text, str(target))
    except ProfileError as error:
        raise _unwritten(error, sample) from None
    with source.table(sample, profile, "auto") as table:
        return dry_run(table, profile, None, name=sample)


def _unwritten(error: ProfileError, sample: str) -> ConfigurationError:
    """The same, told of the sample or an option: there is no profile yet whose line could be looked at."""
    column = _COLUMN.match(error.what)
    if column is None:
        return ConfigurationError(error.what, next_step=f"Correct the option. {error.next_step}")
    number = column.group(1)
    if number is None:
        what, step = (
            error.what,
            "Export other columns: the user, the time, a number, and what explains a row.",
        )
    else:
        what = f"column {int(number) + 1} has a name that no connector can have ({error.what})"
        step = "Rename it in the sample and in what is exported, or leave it out."
    return ConfigurationError(what, where=f"{sample}:1", next_step=step)


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise ConfigurationError(
            "there is a file of this name already",
            where=str(target),
            next_step="Give another name with --output, or remove it first.",
        )


def _write(target: Path, text: str) -> None:
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        _refuse_existing(target)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48].strip("-") or "profile"


def _show(output: Output, target: Path, made: list[Guess], possible: str | None, done: RunResult) -> None:
    rows = [(column.header, column.type, column.role, column.why) for column in made]
    output.table("Columns", ("column", "type", "role", "why"), rows)
    if possible is not None:
        output.line(
            f"{possible} may be the wizard's source column: --source '{possible}=VALUE,VALUE' makes it so."
        )
    output.line(f"Written: {target}")
    shaped.show(output, done, dry=True)
    output.line(f"Next: look it over, then irmexport wizard {target}")


def _document(target: Path, made: list[Guess], done: RunResult) -> dict[str, Any]:
    columns = [{"header": c.header, "type": c.type, "role": c.role, "why": c.why} for c in made]
    return {"profile": str(target), "columns": columns, **shaped.document(done)}
