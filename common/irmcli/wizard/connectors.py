"""How many connectors some profiles need, and why. Pure.

A connector has one sample file: one set of columns, one mapping. So profiles of one layout can share a
connector, told apart by its source column, and profiles of different layouts cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from irmcore.profile import Column, Profile
from irmcore.profile.model import PLACEHOLDER


@dataclass(frozen=True)
class Needed:
    """A connector to make; ``profiles`` feed it, ``profile`` is the first of them."""

    profiles: tuple[Profile, ...]
    why: str

    @property
    def profile(self) -> Profile:
        return self.profiles[0]

    @property
    def name(self) -> str:
        return self.profile.name

    @property
    def related_values(self) -> tuple[str, ...]:
        """What to enter under "Related values in source column": of all its profiles, each once."""
        columns = [profile.column("source") for profile in self.profiles]
        return tuple(dict.fromkeys(value for column in columns if column for value in column.related_values))


def needed(profiles: Sequence[Profile]) -> list[Needed]:
    """The connectors that ``profiles`` need, in their order."""
    groups: dict[object, list[Profile]] = {}
    for profile in profiles:
        # Without a source column nothing tells the rows of two profiles apart.
        shared = profile.column("source") is not None
        groups.setdefault(_layout(profile) if shared else profile.name, []).append(profile)
    return [Needed(tuple(group), _why(group)) for group in groups.values()]


def quarrels(connectors: Sequence[Needed]) -> list[str]:
    """What cannot be as the profiles have it: one job ID for two connectors, or two for one."""
    found: list[str] = []
    users: dict[str, str] = {}
    for connector in connectors:
        jobs = {p.connector.job_id for p in connector.profiles} - {PLACEHOLDER}
        if len(jobs) > 1:
            names = ", ".join(profile.name for profile in connector.profiles)
            found.append(f"{names} have one layout and {len(jobs)} job IDs: a connector has one.")
        for job in jobs:
            if job in users:
                found.append(
                    f"{connector.name} has the job ID of {users[job]} but other columns: a connector takes "
                    "one layout, so one of the two job IDs is wrong."
                )
            users[job] = connector.name
    return found


def _layout(profile: Profile) -> tuple[tuple[str, str, str], ...]:
    return tuple((column.header, column.type, column.role) for column in profile.columns)


def _why(group: Sequence[Profile]) -> str:
    if len(group) > 1:
        return "their files have the same columns, and a source column tells their rows apart"
    source = group[0].column("source")
    if source is not None and len(source.related_values) > 1:
        return f"one file with {len(source.related_values)} sources, told apart by the column {source.header}"
    return "its file has columns of its own"


def mapped_to(column: Column, value: str, values: Sequence[str]) -> bool:
    """Whether a column is for the rows of ``value``: unless its name has another value's name in it."""
    header = column.header.lower()
    named = [other for other in values if other.lower() in header]
    return not named or value in named
