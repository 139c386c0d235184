"""`irmexport credential`: check that a credential is readable, and store one."""

import subprocess
import sys
import time
from pathlib import Path

import click
from irmcore.clock import iso
from irmcore.clouds import CLOUDS, TOKEN_EXCHANGE
from irmcore.disk import replace_file, system_disk
from irmcore.errors import ConfigurationError, CredentialError
from irmcore.http import credentials
from irmcore.http.credentials import Assertion, Secret
from irmcore.profile import CredentialRef

from irmcli import options
from irmcli.credential_stores import certificate, expiry
from irmcli.exit_codes import DONE, NEEDS_PERSON
from irmcli.output import Output
from irmcli.settings import Settings


@click.group("credential")
def command() -> None:
    """Check or store the credential of a profile."""


@command.command("check")
@options.profile
@click.pass_context
def check(ctx: click.Context, *, profile_name: str) -> None:
    """Check that the credential is readable and when it expires. Exits with 4 if within 30 days.

    Example: irmexport credential check --profile leaver-prediction
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    connector = settings.profile(profile_name).connector
    reference = connector.credential
    found = settings.credential(reference)
    what = "client secret" if isinstance(found, Secret) else "certificate"
    if isinstance(found, Assertion):
        what = "token of a federated credential"
        found.reveal()(TOKEN_EXCHANGE[CLOUDS[connector.cloud].login])
    expires = iso(found.expires) if found.expires is not None else None
    output.line(f"{reference.kind} {reference.name}: readable {what}")
    if isinstance(found, Assertion):
        output.line(
            f"It needs no renewal. Whether the application trusts it: irmexport doctor -p {profile_name}"
        )
    elif expires is None:
        output.line(
            "Its expiry date is not known here: see Certificates & secrets of the application in Entra ID."
        )
    else:
        output.line(f"It expires on {expires}.")
    warning = expiry.warning(found, time.time())
    if warning is not None:
        output.warn(warning)
    output.document({"kind": reference.kind, "place": reference.name, "what": what, "ends": expires})
    ctx.exit(NEEDS_PERSON if warning is not None else DONE)


@command.command("set")
@options.profile
@click.pass_context
def set_(ctx: click.Context, *, profile_name: str) -> None:
    """Store a client secret where the profile says.

    That is a keyring, or a file of mode 0600.

    Prompts for the secret without showing it, or reads it from standard input. It is never an argument. A
    keyring also takes a certificate with its key, as PEM on standard input.

    Example: irmexport credential set --profile my-profile.yaml
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    reference = settings.profile(profile_name).connector.credential
    write = {"keyring": _to_keyring, "file": _to_file}.get(reference.kind)
    if write is None:
        raise ConfigurationError(
            f"irmexport does not write to `{reference.kind}`",
            where=f"{reference.kind} {reference.name}",
            next_step=_BY_HAND[reference.kind],
        )
    text = click.prompt("Client secret", hide_input=True) if sys.stdin.isatty() else _piped()
    if reference.kind == "keyring" and certificate.PEM in text:
        certificate.parse(text.encode(), None, "standard input")  # raises if it could not be used
        write(reference, Secret(text))
    else:
        write(reference, credentials.secret(text.strip(), "standard input"))
    output.line(f"The credential is stored in {reference.kind} {reference.name}.")
    if sys.platform == "win32" and reference.kind == "file":
        words = ("icacls", reference.name, "/inheritance:r", "/grant:r", f"{settings.origin({}).user}:F")
        output.warn(f"irmexport cannot see who may read the file. Run: {subprocess.list2cmdline(words)}")
    output.document({"kind": reference.kind, "place": reference.name})


_BY_HAND = {
    "env": "Set the variable where irmexport is started, for example with systemd's EnvironmentFile=.",
    "key_vault": "az keyvault secret set --vault-name VAULT --name SECRET --file FILE --expires DATE",
    "certificate": (
        "Create the file with openssl (`irmexport wizard PROFILE` prints the commands), and chmod 600 it."
    ),
    "managed_identity": "Azure issues its tokens: there is nothing to store.",
    "workload_identity": "Kubernetes writes this file: there is nothing to store.",
}


def _piped() -> str:
    try:
        return sys.stdin.buffer.read(65_536).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CredentialError(
            "the credential is not UTF-8 text",
            where="standard input",
            next_step="Pipe in the value of the client secret and nothing else.",
        ) from None


def _to_keyring(reference: CredentialRef, secret: Secret) -> None:
    from irmcli.credential_stores import system_keyring

    system_keyring.write(reference.name, secret)


def _to_file(reference: CredentialRef, secret: Secret) -> None:
    path = str(Path(reference.name).expanduser())
    try:
        replace_file(system_disk(), path, secret.reveal().encode() + b"\n")
    except OSError as error:
        raise ConfigurationError(
            f"the credential file cannot be written ({error.strerror})",
            where=path,
            next_step="Create its directory, or set another path in the profile's `credential`.",
        ) from None
