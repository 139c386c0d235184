"""storage/passwords, the only store of connectors' secrets.

Reading it takes `list_storage_passwords`, which opens every secret in Splunk. Only the sender and the REST
handler do so, as the system user; the command and the alert action never do.

A secret is saved with a digest of its destination: the connector's name and every setting that decides where
the secret and its tokens go. It is not released for any other destination. Otherwise, somebody who may only
change a connector could send its secret to a host of their own, with `proxy` and `ca_file` for example.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from irmcore.delivery.connection import Connection
from irmcore.errors import CredentialError
from irmcore.http.credentials import Secret

from irmsplunk import APP
from irmsplunk.splunk.splunkd import NOBODY, Splunkd, SplunkdRefused, path_segment

_PATH = f"{NOBODY}/storage/passwords"
_NOT_FOUND, _CONFLICT = 404, 409
_SAVE = "Save it with the connector: `POST irmexport/connectors/NAME` with secret=…."
#: What the saved text of a secret begins with, before the digest: the format, for later versions.
_FORMAT = "irmexport1"
#: The settings of a profile's connector that do not decide where secret and tokens go.
_ELSEWHERE = ("job_id", "credential", "deadline", "in_doubt", "in_flight", "retention")


def _digest(connection: Connection) -> str:
    """The destination of a connector's secret: all settings, except for those known to be harmless."""
    settings = asdict(connection)
    for key in _ELSEWHERE:
        del settings["connector"][key]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode("ascii")).hexdigest()


def bound(connection: Connection, secret: Secret) -> str:
    """The text to save: the secret, bound to the connection's destination."""
    return f"{_FORMAT}:{_digest(connection)}:{secret.reveal()}"


def _entry(name: str) -> str:
    """The path of a connector's entry; splunkd names it realm:username: ."""
    return f"{_PATH}/{path_segment(f'{APP}:{name}:')}"


def read(splunkd: Splunkd, connection: Connection) -> Secret:
    """The secret of a connector, for this destination only. Raises CredentialError."""
    name = connection.profile
    try:
        saved = str(splunkd.content(_entry(name)).get("clear_password") or "")
    except SplunkdRefused as refused:
        raise CredentialError(
            "the client secret cannot be read from storage/passwords"
            if refused.status != _NOT_FOUND
            else "no client secret is saved for this connector",
            where=name,
            next_step=_SAVE,
        ) from None
    prefix = bound(connection, Secret(""))
    if not saved.startswith(prefix):
        raise CredentialError(
            "the client secret was saved for another destination (cloud, tenant, app, proxy, CA or "
            "emulator), so it is not used",
            where=name,
            next_step=f"Undo the change, or enter the secret again. {_SAVE}",
        )
    if saved == prefix:
        raise CredentialError(
            "the client secret in storage/passwords is empty",
            where=name,
            next_step=_SAVE,
        )
    return Secret(saved[len(prefix) :])


def has(splunkd: Splunkd, connection: Connection) -> bool:
    """Whether a secret is saved for this destination."""
    try:
        read(splunkd, connection)
    except CredentialError:
        return False
    return True


def save(splunkd: Splunkd, connection: Connection, secret: Secret) -> None:
    """Save a secret for the connection's destination, replacing an earlier one."""
    name, text = connection.profile, bound(connection, secret)
    try:
        splunkd.post(_PATH, {"realm": APP, "name": name, "password": text})
    except SplunkdRefused as refused:
        if refused.status != _CONFLICT:
            raise
        splunkd.post(_entry(name), {"password": text})


def remove(splunkd: Splunkd, name: str) -> None:
    """Remove a secret if there is one."""
    try:
        splunkd.delete(_entry(name))
    except SplunkdRefused as refused:
        if refused.status != _NOT_FOUND:
            raise
