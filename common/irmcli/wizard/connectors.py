"""How many connectors a set of profiles needs, and why. Pure functions.

A connector has one sample file, so it has one set of columns and one mapping. Profiles with the same layout
can share a connector, because its source column tells their rows apart. Others need one each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from irmcore.profile import Column, Profile
from irmcore.profile.model import PLACEHOLDER


@dataclass(frozen=True)
class Needed:
    """A connector to create. ``profiles`` feed it; ``profile`` is the first of them."""

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
        """What to enter under "Related values in source column": the values of all profiles, each once."""
        columns = [profile.column("source") for profile in self.profiles]
        return tuple(dict.fromkeys(value for column in columns if column for value in column.related_values))


def needed(profiles: Sequence[Profile]) -> list[Needed]:
    """The connectors that ``profiles`` need, in the order of the profiles."""
    groups: dict[object, list[Profile]] = {}
    for profile in profiles:
        # Only a source column can tell the rows of two profiles apart.
        shared = profile.column("source") is not None or profile.column("scenario") is not None
        groups.setdefault(_layout(profile) if shared else profile.name, []).append(profile)
    return [Needed(tuple(group), _why(group)) for group in groups.values()]


def conflicts(connectors: Sequence[Needed]) -> list[str]:
    """Contradictions between profiles: one job ID for two connectors, or two job IDs for one."""
    found: list[str] = []
    users: dict[str, str] = {}
    for connector in connectors:
        jobs = {p.connector.job_id for p in connector.profiles} - {PLACEHOLDER}
        if len(jobs) > 1:
            names = ", ".join(profile.name for profile in connector.profiles)
            found.append(
                f"{names} share one layout but have {len(jobs)} job IDs; a connector has one job ID."
            )
        for job in jobs:
            if job in users:
                found.append(
                    f"{connector.name} has the job ID of {users[job]} but other columns; a connector takes "
                    "one layout, so one of the two job IDs is wrong."
                )
            users[job] = connector.name
    return found


def _layout(profile: Profile) -> tuple[object, ...]:
    columns = tuple((column.header, column.type, column.role) for column in profile.columns)
    return profile.connector.kind, *profile.scenarios.items(), *columns


def _why(group: Sequence[Profile]) -> str:
    if len(group) > 1:
        return "their files have the same columns, and the source column tells their rows apart"
    source = group[0].column("source")
    if source is not None and len(source.related_values) > 1:
        return (
            f"one file with {len(source.related_values)} sources; the column {source.header} tells them apart"
        )
    return "its file has columns of its own"


def mapped_to(column: Column, value: str, values: Sequence[str]) -> bool:
    """Whether ``column`` applies to rows of ``value``: False only if it is named after other values."""
    header = column.header.lower()
    named = [other for other in values if other.lower() in header]
    return not named or value in named
