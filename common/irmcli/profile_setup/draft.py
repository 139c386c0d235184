"""The draft of a profile: the guesses as YAML text, checked by shaping the sample with it.

Errors name the option or the column of the sample to change, because the profile does not exist yet.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from irmcore import profile as profiles
from irmcore.errors import ConfigurationError, ProfileError
from irmcore.intake.dry_run import dry_run
from irmcore.intake.run_result import RunResult

from irmcli.output import clean
from irmcli.profile_setup import profile_text
from irmcli.profile_setup.guesses import Guesses, Roles, guess, possible_source
from irmcli.profile_setup.profile_text import Choices
from irmcli.profile_setup.sample import Sample
from irmcli.session.input_file import open_table

#: A key at the beginning of a ProfileError: the column's number, or the key that an option sets.
_COLUMN = re.compile(r"`columns(?:\[([0-9]+)\])?")
_OPTION = re.compile(r"`(?:connector\.|input\.)?(job_id|tenant_id|app_id|credential|zone|description)`")


@dataclass(frozen=True)
class Draft:
    """A profile that is not saved yet; ``possible_source`` may be the wizard's source column."""

    guesses: Guesses
    possible_source: str | None
    text: str


def draft(sample: Sample, roles: Roles, choices: Choices) -> Draft:
    """The profile of a sample.

    Raises ConfigurationError without a user, a time or a needed time zone, and if a person has to choose the
    user or the time.
    """
    guesses = guess(sample.columns, roles)
    columns = guesses.columns
    _check_roles(guesses, sample, choices)
    possible = None if roles.source else possible_source(sample.columns, columns)
    zone = choices.zone if any(column.zoneless for column in columns) else None
    return Draft(guesses, possible, profile_text.write(replace(choices, zone=zone), columns, possible))


def shape_sample(draft: Draft, target: Path, sample: str) -> RunResult:
    """The sample, shaped with the draft. Raises ConfigurationError if the draft is not a valid profile."""
    try:
        profile = profiles.parse(draft.text, str(target))
    except ProfileError as error:
        raise _without_profile(error, sample) from None
    with open_table(sample, profile, "auto") as table:
        return dry_run(table, profile, None, name=sample)


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
                next_step=f"Name it with {flag} COLUMN, or add it to the export: the connector needs one.",
            )
    zoneless = next((column for column in guesses.columns if column.zoneless), None)
    if zoneless is not None and choices.zone is None:
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
