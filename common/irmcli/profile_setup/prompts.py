"""The questions of `irmexport profile new` on a terminal. Enter accepts the guess.

A user or a time that is not certain has no default: the columns that it could be are listed first.
"""

from collections.abc import Sequence
from dataclasses import replace

import click

from irmcli.output import clean
from irmcli.profile_setup.choice import Choice
from irmcli.profile_setup.column_stats import ColumnStats
from irmcli.profile_setup.draft import decimal_sign, needed_zone
from irmcli.profile_setup.guesses import Roles, guess, possible_source
from irmcli.profile_setup.profile_text import Choices

_NONE = "none"


def ask(columns: Sequence[ColumnStats], roles: Roles, choices: Choices) -> tuple[Roles, Choices]:
    """Ask for the roles, the source column's values and the time zone that no option has set."""
    guessed = guess(columns, roles)
    headers = [column.header for column in columns]

    def ask_column(question: str, choice: Choice, given: str | None) -> str | None:
        if given is not None:
            return given
        for made in choice.alternatives:
            click.echo(f"  {clean(made.header)} {made.why}")
        answer: str = click.prompt(
            question, type=click.Choice(headers), default=choice.header, show_choices=choice.header is None
        )
        return answer

    user = ask_column("Column with the user (user principal name)", guessed.user, roles.user)
    time = ask_column("Column with the event time", guessed.time, roles.time)
    thresholds, source, related = roles.thresholds, roles.source, choices.related_values
    if thresholds is None:
        default = ",".join(column.header for column in guessed.columns if column.role == "threshold")
        answer = click.prompt("Number columns for thresholds, separated by commas", default=default or _NONE)
        thresholds = tuple(part.strip() for part in answer.split(",") if part.strip() in headers)
    if source is None:
        default = possible_source(columns, guessed.columns) or _NONE
        answer = click.prompt("Source column, if the file has several indicators", default=default)
        if answer in headers:
            source = answer
            shown = next(column.distinct for column in columns if column.header == answer)
            values = click.prompt(
                "Its values, exactly as in the wizard, separated by commas without spaces",
                default=",".join(sorted(shown))
                if shown and not any("," in value for value in shown)
                else None,
            )
            related = tuple(part for part in values.split(",") if part)
    answered = Roles(user, time, source, thresholds, roles.dates)
    made = guess(columns, answered)
    orders = next((column.orders for column in made.columns if column.orders), ())
    if orders:
        dates = click.prompt("Order of day (d), month (m) and year (y) in dates", type=click.Choice(orders))
        answered = replace(answered, dates=dates)
    form = choices.format
    decimal, in_doubt = decimal_sign(columns, made)
    if form.numbers is None and decimal is None and in_doubt is not None:
        signs = click.Choice(["point", "comma"])
        form = replace(
            form, numbers=click.prompt(f"Decimal sign of the numbers in {clean(in_doubt)}", type=signs)
        )
    zone = choices.zone
    if any(column.zoneless for column in made.columns) and needed_zone(made, zone) is None:
        zone = click.prompt("Time zone of the times, which have no offset", default="UTC")
    return answered, replace(choices, zone=zone, related_values=related, format=form)
