"""Which file goes through which profile: patterns over paths, the first that fits."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

import click
from irmcore.delivery.connection import Connection
from irmcore.profile import Profile

from irmcli.emulator.connection import connection_to
from irmcli.settings import Settings


@dataclass(frozen=True, eq=False)
class Route:
    """Files whose path in the folder fits ``pattern`` (* fits slashes too) are ``profile``'s."""

    pattern: str
    profile: Profile
    connection: Connection


def read(
    settings: Settings, texts: Sequence[str], profile: str | None, emulator: str | None
) -> tuple[Route, ...]:
    """The routes of `PATTERN=PROFILE` options, or one for all files. Raises ProfileError."""
    pairs = [tuple(text.rpartition("=")[::2]) for text in texts]
    if bool(pairs) == (profile is not None):
        raise click.UsageError("Give one --profile for all files, or --route PATTERN=PROFILE for each kind.")
    for pattern, name in pairs:
        if not (pattern and name):
            raise click.UsageError("A route is written PATTERN=PROFILE, as in 'leavers/*.csv=leavers'.")
    if profile is not None:
        pairs = [("*", profile)]
    found = []
    for pattern, name in pairs:
        chosen = settings.profile(name)
        found.append(Route(pattern, chosen, connection_to(chosen, emulator)))
    return tuple(found)


def choose(routes: Sequence[Route], path: str) -> Route | None:
    """The first route that fits a path relative to the folder."""
    return next((route for route in routes if fnmatch.fnmatchcase(path, route.pattern)), None)
