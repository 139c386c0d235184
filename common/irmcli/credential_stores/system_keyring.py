"""The system's keyring through `keyring`: Secret Service, macOS Keychain, Windows Credential Locker."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from irmcore.errors import CredentialError
from irmcore.http import credentials
from irmcore.http.credentials import Credential, Secret


def read(name: str, environment: Mapping[str, str]) -> Credential:
    """The secret of ``name``, SERVICE/USER. Raises CredentialError."""
    keyring, trouble = _library()
    service, _, user = name.partition("/")
    try:
        text = keyring.get_password(service, user)
    except trouble as error:
        raise _refused(name, error) from None
    if text is None:
        raise CredentialError(
            "the keyring has no such entry",
            where=f"keyring {name}",
            next_step="Put the secret there: irmexport credential set --profile PROFILE.",
        )
    return credentials.secret(text.strip(), f"keyring {name}")


def write(name: str, secret: Secret) -> None:
    """Put ``secret`` there, in place of what was. Raises CredentialError."""
    keyring, trouble = _library()
    service, _, user = name.partition("/")
    try:
        keyring.set_password(service, user, secret.reveal())
    except trouble as error:
        raise _refused(name, error) from None


def _library() -> tuple[ModuleType, tuple[type[Exception], ...]]:
    """The library, and what it raises where there is no keyring to use."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        raise CredentialError(
            "the package keyring is not installed",
            next_step="pip install 'irmexport[keyring]', or keep the secret in a file of mode 0600.",
        ) from None
    # A chosen backend (PYTHON_KEYRING_BACKEND, keyringrc.cfg) that is not there raises as Python does.
    return keyring, (keyring.errors.KeyringError, ImportError, AttributeError, RuntimeError, OSError)


def _refused(name: str, error: Exception) -> CredentialError:
    # The class alone: a backend's message may quote what it was given.
    return CredentialError(
        f"the keyring cannot be used ({type(error).__name__})",
        where=f"keyring {name}",
        next_step="Is one unlocked for this user (`keyring diagnose`)? A service has none: use a file.",
    )
