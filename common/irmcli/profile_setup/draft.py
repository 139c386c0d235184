"""The draft of a profile: the guesses as YAML text, checked by shaping the sample with it.

Errors name the option or the column of the sample to change, because the profile does not exist yet.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from irmcore import profile as profiles
from irmcore.errors import ConfigurationError, ProfileError
from irmcore.identity import SYNC
from irmcore.intake.dry_run import dry_run
from irmcore.intake.run_result import RunResult
from irmcore.reasons import REASONS, Refused
from irmcore.shaping import numbers, times

from irmcli.output import clean
from irmcli.profile_setup import profile_text
from irmcli.profile_setup.column_stats import ColumnStats
from irmcli.profile_setup.guesses import FORM_NAMES, Guess, Guesses, Roles, guess, possible_source
from irmcli.profile_setup.profile_text import Choices
from irmcli.profile_setup.sample import Sample
from irmcli.session.input_file import open_table

#: A key at the beginning of a ProfileError: the column's number, or the key that an option sets.
_COLUMN = re.compile(r"`columns(?:\[([0-9]+)\])?")
_OPTION = re.compile(r"`(?:connector\.|input\.)?(job_id|tenant_id|app_id|credential|zone|description)`")

#: How to get a directory of people, from Entra or from a file.
_PEOPLE = f"{SYNC}, or: irmexport identities import FILE"
#: A profile's most columns, and how many are taken of a sample that has more.
MOST_COLUMNS, TAKEN = 100, 20


@dataclass(frozen=True)
class Draft:
    """A profile that is not saved yet; ``possible_source`` may be the wizard's source column.

    ``readings`` are cells that are not in the usual form, with what is read of them: column, cell, reading.
    Only times and numbers are shown. ``left_out`` columns of a wide sample are not in the profile.
    """

    guesses: Guesses
    possible_source: str | None
    text: str
    readings: tuple[tuple[str, str, str], ...] = ()
    left_out: int = 0


def draft(sample: Sample, roles: Roles, choices: Choices, chosen: Sequence[str] = ()) -> Draft:
    """The profile of a sample; ``chosen`` are the columns to take, all if it is empty.

    Raises ConfigurationError without a user, a time or a needed time zone, and if a person has to choose the
    user, the time, the order of day and month, or the decimal sign.
    """
    guesses = guess(sample.columns, roles)
    _check_roles(guesses, sample, choices)
    decimal, in_doubt = decimal_sign(sample.columns, guesses)
    decimal = choices.format.numbers or decimal
    if decimal is None and in_doubt is not None:
        _refuse_two_signs(sample, guesses)
        raise ConfigurationError(
            f"the numbers in column {clean(in_doubt)} can be read in two ways: "
            "1.250 is one and a quarter, or one thousand two hundred and fifty",
            where=sample.path,
            next_step="Say which sign is decimal: --numbers point, or --numbers comma.",
        )
    columns = _taken(guesses.columns, chosen)
    possible = None if roles.source else possible_source(sample.columns, guesses.columns)
    zone = needed_zone(guesses, choices.zone)
    choices = replace(choices, zone=zone, format=replace(choices.format, numbers=decimal))
    text = profile_text.write(choices, columns, possible)
    readings = _readings(sample.columns, columns, choices)
    return Draft(
        replace(guesses, columns=columns), possible, text, readings, len(guesses.columns) - len(columns)
    )


def needed_zone(guesses: Guesses, given: str | None) -> str | None:
    """The time zone of times without an offset: as given, or UTC if the column's name says so."""
    zoneless = [column for column in guesses.columns if column.zoneless]
    if not zoneless:
        return None
    return given or ("UTC" if all(column.utc for column in zoneless) else None)


def decimal_sign(columns: Sequence[ColumnStats], guesses: Guesses) -> tuple[str | None, str | None]:
    """The decimal sign that the number columns show, and a column whose numbers can be read in two ways."""
    of_numbers = {column.header for column in guesses.columns if column.type == "number"}
    found = [column for column in columns if column.header in of_numbers and column.signs]
    shown = {sign for column in found for sign in column.signs if sign != "either"}
    if len(shown) == 1:
        return shown.pop(), None
    doubted = next((column.header for column in found if shown or "either" in column.signs), None)
    return None, doubted


def _refuse_two_signs(sample: Sample, guesses: Guesses) -> None:
    """Raise ConfigurationError with the lines if some numbers prove a decimal point and others a comma."""
    numbered = {column.header for column in guesses.columns if column.type == "number"}
    found = [column for column in sample.columns if column.header in numbered]
    lines = {sign: (c.signs[sign], c.header) for c in found for sign in ("point", "comma") if sign in c.signs}
    if len(lines) > 1:
        said = " and ".join(
            f"a {sign} in line {at} ({clean(header)})" for sign, (at, header) in lines.items()
        )
        raise ConfigurationError(
            f"numbers have two decimal signs: {said}",
            where=sample.path,
            next_step="Export it with one. To refuse the other's rows: --numbers point, or --numbers comma.",
        )


def _taken(columns: Sequence[Guess], chosen: Sequence[str]) -> list[Guess]:
    """The columns of the profile: the chosen ones, or of a wide sample the first that tell something."""
    if not chosen and len(columns) <= MOST_COLUMNS:
        return list(columns)
    kept = [c.header for c in columns if c.role != "information" or c.header in chosen]
    if not chosen:
        rest = (c.header for c in columns if c.role == "information" and c.why != "empty in this sample")
        kept += list(rest)[: max(0, TAKEN - len(kept))]
    return [column for column in columns if column.header in kept]


def _readings(
    stats: Sequence[ColumnStats], columns: Sequence[Guess], choices: Choices
) -> tuple[tuple[str, str, str], ...]:
    """Three cells in forms that others read differently, times before numbers, and what is read of them."""
    examples = {column.header: column.examples for column in stats}
    try:
        zone = times.zone_named(choices.zone) if choices.zone else None
    except LookupError:
        return ()  # `shape_sample` reports it
    decimal = numbers.reader(choices.format.numbers, asks=True)
    found: list[tuple[str, str, str]] = []
    for column in columns:
        for cell in examples[column.header]:
            try:
                if column.role == "time" and column.format != "auto" and column.time_field is None:
                    read = times.canonical(times.parse(cell, zone=zone, form=column.format))
                    found.insert(0, (column.header, cell, f"{read[:19]}Z"))
                elif column.type == "number" and (
                    (numbers.signs(cell) and choices.format.numbers) or numbers.ungrouped(cell) != cell
                ):
                    found.append((column.header, cell, decimal(cell)))
            except Refused:
                continue
    return tuple(found[:2] + found[-1:] if len(found) > 3 else found)  # noqa: PLR2004


def shape_sample(draft: Draft, target: Path, sample: str, people: str) -> RunResult:
    """The sample, shaped with the draft; ``people`` is the path of the directory of people.

    Raises ConfigurationError if the draft is not a valid profile, and if it would refuse every row, but for
    names that the directory may know later. Raises PeopleError for a directory that is too old.
    """
    try:
        profile = profiles.parse(draft.text, str(target)).with_directory(people)
    except ProfileError as error:
        raise _without_profile(error, sample) from None
    with open_table(sample, profile, "auto") as table:
        done = dry_run(table, profile, None, name=sample)
    if done.counts.rejected < done.counts.read:
        return done
    (column, code), number = max(done.reasons.items(), key=lambda item: item[1])
    if profile.identity is None or not code.startswith("user-"):
        raise ConfigurationError(
            f"every row of the sample would be refused; {number} of {done.counts.read} as {code}"
            + (f" in column {clean(column)}" if column else ""),
            where=sample,
            next_step=f"No profile was written. {REASONS[code].meaning} {_advice(code)}",
        )
    return done


def _advice(code: str) -> str:
    advice = REASONS[code].advice("file")
    if code.startswith("upn-"):
        return f"{advice} Or let irmexport look names up. {_PEOPLE}. Then run this again."
    return {
        "ragged-long": f"{advice} If the last column is a text with delimiters: --join-last.",
        "number-grouped": "Say which sign is decimal: --numbers point, or --numbers comma.",
        "number-two-ways": "Say which sign is decimal: --numbers point, or --numbers comma.",
    }.get(code, advice)


def _check_roles(guesses: Guesses, sample: Sample, choices: Choices) -> None:
    for role, choice, flag, what in (
        ("user", guesses.user, "--user", "user principal names"),
        ("time", guesses.time, "--time", "event times"),
    ):
        if choice.header is None and choice.alternatives:
            listed = "; ".join(f"{clean(made.header)} {made.why}" for made in choice.alternatives)
            options = " or ".join(f"{flag} {shlex.quote(clean(m.header))}" for m in choice.alternatives)
            raise ConfigurationError(
                f"the column of the {role} is not certain: {listed}",
                where=sample.path,
                next_step=f"Choose it with {options}.",
            )
        if choice.header is None:
            raise ConfigurationError(
                f"no column of the sample contains {what}",
                where=sample.path,
                next_step=f"Name it with {flag} COLUMN, or add it to the export: the connector needs one."
                + (
                    f" Account names, mail addresses or employee numbers can be looked up. {_PEOPLE}. Then"
                    " name their column."
                    if flag == "--user"
                    else ""
                ),
            )
    check_times(guesses, sample, choices)


def check_times(guesses: Guesses, sample: Sample, choices: Choices) -> None:
    """Raise ConfigurationError for times that can be read in two ways, or whose zone is not known."""
    either = next((column for column in guesses.columns if column.orders), None)
    if either is not None:
        options = " or ".join(f"--dates {order}" for order in either.orders)
        only = next(column.only for column in sample.columns if column.header == either.header)
        if sum(order in only for order in either.orders) > 1:
            said = " and ".join(
                f"line {only[order]} as {FORM_NAMES[order]}" for order in either.orders if order in only
            )
            raise ConfigurationError(
                f"the dates in column {clean(either.header)} are in several orders: {said}",
                where=sample.path,
                next_step=f"Export it with one order. To refuse the rows with the others: {options}.",
            )
        raise ConfigurationError(
            f"the dates in column {clean(either.header)} can be read in more than one order of day and month",
            where=sample.path,
            next_step=f"Say which: {options} (d day, m month, y year).",
        )
    zoneless = next((column for column in guesses.columns if column.zoneless), None)
    if zoneless is not None and needed_zone(guesses, choices.zone) is None:
        raise ConfigurationError(
            f"the times in column {clean(zoneless.header)} have no offset, so their time zone must be known",
            where=sample.path,
            next_step="Set the time zone they were recorded in: --zone UTC, or --zone Europe/Berlin.",
        )


def _without_profile(error: ProfileError, sample: str) -> ConfigurationError:
    """The same error for a person who has no profile yet, only options and a sample."""
    column, option = _COLUMN.match(error.what), _OPTION.match(error.what)
    if option is not None:
        flag = f"--{option[1].replace('_', '-')}"
        return ConfigurationError(f"`{flag}`{error.what[option.end() :]}", next_step=error.next_step)
    if column is None:
        return ConfigurationError(error.what, next_step=f"Correct the option. {error.next_step}")
    if column[1] is None:
        what = error.what
        step = "Export fewer columns: the user, the time, a number, and what explains a row."
    else:
        what = f"column {int(column[1]) + 1} has a name that no connector can have ({error.what})"
        step = "Rename the column in the sample and in the export, or leave it out."
    return ConfigurationError(what, where=f"{sample}:1", next_step=step)
