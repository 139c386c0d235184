"""Options and arguments that several subcommands share."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click
from irmcore.clouds import CLOUDS

from irmcli.session.input_file import FORMATS

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

FOLDER = click.Path(file_okay=False, path_type=Path)


def period(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Click callback: a period such as 36h or 7d, in seconds."""
    if value is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,3})([hd])", value, re.ASCII)
    if found is None:
        raise click.BadParameter("write it as 36h or 7d")
    return int(found[1]) * (3_600 if found[2] == "h" else 86_400)


directory_of_people: Decorator = click.option(
    "--directory",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="IRMEXPORT_IDENTITIES",
    help="File of the directory of people.  [default: identities.sqlite in the outbox directory]",
)
profile: Decorator = click.option(
    "-p",
    "--profile",
    "profile_name",
    required=True,
    help="Profile: a path, or the name of one of your own or a shipped one.",
)
form: Decorator = click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="auto",
    show_default=True,
    help="Format of FILE; auto decides by its first character.",
)
emulator: Decorator = click.option(
    "--emulator",
    "emulator_dir",
    type=click.Path(file_okay=False),
    help="Use the local emulator that runs with this directory instead of Microsoft's service.",
)
graph_cloud: Decorator = click.option(
    "--cloud",
    type=click.Choice(list(CLOUDS)),
    default="commercial",
    show_default=True,
    help="The tenant's cloud.",
)
graph_emulator: Decorator = click.option(
    "--emulator",
    "emulator_dir",
    type=FOLDER,
    help="Read the local emulator of `identities emulator` with this directory.",
)


def _all(options: Sequence[Decorator]) -> Decorator:
    """Several options as one decorator, in their order in the help."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def local_emulator(directory: str, what: str, port: int) -> Decorator:
    """The options `directory`, `port` and `lifetime` of a command that runs a local emulator.

    ``directory`` and ``port`` are the defaults; ``what`` says what is in the directory.
    """
    ports, lifetime = click.IntRange(0, 65_535), click.FloatRange(1, 7 * 86_400)
    any_port, until = "0: any free port.", "Seconds after which it stops."
    return _all(
        (
            click.option("--directory", type=FOLDER, default=directory, show_default=True, help=what),
            click.option("--port", type=ports, default=port, show_default=True, help=any_port),
            click.option("--lifetime", type=lifetime, default=3600.0, show_default=True, help=until),
        )
    )


file: Decorator = click.argument("file", metavar="FILE", type=click.Path(allow_dash=True))


def _not_empty(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("give a reason: the audit log records it")
    return value


why: Decorator = click.option(
    "--why",
    required=True,
    callback=_not_empty,
    help="Reason for the audit log: how you know, or what you fixed.",
)


def _store(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, str] | None:
    """Click callback: KIND:NAME, as in a profile's `credential`."""
    if value is None:
        return None
    kind, colon, name = value.partition(":")
    known = {"env", "file", "certificate", "key_vault", "keyring", "managed_identity", "workload_identity"}
    if not (colon and name) or kind not in known:
        raise click.BadParameter(
            "write it as file:PATH, certificate:PATH, env:NAME, key_vault:URL, keyring:NAME, "
            "managed_identity:CLIENT-ID or workload_identity:PATH"
        )
    return kind, name


_SIGN_IN: tuple[Decorator, ...] = (
    click.option(
        "--sign-in",
        type=click.Choice(("default", "managed-identity", "cli", "app")),
        default="default",
        show_default=True,
        help="Who signs in: what azure-identity finds, a managed identity, az, or an application.",
    ),
    click.option("--tenant-id", help="Tenant, for cli and app."),
    click.option("--client-id", help="Application, or the client ID of a user-assigned managed identity."),
    click.option(
        "--credential",
        callback=_store,
        metavar="KIND:NAME",
        help="Where the application's secret or certificate is, as in a profile: "
        "file:PATH, certificate:PATH, …",
    ),
)


@dataclass(frozen=True)
class SignIn:
    """Who signs in to Microsoft Graph or Azure: `--sign-in` and the options after it."""

    kind: str = "default"
    tenant_id: str | None = None
    client_id: str | None = None
    credential: tuple[str, str] | None = None


def sign_in(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command ``who``, a SignIn."""

    @wraps(command)
    def with_who(
        *args: Any,
        sign_in: str,
        tenant_id: str | None,
        client_id: str | None,
        credential: tuple[str, str] | None,
        **more: Any,
    ) -> Any:
        return command(*args, who=SignIn(sign_in, tenant_id, client_id, credential), **more)

    return _all(_SIGN_IN)(with_who)
