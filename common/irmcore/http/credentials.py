"""Read the credential that a profile names: a client secret, a certificate with its key, or the tokens of an
identity that the application trusts.

None appears in a repr, message or log. The core reads the environment and files. What needs another library
(a system keyring, Azure Key Vault, a certificate, a managed identity) is a :data:`Reader` that the caller
passes in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Callable, Protocol

from irmcore.errors import CredentialError
from irmcore.ownership import require_own_stat

#: Issues a token for an audience. Raises CredentialError.
Issue = Callable[[str], str]


class Credential(Protocol):
    """A credential. ``reveal`` returns it in MSAL's form; ``expires`` in seconds since 1970, if known."""

    @property
    def expires(self) -> float | None: ...

    def reveal(self) -> str | Mapping[str, str] | Issue: ...


class Secret:
    """A text that its repr does not show. ``reveal`` returns it for the sign-in."""

    __slots__ = ("_expires", "_text")

    def __init__(self, text: str, expires: float | None = None) -> None:
        self._text = text
        self._expires = expires

    @property
    def expires(self) -> float | None:
        return self._expires

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"


class Certificate:
    """A certificate and its private key, both PEM. MSAL signs with the key and presents the certificate."""

    __slots__ = ("_certificate", "_expires", "_key")

    def __init__(self, key: str, certificate: str, expires: float) -> None:
        self._key = key
        self._certificate = certificate
        self._expires = expires

    @property
    def expires(self) -> float | None:
        return self._expires

    def reveal(self) -> Mapping[str, str]:
        return {"private_key": self._key, "public_certificate": self._certificate}

    def __repr__(self) -> str:
        return "Certificate(…)"


class Assertion:
    """Tokens of another issuer, which Entra ID accepts in place of a secret: a federated credential.

    ``reveal`` returns the function that issues one for an audience. Each request to Entra ID gets a new one.
    """

    __slots__ = ("_issue",)

    def __init__(self, issue: Issue) -> None:
        self._issue = issue

    @property
    def expires(self) -> float | None:
        return None

    def reveal(self) -> Issue:
        return self._issue

    def __repr__(self) -> str:
        return "Assertion(…)"


#: How the secrets that emulators make up begin (irmemulator.private_files), and none of Entra ID does.
EMULATOR_SECRET = "emulator-only-"  # noqa: S105 - a mark, not a secret

#: Reads the credential of a name, given the environment. Raises CredentialError.
Reader = Callable[[str, Mapping[str, str]], Credential]
_NO_MORE: Mapping[str, Reader] = MappingProxyType({})


def read(
    kind: str, name: str, environment: Mapping[str, str], more: Mapping[str, Reader] = _NO_MORE
) -> Credential:
    """The credential ``name`` in a store of this kind. ``more`` are readers of further kinds.

    Raises CredentialError if it is missing or other users may read it.
    """
    reader = _READERS.get(kind) or more.get(kind)
    if reader is None:
        raise CredentialError(
            f"this program cannot read a credential from `{kind}`",
            next_step=f"Use one of: {', '.join([*_READERS, *more])}.",
        )
    return reader(name, environment)


def secret(text: str, where: str, expires: float | None = None) -> Secret:
    """``text`` as a secret. Raises CredentialError unless it is one line."""
    if not text or "\n" in text or "\r" in text:
        raise CredentialError(
            "the credential is empty or has more than one line",
            where=where,
            next_step="Store the client secret's value there, and nothing else.",
        )
    return Secret(text, expires)


def for_emulator(found: Credential) -> Credential:
    """``found``, if an emulator may see it: its own secret, or a certificate, whose key is not sent.

    Otherwise a forged address of an emulator would be enough to get a real secret or token. Raises
    CredentialError.
    """
    text = found.reveal()
    if not isinstance(text, Mapping) and not str(text).startswith(EMULATOR_SECRET):
        raise CredentialError(
            "this secret was not made by an emulator, so it is not sent to one",
            next_step="If the emulator is yours, start it again and repeat the command with --emulator. "
            "Otherwise find out who wrote the connector's settings.",
        )
    return found


def _from_environment(name: str, environment: Mapping[str, str]) -> Secret:
    if name not in environment:
        raise CredentialError(
            f"the environment variable {name} is not set",
            next_step="Set it to the client secret's value, or name a file in the profile's `credential`.",
        )
    check_resolved(environment[name], f"env {name}")
    return secret(environment[name].strip(), f"env {name}")


def check_resolved(value: str, where: str) -> None:
    """Raise CredentialError if ``value`` is a reference that Azure App Service did not resolve.

    Then the reference itself is the value:
    learn.microsoft.com/azure/app-service/app-service-key-vault-references
    """
    if value.strip().startswith(("@Microsoft.KeyVault", "@Microsoft.AppConfiguration")):
        raise CredentialError(
            "Azure has not resolved the reference to Key Vault in this app setting",
            where=where,
            next_step="See the reference's status in the portal, beside the app setting. Usually the "
            "identity lacks the role Key Vault Secrets User, the secret does not exist, or the vault's "
            "firewall refuses the app. Fix that, then restart the app.",
        )


def _from_file(name: str, environment: Mapping[str, str]) -> Secret:
    try:
        text = private_bytes(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(name, error) from None
    return secret(text.strip(), f"file {name}")


def _from_token_file(name: str, environment: Mapping[str, str]) -> Assertion:
    def issue(audience: str) -> str:
        # Kubernetes replaces the file before the token expires, and lets others in the container read it.
        data = private_bytes(name, private=False)
        try:
            return secret(data.decode("ascii").strip(), f"workload_identity {name}").reveal()
        except UnicodeDecodeError as error:
            raise _unreadable(name, error) from None

    return Assertion(issue)


def private_bytes(name: str, *, private: bool = True) -> bytes:
    """The content (at most 64 KiB) of a file that only its owner may read. Raises CredentialError.

    ``private=False``: others may read it, but not change it.
    """
    try:
        with open(os.path.expanduser(name), "rb") as file:
            require_own_stat(
                os.fstat(file.fileno()), name, "credential file", CredentialError, private=private
            )
            return file.read(65_536)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise _unreadable(name, error) from None


def _unreadable(name: str, error: Exception) -> CredentialError:
    return CredentialError(
        f"the credential file cannot be read ({getattr(error, 'strerror', None) or 'not text'})",
        where=name,
        next_step="Check the path in the profile's `credential`, and that this user may read the file.",
    )


_READERS: Mapping[str, Reader] = {
    "env": _from_environment,
    "file": _from_file,
    "workload_identity": _from_token_file,
}
