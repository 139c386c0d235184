"""`irmexport identities sync` and `emulator`: read Microsoft Entra ID through Microsoft Graph."""

from __future__ import annotations

import contextlib
import re
from dataclasses import asdict
from pathlib import Path

import click
from irmcore.errors import ConfigurationError
from irmcore.profile import Profile

from irmcli import options
from irmcli.extras import entra_extra
from irmcli.output import Output, count
from irmcli.settings import Settings

#: Seconds by which this machine's clock may differ from Graph's without a warning.
_SKEW = 300
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


def _pair(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """Click callback: NETBIOS=DNS.DOMAIN, as a mapping from the DNS name."""
    found = {}
    for text in value:
        name, equals, domain = text.partition("=")
        if not (equals and name and "." in domain) or "." in name or "\\" in text:
            raise click.BadParameter("write it as CONTOSO=corp.contoso.com")
        found[domain.lower()] = name
    return found


@click.command("sync")
@options.directory_of_people
@options.graph_cloud
@options.sign_in
@click.option(
    "-p",
    "--profile",
    "names",
    multiple=True,
    help="A profile whose `scope` names groups: read their members. "
    "Default: your own profiles that use this directory.",
)
@click.option(
    "--netbios",
    callback=_pair,
    multiple=True,
    metavar="NAME=DOMAIN",
    help="NetBIOS name of a domain, as CONTOSO=corp.contoso.com, to resolve CONTOSO\\name. Repeatable.",
)
@click.option("--full", is_flag=True, help="Read everybody, not only what changed.")
@click.option("--accept-removals", is_flag=True, help="Accept that most people of the directory are gone.")
@options.graph_emulator
@click.pass_context
def sync(
    ctx: click.Context,
    *,
    directory: Path | None,
    cloud: str,
    who: options.SignIn,
    names: tuple[str, ...],
    netbios: dict[str, str],
    full: bool,
    accept_removals: bool,
    emulator_dir: Path | None,
) -> None:
    """Read the people of Entra ID into the directory.

    The first run reads everybody, later ones what has changed.

    Needs the application permission User.Read.All of Microsoft Graph; GroupMember.Read.All too if a profile's
    scope names groups. Run it at least every day: Graph remembers what changed for 7 days.

    Example: irmexport identities sync --sign-in managed-identity
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    with entra_extra():
        from irmcli.identities.sign_in import graph_client
    from irmcore.clock import SystemClock

    from irmcli.identities.sync import Sync

    client = graph_client(who, cloud, settings.environment, emulator_dir)
    path = (directory or settings.directory_of_people).absolute()
    groups = _groups(settings, names, path)
    if directory is None:
        settings.outbox_ready()
    with output.progress("reading") as progress:
        job = Sync(client, SystemClock(), groups, netbios, accept_removals, progress)
        done = job.run(path, full=full)
    if abs(done.skew) > _SKEW:
        output.warn(
            f"this machine's clock differs from Microsoft Graph's by {abs(done.skew) / 60:.0f} minutes. "
            "The directory has Graph's times."
        )
    what = "everybody" if done.full else "what changed"
    output.line(f"Read {what}: {count(done.read, 'object')} on {count(done.pages, 'page')}.")
    if done.removed:
        output.line(f"{done.removed:,} are gone.")
    if groups:
        output.line(f"Read the members of {count(done.groups, 'group')}.")
    output.line(f"The directory has {done.people:,} people: {path}")
    output.document({"directory": str(path), **asdict(done), "skew": round(done.skew, 1)})


def _groups(settings: Settings, names: tuple[str, ...], path: Path) -> list[str]:
    """The object ids of the groups in the scopes of these profiles; of those that use ``path`` if none is
    named.

    Raises ConfigurationError.
    """
    profiles = [settings.profile(name) for name in names]
    if not names:
        profiles = [profile for profile in settings.own_profiles() if _uses(profile, path)]
    groups = {group for profile in profiles for group in _scope_groups(profile)}
    for group in groups:
        if not _GUID.fullmatch(group):
            raise ConfigurationError(
                "a group of a profile's `scope` is not an object id, and a group's name is not unique",
                where="scope.groups",
                next_step="Write the group's object id, which Entra ID shows on the group's page.",
            )
    return sorted(group.lower() for group in groups)


def _uses(profile: Profile, path: Path) -> bool:
    identity = profile.identity
    return identity is not None and identity.directory is not None and Path(identity.directory) == path


def _scope_groups(profile: Profile) -> list[str]:
    scope = profile.scope
    sides = (scope.include, scope.exclude) if scope is not None else ()
    return [group for side in sides if side is not None for group in side.groups]


@click.command("emulator")
@options.local_emulator("irmexport-graph", "Directory for its address, its CA and a made-up secret.", 8444)
@click.option(
    "--people", type=click.IntRange(0, 1_000_000), default=50, show_default=True, help="Number of people."
)
@click.option(
    "--files",
    type=options.FOLDER,
    help="Put the files of this directory into the folder inbox of its SharePoint library.",
)
@click.pass_context
def emulator(
    ctx: click.Context, *, directory: Path, people: int, files: Path | None, port: int, lifetime: float
) -> None:
    """Run a local emulator of Microsoft Graph.

    It serves HTTPS on this machine only.

    It has made-up people, and a SharePoint library for `irmexport watch`.

    Example: irmexport identities emulator --port 0
    """
    from irmemulator.graph_emulator import GraphEmulator, GraphOptions
    from irmemulator.graph_tenant import GraphTenant
    from irmemulator.synthetic_people import APP, TENANT
    from irmemulator.synthetic_people import people as made_up

    from irmcli.emulator.launch import running

    output = Output.of(ctx)
    tenant = GraphTenant(made_up(people))
    emulator = GraphEmulator(tenant, GraphOptions(TENANT, APP), directory, port=port, lifetime=lifetime)
    drive = emulator.drive
    drive.folder("inbox")
    for file in sorted(files.iterdir()) if files is not None else ():
        if file.is_file():
            drive.save(f"inbox/{file.name}", file.read_bytes())
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with running(emulator, port):
        emulator.announce()
        output.line(
            f"An emulator of Microsoft Graph, not Microsoft's service: {emulator.url}/v1.0/users/delta"
        )
        output.line(f"  irmexport identities sync --directory people.sqlite --emulator {directory}")
        folder = f"sharepoint://{drive.host}/{drive.site}/{drive.library}/inbox"
        output.line(f"  irmexport watch {folder} --graph-emulator {directory} --profile PROFILE")
        output.line(f"It stops after {lifetime:,.0f} s, or when you press Ctrl-C.")
        output.document({"url": emulator.url, "directory": str(directory)})
        with contextlib.suppress(KeyboardInterrupt):
            emulator.wait()
