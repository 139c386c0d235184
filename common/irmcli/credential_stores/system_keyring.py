"""The system keyring through `keyring`: Secret Service, macOS Keychain, Windows Credential Locker.

An entry is a client secret, or a certificate and its key as PEM.
"""

from collections.abc import Mapping
from types import ModuleType

from irmcore.errors import CredentialError
from irmcore.http import credentials
from irmcore.http.credentials import Credential, Secret

from irmcli.credential_stores import certificate


def read(name: str, environment: Mapping[str, str]) -> Credential:
    """The secret of the entry ``name``, SERVICE/USER. Raises CredentialError."""
    keyring, errors = _library()
    service, _, user = name.partition("/")
    try:
        text = keyring.get_password(service, user)
    except errors as error:
        raise _refused(name, error) from None
    if text is None:
        raise CredentialError(
            "the keyring has no entry with this name",
            where=f"keyring {name}",
            next_step="Store the secret: irmexport credential set --profile PROFILE",
        )
    if certificate.PEM in text:
        return certificate.parse(text.encode(), None, f"keyring {name}")
    return credentials.secret(text.strip(), f"keyring {name}")


def write(name: str, secret: Secret) -> None:
    """Store ``secret`` in the entry ``name``, replacing an existing one. Raises CredentialError."""
    keyring, errors = _library()
    service, _, user = name.partition("/")
    try:
        keyring.set_password(service, user, secret.reveal())
    except errors as error:
        raise _refused(name, error) from None


def _library() -> tuple[ModuleType, tuple[type[Exception], ...]]:
    """The library, and the exceptions it raises if no keyring can be used."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        raise CredentialError(
            "the package keyring is not installed",
            next_step="pip install 'irmexport[keyring]', or store the secret in a file of mode 0600.",
        ) from None
    # A backend that is configured (PYTHON_KEYRING_BACKEND, keyringrc.cfg) but missing raises Python's errors.
    return keyring, (keyring.errors.KeyringError, ImportError, AttributeError, RuntimeError, OSError)


def _refused(name: str, error: Exception) -> CredentialError:
    # Only the class: a backend's message may quote the secret.
    return CredentialError(
        f"the keyring cannot be used ({type(error).__name__})",
        where=f"keyring {name}",
        next_step="Check `keyring diagnose`: this user needs one, unlocked. A service has none: use a file.",
    )
