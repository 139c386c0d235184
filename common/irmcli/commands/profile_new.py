"""`irmexport profile new`: write a profile from a sample file, and show what was guessed and why."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import click
from irmcore import profile as profiles
from irmcore.clouds import CLOUDS
from irmcore.errors import ConfigurationError
from irmcore.intake.run_result import RunResult
from irmcore.profile.kinds.hr import KIND as HR
from irmcore.profile.load import PROFILE
from irmcore.profile.model import PLACEHOLDER, Format
from irmcore.profile.published_limits import of_profiles

from irmcli.exit_codes import DONE, ROWS_REFUSED
from irmcli.output import Output, clean
from irmcli.profile_setup import prompts
from irmcli.profile_setup.choice import Choice, is_time
from irmcli.profile_setup.column_names import names_address
from irmcli.profile_setup.draft import Draft, draft, shape_sample
from irmcli.profile_setup.guesses import Roles
from irmcli.profile_setup.hr_draft import SCENARIO, hr_draft
from irmcli.profile_setup.profile_text import Choices
from irmcli.profile_setup.sample import Sample, read_sample
from irmcli.session.limits_output import limits_document, show_limits
from irmcli.session.shaping_output import shaping_document, show_shaping
from irmcli.settings import Settings

_CREDENTIALS = tuple(PROFILE.schema["definitions"]["credential"]["properties"])


def _source(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[str, tuple[str, ...]] | None:
    if value is None:
        return None
    header, equals, values = value.partition("=")
    related = tuple(part for part in values.split(",") if part)
    if not header or (equals and not related):
        raise click.BadParameter(_SOURCE)
    return header, related


_SOURCE = "write it as COLUMN=VALUE,VALUE with the values to enter in the wizard"


def _maps(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """Click callback: COLUMN=FIELD, as a mapping from the column."""
    found: dict[str, str] = {}
    fields = [*(one.name for one in HR.fields), SCENARIO]
    for text in value:
        column, _, field = text.rpartition("=")
        if not column or field not in fields:
            raise click.BadParameter(f"write it as COLUMN=FIELD; fields: {', '.join(fields)}")
        if column in found or field in found.values():
            raise click.BadParameter(f"give each column and each field once: {text}")
        found[column] = field
    return found


def _columns(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (value or "").split(",") if part.strip())


def _credential(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, str]:
    kind, _, reference = value.partition(":")
    if kind not in _CREDENTIALS or not reference:
        raise click.BadParameter(f"write it as KIND:REFERENCE; kinds: {', '.join(_CREDENTIALS)}")
    return kind, reference


@click.command("new")
@click.option(
    "--from",
    "sample",
    required=True,
    metavar="FILE",
    help="A sample file: CSV with a header, JSON, or an Excel workbook.",
)
@click.option(
    "-o",
    "--output",
    "output_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The profile file to write.  [default: NAME.yaml]",
)
@click.option("--name", help="The profile's name.  [default: the name of the file]")
@click.option("--description", help="One line that says what the rows are.")
@click.option("--kind", type=click.Choice(["indicator", "trigger"]), default="indicator", show_default=True)
@click.option(
    "--scenario",
    "scenarios",
    type=click.Choice(list(HR.scenarios)),
    multiple=True,
    help="A profile for the HR connector with this scenario; may be repeated.",
)
@click.option(
    "--map",
    "maps",
    metavar="COLUMN=FIELD",
    callback=_maps,
    multiple=True,
    help="What a column of HR data is, such as Left=LastWorkingDate; may be repeated.",
)
@click.option("--user", metavar="COLUMN", help="The column with the user principal name.")
@click.option("--time", metavar="COLUMN", help="The column with the event time.")
@click.option(
    "--threshold",
    "thresholds",
    metavar="COLUMN",
    multiple=True,
    help="A number column for thresholds; may be repeated.",
)
@click.option(
    "--source",
    metavar="COLUMN[=VALUE,…]",
    callback=_source,
    help="The wizard's source column and its values; without values, those of the sample.",
)
@click.option(
    "--columns",
    callback=_columns,
    metavar="COLUMN,…",
    help="Take only these columns besides those with a role. Not for HR data.",
)
@click.option("--zone", help="The time zone of times without an offset: UTC, Europe/Berlin.")
@click.option(
    "--dates",
    type=click.Choice(["dmy", "mdy", "ymd"]),
    help="The order of day, month and year, if the sample does not show it.",
)
@click.option(
    "--numbers",
    type=click.Choice(["point", "comma"]),
    help="The decimal sign of numbers, if the sample does not show it.",
)
@click.option("--sheet", metavar="NAME", help="The sheet of a workbook that has several.")
@click.option(
    "--join-last", is_flag=True, help="The last column is a text with delimiters in it, without quotes."
)
@click.option("--job-id", default=PLACEHOLDER, help="The job ID from the wizard's Finish page.")
@click.option("--tenant-id", default=PLACEHOLDER, help="The directory (tenant) ID.")
@click.option("--app-id", default=PLACEHOLDER, help="The application (client) ID of the Entra app.")
@click.option("--cloud", type=click.Choice(list(CLOUDS)), default="commercial", show_default=True)
@click.option(
    "--credential",
    default="env:IRMEXPORT_SECRET",
    show_default=True,
    callback=_credential,
    help="Where the secret is: env:NAME, file:PATH, keyring:SERVICE/USER, key_vault:URL, certificate:PATH, "
    "managed_identity:CLIENT-ID, workload_identity:PATH.",
)
@click.option(
    "--take-guesses", is_flag=True, help="Do not ask, even on a terminal; refuse an uncertain user or time."
)
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
    columns: tuple[str, ...],
    zone: str | None,
    dates: str | None,
    numbers: str | None,
    sheet: str | None,
    join_last: bool,
    kind: str,
    scenarios: tuple[str, ...],
    maps: dict[str, str],
    job_id: str,
    tenant_id: str,
    app_id: str,
    cloud: str,
    credential: tuple[str, str],
    take_guesses: bool,
) -> None:
    """Write a commented profile from a sample file.

    Types and roles are guessed from the sample. Options take precedence; on a terminal, you are asked to
    confirm the rest. A user or time column that is not certain is not guessed: you are asked, or told which
    option decides. The profile contains column names and settings, but no value from the sample
    except with --source COLUMN.

    With --scenario the profile is one of HR data (docs/connectors.md). Its columns are taken by the names of
    Microsoft's page, or by --user and --map, and never guessed from values.

    Example: irmexport profile new --from sample.csv --name leavers --output leavers.yaml
    """
    output, people = Output.of(ctx), Settings.of(ctx).directory_of_people
    name = _slug(name or (output_path.stem if output_path else Path(sample).name.partition(".")[0]))
    target = output_path or Path(f"{name}.yaml")
    _refuse_existing(target)
    if sample == "-":
        raise click.BadParameter("give a file, because it is read twice")
    if scenarios and columns:
        raise click.BadParameter("leave out --columns: of HR data, a profile takes the columns of --map")
    if maps and not scenarios:
        raise click.BadParameter(f"--map needs --scenario: {', '.join(HR.scenarios)}")
    found = read_sample(sample, Format(sheet=sheet, numbers=numbers))
    headers = [column.header for column in found.columns]
    roles = Roles(user, time, source[0] if source else None, thresholds or None, dates)
    for header in (user, time, roles.source, *thresholds, *columns, *maps):
        if header is not None and header not in headers:
            raise click.BadParameter(
                f"{clean(header)!r} is not a column of the sample: {', '.join(map(clean, headers))}"
            )
    choices = Choices(
        name=name,
        description=description
        or f"{'HR data' if scenarios else 'Detections'}, as in the sample {Path(sample).name}.",
        zone=zone,
        join_last=join_last,
        related_values=_related(source, found),
        format=found.format,
        kind=kind,
        job_id=job_id,
        tenant_id=tenant_id,
        app_id=app_id,
        cloud=cloud,
        credential=credential,
        people=str(people) if people.exists() else "",
    )
    asking = sys.stdin.isatty() and not take_guesses and not output.as_json and not scenarios
    if asking:
        roles, choices = prompts.ask(found.columns, roles, choices)
    if scenarios:
        drafted = hr_draft(found, HR, scenarios, roles, choices, maps=maps)
    else:
        drafted = draft(found, roles, choices, columns)
    result = shape_sample(drafted, target, sample, str(people))
    _show_form(output, found, drafted)
    if asking and drafted.readings and not click.confirm("Are these cells read right?", default=True):
        raise ConfigurationError(
            "no profile was written, because cells are read wrongly",
            where=sample,
            next_step="Run it again with --dates, --numbers, --zone or --time.",
        )
    _write(target, drafted.text)
    _show(output, target, drafted, result)
    _show_names(output, choices, drafted.guesses.user.header)
    output.line(f"Next: review it, then run irmexport wizard {shlex.quote(str(target))}")
    output.document(_document(target, drafted, result))
    ctx.exit(ROWS_REFUSED if result.counts.rejected else DONE)


def _related(source: tuple[str, tuple[str, ...]] | None, sample: Sample) -> tuple[str, ...]:
    """The values of the source column: as given, or those of the sample."""
    if source is None or source[1]:
        return source[1] if source else ()
    column = next((column for column in sample.columns if column.header == source[0]), None)
    if column is None:
        return ()
    if not column.distinct or column.users or is_time(column):
        raise click.BadParameter(f"{clean(source[0])} does not look like a source column; {_SOURCE}")
    return tuple(sorted(column.distinct))


def _show_form(output: Output, sample: Sample, drafted: Draft) -> None:
    """How the file is written, and three cells of it with what is read."""
    encoding = {"cp1252": "Windows-1252 text"}.get(sample.format.encoding or "")
    form = ", ".join(filter(None, (sample.form, encoding)))
    if form:
        output.line(f"Read as: {form}")
    output.table("How cells are read", ("column", "cell", "read as"), drafted.readings)
    if drafted.left_out:
        left_out = "1 column is" if drafted.left_out == 1 else f"{drafted.left_out} columns are"
        hr = drafted.guesses.time.header is None  # each scenario has its own times
        step = "Take others with --map COLUMN=FIELD" if hr else "Choose others with --columns COLUMN,COLUMN"
        output.line(f"{left_out} left out. {step}")


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise ConfigurationError(
            "the file already exists",
            where=str(target),
            next_step="Choose another name with --output, or remove the file first.",
        )


def _write(target: Path, text: str) -> None:
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:  # created since it was checked
        _refuse_existing(target)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48].strip("-") or "profile"


def _show(output: Output, target: Path, drafted: Draft, result: RunResult) -> None:
    rows = [(column.header, column.type, column.role, column.why) for column in drafted.guesses.columns]
    output.table("Columns", ("column", "type", "role", "why"), rows)
    for role, choice in (("user", drafted.guesses.user), ("time", drafted.guesses.time)):
        if choice.header is None:
            continue
        others = ", ".join(f"{made.header} {made.why}" for made in choice.alternatives)
        output.line(f"{role}: {choice.header} ({choice.why}{'; alternatives: ' if others else ''}{others})")
    if (header := drafted.possible_source) is not None:
        option = shlex.quote(header)
        output.line(
            f"{header} may be the wizard's source column. If so, with the sample's values: --source {option}"
        )
    output.line(f"Written: {target}")
    show_shaping(output, result, dry=True)
    profile = profiles.parse(drafted.text, str(target))
    show_limits(output, of_profiles([profile]), [profile])


def _show_names(output: Output, choices: Choices, user: str | None) -> None:
    """Whether names are looked up; if they are mail addresses that are not, how they would be."""
    if choices.looks_up(user):
        output.line(
            f"The names in {user} are looked up in the directory of people, {choices.people}. It knows "
            "hardly any names from before it was first read: try it with newer rows"
        )
    elif user and names_address(user):
        output.line(
            f"{user} is taken for the user principal name. If mail addresses may differ from it, rows get "
            "the wrong user: run irmexport identities sync, delete this profile and write it again"
        )


def _document(target: Path, drafted: Draft, result: RunResult) -> dict[str, Any]:
    columns = [
        {"header": column.header, "type": column.type, "role": column.role, "why": column.why}
        for column in drafted.guesses.columns
    ]
    limits = limits_document(of_profiles([profiles.parse(drafted.text, str(target))]))
    choices = {"user": _choice(drafted.guesses.user), "time": _choice(drafted.guesses.time)}
    return {
        "profile": str(target),
        "columns": columns,
        "choices": choices,
        "limits": limits,
        **shaping_document(result),
    }


def _choice(choice: Choice) -> dict[str, Any]:
    alternatives = [{"header": made.header, "why": made.why} for made in choice.alternatives]
    return {"header": choice.header, "why": choice.why, "alternatives": alternatives}
