"""The draft of a profile whose kind of connector has scenarios: columns of a sample mapped to its fields.

Promised: the person is the column that the page's own name or a person's choice says, never one guessed from
its values: beside the employee, an HR export names managers, reviewers and who entered the row. Columns that
the scenarios do not have are left out. The text contains no value of the sample but those that tell
scenarios apart.
"""

import shlex
from collections.abc import Mapping, Sequence

from irmcore.errors import ConfigurationError
from irmcore.profile.kinds import Field, Kind

from irmcli.output import clean
from irmcli.profile_setup.choice import Choice
from irmcli.profile_setup.column_stats import ColumnStats
from irmcli.profile_setup.draft import Draft, check_times, needed_zone
from irmcli.profile_setup.guesses import Guess, Guesses, Roles, form_of_times
from irmcli.profile_setup.profile_text import Choices, head, identity_lines, input_lines, scalar
from irmcli.profile_setup.sample import Sample

#: What the column that tells scenarios apart is mapped to, and its name in Microsoft's examples.
SCENARIO = "HRScenario"


def hr_draft(
    sample: Sample,
    kind: Kind,
    scenarios: Sequence[str],
    roles: Roles,
    choices: Choices,
    *,
    maps: Mapping[str, str],
) -> Draft:
    """The profile of a sample; ``maps`` are the fields of columns with other names.

    Raises ConfigurationError if a mandatory column, the order of day and month or a time zone is not known.
    """
    known = list(dict.fromkeys(field for name in scenarios for field in kind.scenarios[name].fields))
    column_of = {field: column for column, field in maps.items()}
    if roles.user is not None:
        column_of[kind.user] = roles.user
    for column in sample.columns:
        found = kind.field(column.header)
        name = found.name if found else SCENARIO if column.header.lower() == SCENARIO.lower() else ""
        if name in known or (name == SCENARIO and len(scenarios) > 1):
            column_of.setdefault(name, column.header)
    _check(sample, kind, scenarios, column_of)
    stats = {column.header: column for column in sample.columns}
    field_of = {header: field for field, header in column_of.items()}
    guesses = [
        _guess(kind.field(field_of[column.header]), column, sample.columns, roles)
        for column in sample.columns
        if column.header in field_of
    ]
    user = Choice(column_of[kind.user], "the person of the row")
    made = Guesses(guesses, user, Choice(None, ""))
    check_times(made, sample, choices)
    zone = needed_zone(made, choices.zone)
    values = stats[column_of[SCENARIO]].distinct or set() if SCENARIO in column_of else set()
    lines = [
        *head(choices, kind.title, kind.name),
        *identity_lines(choices, column_of[kind.user]),
        *input_lines(choices, zone),
        "# Each scenario with its value in the column that tells them apart, as in the wizard.",
        "scenarios:",
        *(f"  {name}: {scalar(_value(kind.scenarios[name].value, values))}" for name in scenarios),
        "",
        "columns:",
    ]
    for guess in guesses:
        lines += _column(guess, field_of[guess.header], kind)
    return Draft(made, None, "\n".join(lines) + "\n", left_out=len(sample.columns) - len(guesses))


def _check(sample: Sample, kind: Kind, scenarios: Sequence[str], column_of: Mapping[str, str]) -> None:
    headers = [column.header for column in sample.columns]
    needed = [field for name in scenarios for field in kind.scenarios[name].required]
    missing = [field for field in dict.fromkeys(needed) if field not in column_of]
    if kind.user in missing:
        people = [clean(c.header) for c in sample.columns if c.nearly_all(c.users)]
        raise ConfigurationError(
            f"no column is named {kind.user}, and who the row is about is not guessed"
            + (
                f": {', '.join(people)} could be the employee, a manager or who entered the row"
                if people
                else ""
            ),
            where=sample.path,
            next_step="Name the employee's column: "
            + " or ".join(f"--user {shlex.quote(name)}" for name in people or ["COLUMN"]),
        )
    if len(scenarios) > 1 and SCENARIO not in column_of:
        missing.append(SCENARIO)
    if missing:
        raise ConfigurationError(
            f"no column of the sample is {' or '.join(missing)}: {', '.join(map(clean, headers))}",
            where=sample.path,
            next_step=f"Name each with {' '.join(f'--map COLUMN={name}' for name in missing)}, or add it to "
            "the export: it is mandatory.",
        )


def _guess(field: Field | None, column: ColumnStats, columns: Sequence[ColumnStats], roles: Roles) -> Guess:
    if field is None:
        return Guess(column.header, "string", "scenario", "tells the scenarios apart")
    if field.type == "user":
        return Guess(column.header, "user", "user", f"the employee: {field.name}")
    if field.type == "datetime" and column.filled:
        return form_of_times(column, columns, roles, f"{field.name}; ")
    return Guess(column.header, field.type, "information", field.name, required=False)


def _value(published: str, values: set[str]) -> str:
    """The sample's own spelling of a scenario's value; of several, Microsoft's or the first by letters."""
    own = (value for value in values if value.lower() == published.lower())
    return min(own, key=lambda value: (value != published, value), default=published)


def _column(guess: Guess, field: str, kind: Kind) -> list[str]:
    lines = [f"  # {guess.why}", f"  - header: {scalar(guess.header)}", f"    type: {guess.type}"]
    if guess.role == "scenario":
        return [*lines, "    role: scenario"]
    named = kind.field(guess.header)
    if guess.type != "user" and (named is None or named.name != field):
        lines.append(f"    maps_to: {field}")
    if guess.time_field is not None:
        lines.append(f"    time_field: {scalar(guess.time_field)}")
    if guess.type == "datetime" and guess.format != "auto":
        lines.append(f"    format: {guess.format}")
    return lines
