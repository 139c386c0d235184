"""`irmexport profile`: the profiles there are, and their text."""

from __future__ import annotations

import click
from irmcore import profile as profiles

from irmcli.say import Say
from irmcli.settings import Settings


@click.group("profile")
def command() -> None:
    """The shipped profiles, to copy and fill in."""


@command.command("list")
@click.pass_context
def list_profiles(ctx: click.Context) -> None:
    """List your own profiles and the shipped ones."""
    say, settings = Say.of(ctx), Settings.of(ctx)
    own = sorted(path.stem for path in settings.profiles.glob("*.yaml"))
    rows = [(name, "your own", settings.profile(name).description) for name in own]
    shipped = [name for name in profiles.shipped_names() if name not in own]
    rows += [(name, "shipped", settings.profile(name).description) for name in shipped]
    say.table("Profiles", ("name", "where", "what its rows are"), rows)
    say.document([{"name": name, "where": where, "description": text} for name, where, text in rows])


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Print the shipped profile NAME: irmexport profile show NAME > my-profile.yaml"""
    if name not in profiles.shipped_names():
        raise click.BadParameter(f"shipped are: {', '.join(profiles.shipped_names())}")
    click.echo(profiles.shipped_text(name), nl=False)
