"""Which profile a file belongs to: patterns over paths, of which the first match wins."""

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
    """Files whose path in the directory matches ``pattern`` use ``profile``. ``*`` also matches slashes."""

    pattern: str
    profile: Profile
    connection: Connection


def parse_routes(
    settings: Settings, options: Sequence[str], profile: str | None, emulator: str | None
) -> tuple[Route, ...]:
    """The routes of `--route PATTERN=PROFILE` options, or of `--profile`. Raises ProfileError."""
    pairs = [tuple(option.rpartition("=")[::2]) for option in options]
    if bool(pairs) == (profile is not None):
        raise click.UsageError("Give one --profile for all files, or --route PATTERN=PROFILE for each kind.")
    for pattern, name in pairs:
        if not (pattern and name):
            raise click.UsageError("Write a route as PATTERN=PROFILE, for example 'leavers/*.csv=leavers'.")
    if profile is not None:
        pairs = [("*", profile)]
    found = []
    for pattern, name in pairs:
        chosen = settings.profile(name)
        found.append(Route(pattern, chosen, connection_to(chosen, emulator)))
    return tuple(found)


def choose(routes: Sequence[Route], path: str) -> Route | None:
    """The first route that matches a path relative to the directory."""
    return next((route for route in routes if fnmatch.fnmatchcase(path, route.pattern)), None)
