"""`irmexport profile`: list profiles, print one, and create one from a sample."""

import click
from irmcore import profile as profiles
from irmcore.errors import ProfileError
from irmcore.settings import did_you_mean

from irmcli.commands import profile_new
from irmcli.output import Output
from irmcli.settings import Settings


@click.group("profile")
def command() -> None:
    """List and print profiles, or create one from a sample."""


command.add_command(profile_new.command)


@command.command("list")
@click.pass_context
def list_profiles(ctx: click.Context) -> None:
    """List your own profiles and the shipped ones.

    Example: irmexport profile list
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    own = sorted(path.stem for path in settings.profiles.glob("*.yaml"))
    rows = [(name, "your own", _described(settings, name)) for name in own]
    shipped = [name for name in profiles.shipped_names() if name not in own]
    rows += [(name, "shipped", settings.profile(name).description) for name in shipped]
    output.table("Profiles", ("name", "where", "description"), rows)
    output.document([{"name": name, "where": where, "description": text} for name, where, text in rows])


def _described(settings: Settings, name: str) -> str:
    try:
        return settings.profile(name).description
    except ProfileError as error:
        return f"not valid: {error.what}"


@command.command("show")
@click.argument("name")
@click.pass_context
def show(ctx: click.Context, name: str) -> None:
    """Print the profile NAME, one of your own or a shipped one.

    Example: irmexport profile show leaver-prediction > my-profile.yaml
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    own = settings.profiles / f"{name}.yaml"
    if own.is_file():
        text = own.read_text(encoding="utf-8")
    elif name in profiles.shipped_names():
        text = profiles.shipped_text(name)
    else:
        raise click.BadParameter(did_you_mean(name, profiles.shipped_names(), plural="profiles"))
    if not output.as_json:
        output.raw(text.encode("utf-8"))  # it is a file for `--profile`, whatever the terminal's encoding
    output.document({"name": name, "text": text})
