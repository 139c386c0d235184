"""storage/passwords: the one place of a connector's secret. Never on the analyst's path.

To read here takes `list_storage_passwords`, which opens every secret of the Splunk: only the sender
and the REST handler do, as the system user.
"""

from __future__ import annotations

from irmcore.errors import CredentialError
from irmcore.http.credentials import Secret

from irmsplunk import APP
from irmsplunk.splunk.splunkd import NOBODY, Splunkd, SplunkdRefused, segment

_PATH = f"{NOBODY}/storage/passwords"
_MISSING, _THERE = 404, 409


def _entry(name: str) -> str:
    """realm:username: is how splunkd names an entry."""
    return f"{_PATH}/{segment(f'{APP}:{name}:')}"


def read(splunkd: Splunkd, name: str) -> Secret:
    """The secret of a connector. Raises CredentialError."""
    try:
        entries = splunkd.get(_entry(name)).get("entry") or [{}]
    except SplunkdRefused as refused:
        raise CredentialError(
            "the client secret cannot be read from storage/passwords"
            if refused.status != _MISSING
            else "no client secret is saved for this connector",
            where=name,
            next_step="Save it with the connector (REST endpoint irmexport/connectors, field `secret`).",
        ) from None
    text = str(entries[0].get("content", {}).get("clear_password") or "")
    if not text:
        raise CredentialError(
            "the client secret in storage/passwords is empty",
            where=name,
            next_step="Save it again with the connector.",
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
    """Save a secret, new or in place of the old one."""
    try:
        splunkd.post(_PATH, {"realm": APP, "name": name, "password": secret.reveal()})
    except SplunkdRefused as refused:
        if refused.status != _THERE:
            raise
        splunkd.post(_entry(name), {"password": secret.reveal()})


def remove(splunkd: Splunkd, name: str) -> None:
    """Remove a secret, if there is one."""
    try:
        splunkd.delete(_entry(name))
    except SplunkdRefused as refused:
        if refused.status != _MISSING:
            raise
