"""storage/passwords, the only store of connectors' secrets.

Reading it takes `list_storage_passwords`, which opens every secret in Splunk. Only the sender and the REST
handler do so, as the system user; the command and the alert action never do.
"""

from __future__ import annotations

from irmcore.errors import CredentialError
from irmcore.http.credentials import Secret

from irmsplunk import APP
from irmsplunk.splunk.splunkd import NOBODY, Splunkd, SplunkdRefused, path_segment

_PATH = f"{NOBODY}/storage/passwords"
_NOT_FOUND, _CONFLICT = 404, 409
_SAVE = "Save it with the connector: `POST irmexport/connectors/NAME` with secret=…."


def _entry(name: str) -> str:
    """The path of a connector's entry; splunkd names it realm:username: ."""
    return f"{_PATH}/{path_segment(f'{APP}:{name}:')}"


def read(splunkd: Splunkd, name: str) -> Secret:
    """The secret of a connector. Raises CredentialError."""
    try:
        entries = splunkd.get(_entry(name)).get("entry") or [{}]
    except SplunkdRefused as refused:
        raise CredentialError(
            "the client secret cannot be read from storage/passwords"
            if refused.status != _NOT_FOUND
            else "no client secret is saved for this connector",
            where=name,
            next_step=_SAVE,
        ) from None
    text = str(entries[0].get("content", {}).get("clear_password") or "")
    if not text:
        raise CredentialError(
            "the client secret in storage/passwords is empty",
            where=name,
            next_step=_SAVE,
        )
    return Secret(text)


def has(splunkd: Splunkd, name: str) -> bool:
    """Whether a secret is saved."""
    try:
        read(splunkd, name)
    except CredentialError:
        return False
    return True


def save(splunkd: Splunkd, name: str, secret: Secret) -> None:
    """Save a secret, replacing an earlier one."""
    try:
        splunkd.post(_PATH, {"realm": APP, "name": name, "password": secret.reveal()})
    except SplunkdRefused as refused:
        if refused.status != _CONFLICT:
            raise
        splunkd.post(_entry(name), {"password": secret.reveal()})


def remove(splunkd: Splunkd, name: str) -> None:
    """Remove a secret if there is one."""
    try:
        splunkd.delete(_entry(name))
    except SplunkdRefused as refused:
        if refused.status != _NOT_FOUND:
            raise
