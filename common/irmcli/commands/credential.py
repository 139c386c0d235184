"""`irmexport credential`: whether the credential can be read, when it ends, and putting one there."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click
from irmcore.clock import iso
from irmcore.disk import system_disk
from irmcore.errors import ConfigurationError, CredentialError
from irmcore.http import credentials
from irmcore.http.credentials import Secret
from irmcore.profile import CredentialRef

from irmcli import options
from irmcli.credential_stores import expiry
from irmcli.exit_codes import DONE, NEEDS_PERSON
from irmcli.output import Output
from irmcli.settings import Settings


@click.group("credential")
def command() -> None:
    """The client secret or certificate that a profile names."""


@command.command("check")
@options.profile
@click.pass_context
def check(ctx: click.Context, *, profile_name: str) -> None:
    """Read the credential, use it for nothing, and say when it ends. Exits with 4 within 30 days of it."""
    output, settings = Output.of(ctx), Settings.of(ctx)
    place = settings.profile(profile_name).connector.credential
    found = settings.credential(place)
    what = "client secret" if isinstance(found, Secret) else "certificate"
    end = iso(found.expires) if found.expires is not None else None
    output.line(f"{place.kind} {place.name}: a {what} can be read")
    if end is None:
        output.line(
            "When it ends is not known here: see Certificates & secrets of the application in Entra ID."
        )
    else:
        output.line(f"It ends {end}.")
    said = expiry.warning(found, time.time())
    if said is not None:
        output.warn(said)
    output.document({"kind": place.kind, "place": place.name, "what": what, "ends": end})
    ctx.exit(NEEDS_PERSON if said is not None else DONE)


@command.command("set")
@options.profile
@click.pass_context
def put(ctx: click.Context, *, profile_name: str) -> None:
    """Ask for a client secret and put it where the profile says: a keyring, or a file of mode 0600.

    It is typed without being shown, or read from standard input; it is never an argument.
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    place = settings.profile(profile_name).connector.credential
    write = {"keyring": _to_keyring, "file": _to_file}.get(place.kind)
    if write is None:
        raise ConfigurationError(
            f"irmexport does not write to `{place.kind}`",
            where=f"{place.kind} {place.name}",
            next_step=_BY_HAND[place.kind],
        )
    text = click.prompt("Client secret", hide_input=True) if sys.stdin.isatty() else _piped()
    write(place, credentials.secret(text.strip(), "standard input"))
    output.line(f"The secret is in {place.kind} {place.name}.")
    output.document({"kind": place.kind, "place": place.name})


_BY_HAND = {
    "env": "Set the variable where irmexport is started, for example by systemd's EnvironmentFile=.",
    "key_vault": "az keyvault secret set --vault-name VAULT --name SECRET --file FILE --expires DATE",
    "certificate": "Make the file with openssl (irmexport wizard has the commands), and chmod 600 it.",
}


def _piped() -> str:
    try:
        return sys.stdin.buffer.read(65_536).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CredentialError(
            "the credential is not UTF-8 text",
            where="standard input",
            next_step="Put the client secret's value there, and nothing else.",
        ) from None


def _to_keyring(place: CredentialRef, secret: Secret) -> None:
    from irmcli.credential_stores import system_keyring

    system_keyring.write(place.name, secret)


def _to_file(place: CredentialRef, secret: Secret) -> None:
    path = str(Path(place.name).expanduser())
    disk = system_disk()
    temporary = f"{path}.{os.getpid()}.new"
    try:
        disk.create(temporary, secret.reveal().encode() + b"\n")  # of mode 0600 from its first moment
        disk.sync(temporary)
        disk.rename(temporary, path)
        disk.sync_dir(str(Path(path).parent))
    except OSError as error:
        if Path(temporary).exists():
            Path(temporary).unlink()  # it may hold the secret
        raise ConfigurationError(
            f"the credential file cannot be written ({error.strerror})",
            where=path,
            next_step="Make its folder, or give the profile's `credential` another path.",
        ) from None
