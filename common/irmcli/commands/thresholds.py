"""`irmexport thresholds PROFILE [FILE…]`: what thresholds would have brought in the past. Sends nothing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click
from irmcore.clock import SystemClock
from irmcore.errors import ConfigurationError, InputError
from irmcore.intake.open_users import open_users
from irmcore.intake.pipeline import Pipeline
from irmcore.profile import Profile
from irmcore.profile.published_limits import LIMITS, Finding, near, triggers

from irmcli import html_page, options
from irmcli.exit_codes import code_of_rows
from irmcli.output import Output, count
from irmcli.session.input_file import about_rows, open_table
from irmcli.session.limits_output import limits_document, show_limits
from irmcli.settings import Settings

if TYPE_CHECKING:
    from irmcli.thresholds.advice import Advice
    from irmcli.thresholds.history import History

_LEVELS = ("low", "medium", "high")


def _levels(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Click callback: the steps by indicator and level; "" stands for every indicator."""
    from irmcli.thresholds.steps import number_of, step_of

    found = {}
    for text in value:
        indicator, _, numbers = text.rpartition("=")
        try:
            levels = [Decimal(number) for number in numbers.split(",")]
        except InvalidOperation:
            levels = []
        steps = [step_of(str(level)) for level in levels if level.is_finite() and level > 0]
        if len(steps) != len(_LEVELS) or any(number_of(s) != n for s, n in zip(steps, levels, strict=True)):
            raise click.BadParameter(
                f"{text!r} is not LOW,MEDIUM,HIGH. Write three numbers above 0 with at most two significant "
                "digits, such as 10,20,30, or BoxDownload=10,20,30 for one indicator."
            )
        found[indicator] = dict(zip(_LEVELS, steps, strict=True))
    return found


@click.command("thresholds")
@click.argument("words", metavar="[PROFILE] [FILE]...", nargs=-1, type=click.Path(allow_dash=True))
@click.option("-p", "--profile", "profile_name", help="The profile, if it is not the first word.")
@options.form
@click.option(
    "--people",
    default=10,
    show_default=True,
    type=click.IntRange(min=5),
    help="How many people may reach high in an average week; medium may have 3 times as many, low 10 times.",
)
@click.option(
    "--now",
    multiple=True,
    callback=_levels,
    metavar="[INDICATOR=]LOW,MEDIUM,HIGH",
    help="Thresholds that are set in the portal, to compare with; for one indicator or for all.",
)
@click.option(
    "-o",
    "--output",
    "output_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write an HTML page to this file; an existing one is replaced.",
)
@click.pass_context
def command(
    ctx: click.Context,
    *,
    words: Sequence[str],
    profile_name: str | None,
    form: str,
    people: int,
    now: Mapping[str, Mapping[str, int]],
    output_path: Path | None,
) -> None:
    """Advise thresholds for indicators from rows of the past.

    Take the rows of three months, for example.

    Shows for each threshold how many people and rows would have reached it. The output has no data about
    fewer than five people, and nothing is kept.

    Example: irmexport thresholds daily-activities history.csv --output thresholds.html
    """
    from irmcli.thresholds import figures
    from irmcli.thresholds.advice import FEWEST, LEVELS, advise, rows_together
    from irmcli.thresholds.page import page

    if profile_name is None and not words:
        raise click.UsageError("Name a profile: irmexport thresholds PROFILE [FILE]...", ctx)
    profile_name, *files = (profile_name, *words) if profile_name is not None else words
    output, profile = Output.of(ctx), Settings.of(ctx).profile(profile_name)
    quoted = shlex.quote(profile_name)
    if files:
        read = _read(output, profile, files, form)
        step = f"See why rows are refused: irmexport check {shlex.quote(files[0])} --profile {quoted}"
    else:
        step = f"Name files of history: irmexport thresholds {quoted} FILE…"
        read = _read_outbox(Settings.of(ctx), profile, step)
    history, rows, refused = read
    if not history:
        raise InputError(
            "no row has a value of a threshold column", where=", ".join(files) or None, next_step=step
        )
    counts = history.counts()
    names = [one.name for one in counts.indicators]
    if unknown := set(now) - {"", *names}:
        raise click.BadParameter(
            f"no row has the indicator {min(unknown)!r}; there are: {', '.join(names)}", param_hint="--now"
        )
    set_now = {name: now.get(name, now.get("", {})) for name in names}
    found = [advise(one, counts, people, set_now[one.name].values()) for one in counts.indicators]
    most = ", ".join(f"{people * times:,} for {level}" for level, times in LEVELS.items())
    weeks = count(len(counts.mondays), "whole week")
    source = count(len(files), "file") if files else "the outbox"
    notes = (
        f"{count(rows, 'row')} of {source}, from {counts.first} to {counts.last} (UTC); {weeks}",
        f"Rule of irmexport, as Microsoft publishes none: people of an average week, at most {most}.",
        "A person counts by the largest row of a day; whether the service adds rows up is not published.",
        f"Thresholds that fewer than {FEWEST} people reach are left out. <{FEWEST}: 1 to {FEWEST - 1}.",
    )
    for note in notes:
        output.line(note, "dim")
    for advice in found:
        _show(output, advice, set_now[advice.indicator.name])
    policy = "" if triggers(profile) else ", if a policy has them as triggers"
    limit, limits = LIMITS["custom triggers"], []
    advised = [one for one in found if one.levels]
    which = "all indicators" if advised == found else f"the {len(advised)} of {len(found)} with advice"
    output.line()
    for level in LEVELS if advised else ():
        reaching, about = rows_together(found, level), f"{level}, {which}{policy}, highest day"
        output.line(f"{about}: {figures.count(reaching)} of at most {limit.most:,} {limit.what}")
        limits += [Finding(limit, reaching, about)] if reaching is not None else []
    show_limits(output, near(limits))
    if refused:
        output.warn(f"{count(refused, 'row')} refused. The reasons: irmexport check FILE --profile {quoted}")
    if output_path is not None:
        text = page(f"Thresholds for {profile.name}", notes, found, counts.mondays, set_now)
        html_page.write(output_path, text)
        output.line(f"Wrote {output_path}")
    output.document(
        {
            "profile": profile.name,
            "rows": rows,
            "refused": refused,
            "first": str(counts.first),
            "last": str(counts.last),
            "weeks": len(counts.mondays),
            "not_shown_below": FEWEST,
            "limits": limits_document(limits),
            "indicators": [figures.document(advice, set_now[advice.indicator.name]) for advice in found],
        }
    )
    ctx.exit(code_of_rows(refused))


def _read(output: Output, profile: Profile, files: Sequence[str], form: str) -> tuple[History, int, int]:
    """The counts of all files, and how many rows were shaped and refused.

    One pipeline shapes all of them, as if they were one file: a row that is in two of them counts once.
    """
    history, start = _empty(profile), SystemClock().now()
    with open_users(profile, start) as users:
        pipeline = Pipeline(profile, None, users=users, now=start)
        for file in files:
            total = about_rows(file)
            with open_table(file, profile, form) as table, output.progress("counting", total) as progress:
                for _ in pipeline.batches(table, file, progress, on_row=history.add):
                    pass
        counts = pipeline.counts()
    return history, counts.shaped, counts.rejected


def _read_outbox(settings: Settings, profile: Profile, step: str) -> tuple[History, int, int]:
    """The counts of the rows that the outbox still has, how many there are, and 0."""
    from irmcli.thresholds.kept_rows import add_kept_rows

    if settings.address:
        what = "rows of an outbox on a store are not read for thresholds"
        raise ConfigurationError(what, where=settings.address, next_step=step)
    history = _empty(profile)
    return history, add_kept_rows(settings, profile, history), 0


def _empty(profile: Profile) -> History:
    """A history without rows. Raises ConfigurationError if the profile has no threshold."""
    from irmcli.thresholds.history import History

    if profile.column("threshold") is None:
        raise ConfigurationError(
            "the profile has no threshold column",
            where=profile.name,
            next_step="Choose a profile with a column of `role: threshold`: irmexport profile list",
        )
    return History(profile)


def _show(output: Output, advice: Advice, now: Mapping[str, int]) -> None:
    """Print one indicator, with a bar for the people of a week."""
    from irmcli.thresholds import figures

    output.line()
    output.line(advice.indicator.name, "bold")
    for text in figures.sentences(advice, now):
        output.line(text)
    most = max((one.a_week or 0 for one in advice.thresholds), default=0) or 1
    marks = figures.marks(advice, now)
    bars = ["#" * round(20 * (one.a_week or 0) / most) for one in advice.thresholds]
    lines = [(*figures.cells(one, marks), bar) for one, bar in zip(advice.thresholds, bars, strict=True)]
    output.table("What each threshold brings", (*figures.COLUMNS, ""), lines)
