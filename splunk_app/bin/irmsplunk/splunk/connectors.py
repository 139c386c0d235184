"""irmexport_connectors.conf: a stanza → the profile and the connection that irmcore works with.

A stanza names a shipped profile or contains a profile's text, and sets the IDs that a shipped profile leaves
open. Its values are checked by the profile's schema. It never holds the secret, and the profile's own
`credential` is not used: in Splunk the secret is in storage/passwords, under the stanza's name.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from irmcore import profile as profiles
from irmcore.delivery.connection import Connection, outbox_name
from irmcore.errors import ConfigurationError, IrmError
from irmcore.ownership import require_own
from irmcore.profile import CredentialRef, Profile
from irmcore.profile.model import DEFAULT_DIRECTORY
from irmcore.settings import did_you_mean

from irmsplunk.splunk.splunkd import NOBODY, Splunkd, SplunkdRefused, path_segment

CONF = "irmexport_connectors"
CONF_PATH = f"{NOBODY}/configs/conf-{CONF}"

#: The keys of a stanza, in the order of the spec file.
SETTINGS = (
    "profile",
    "profile_yaml",
    "job_id",
    "tenant_id",
    "app_id",
    "cloud",
    "in_doubt",
    "proxy",
    "outbox",
    "ca_file",
    "emulator",
    "emulator_ca",
)
#: The settings that replace those of the profile, and are checked by its schema.
_OVERRIDES = ("job_id", "tenant_id", "app_id", "cloud", "in_doubt", "proxy")
#: The app's folder, and those of its folders whose files a user without a shell may write.
_APP_FOLDER = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
_UPLOADS = ("lookups", "appserver")
#: The values of `outbox`: where the rows of a connector are queued.
AUTO, DIRECTORY, CLUSTER = OUTBOXES = ("auto", "directory", "cluster")
#: Not `default`: in a conf file, all other stanzas inherit from that one.
NAME = re.compile(r"(?!default\Z)[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True)
class Configured:
    """A connector as it is configured in Splunk."""

    name: str
    profile: Profile
    connection: Connection
    outbox: str = AUTO


def encoded(text: str) -> str:
    """A profile's text as one line for a conf file, which cannot hold indented lines safely."""
    return json.dumps(text)


def decoded(value: str) -> str:
    """The profile's text, whether ``encoded`` or a person wrote it."""
    if value.startswith('"'):
        try:
            found = json.loads(value)
        except ValueError:
            return value
        return found if isinstance(found, str) else value
    return value


def of_stanza(name: str, content: Mapping[str, Any]) -> Configured:
    """The connector of a stanza. Raises ConfigurationError with the key, never with a value."""
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            "`name` must be 1 to 40 characters (a-z, 0-9 and hyphens), and not `default`",
            next_step="Choose another name.",
        )
    given = {key: str(content[key]).strip() for key in SETTINGS if str(content.get(key) or "").strip()}
    profile = replace(_profile(name, given), name=name)
    connector = replace(profile.connector, credential=CredentialRef("splunk", name))
    ca_file = given.get("ca_file", connector.ca_file)
    if ca_file is not None:
        connector = replace(connector, ca_file=_in_app_folder(ca_file, "ca_file", f"connector {name}"))
        require_own(str(connector.ca_file), "`ca_file`", ConfigurationError, link=True)
    connection = Connection(name, connector, given.get("emulator"), given.get("emulator_ca"))
    connection.endpoints()  # refuses an emulator that is not on loopback
    return Configured(name, profile.at(connector), connection, _outbox(name, given))


def _outbox(name: str, given: Mapping[str, str]) -> str:
    found = given.get("outbox", AUTO)
    if found not in OUTBOXES:
        raise ConfigurationError(
            f"`outbox` is not one of {', '.join(OUTBOXES)}",
            where=f"connector {name}",
            next_step=did_you_mean(found, OUTBOXES, plural="values"),
        )
    return found


def parsed(text: str, source: str, **settings: Any) -> Profile:
    """The profile in a text, as ``irmcore.profile.parse`` reads it. Raises ConfigurationError.

    The files that it names must be in the app's folder: the app reads them with splunkd's rights.
    """
    profile = profiles.parse(text, source, folder=_APP_FOLDER, **settings)
    files: list[tuple[str, str | None]] = []
    if profile.identity is not None:
        files += [("directory", profile.identity.directory), ("map", profile.identity.map)]
    if profile.scope is not None:
        sides = (profile.scope.include, profile.scope.exclude)
        files += [("list", side.list) for side in sides if side is not None]
    for key, path in files:
        if path not in (None, DEFAULT_DIRECTORY):
            _in_app_folder(str(path), key, source)
    return profile


def _in_app_folder(file: str, key: str, where: str) -> str:
    """The absolute path of a file; a relative one begins at the app's folder. Raises ConfigurationError.

    Whoever may save a connector must not be able to name a file that other users can write, or read one that
    only splunkd may read.
    """
    path = os.path.realpath(os.path.join(_APP_FOLDER, file))
    folder, _, inside = path.partition(_APP_FOLDER + os.sep)
    if folder or inside.split(os.sep)[0] in ("", *_UPLOADS):
        raise ConfigurationError(
            f"`{key}` is not in the app's own folder",
            where=where,
            next_step="Copy the file to etc/apps/irmexport/local on each search head, and write its path as "
            "local/NAME.",
        )
    return path


def _profile(name: str, given: Mapping[str, str]) -> Profile:
    """The profile of a stanza, with the stanza's overrides."""
    where, shipped = f"connector {name}", profiles.shipped_names()
    if ("profile" in given) == ("profile_yaml" in given):
        raise ConfigurationError(
            "a connector needs either `profile` (the name of a shipped profile) or `profile_yaml` (a text)",
            where=where,
            next_step=f"Set one of them. Shipped profiles: {', '.join(shipped)}.",
        )
    if "profile_yaml" in given:
        text, source = decoded(given["profile_yaml"]), f"{where} profile_yaml"
    elif given["profile"] in shipped:
        text, source = profiles.shipped_text(given["profile"]), f"{given['profile']} (shipped)"
    else:
        raise ConfigurationError(
            "`profile` is not the name of a shipped profile",
            where=where,
            next_step=did_you_mean(given["profile"], shipped, plural="profiles"),
        )
    overrides = {key: given[key] for key in _OVERRIDES if key in given}
    return parsed(text, source, connector=overrides, origin=where)


def fetch(splunkd: Splunkd, name: str) -> Configured:
    """The connector of this name. Raises ConfigurationError if it is invalid or disabled, SplunkdRefused."""
    content = content_of(splunkd, name)
    if is_off(content):
        raise ConfigurationError(
            "this connector is disabled", where=name, next_step="Ask an administrator to enable it."
        )
    return of_stanza(name, content)


def content_of(splunkd: Splunkd, name: str) -> Mapping[str, Any]:
    """The settings of a stanza, also of a disabled one. Raises SplunkdRefused, with 404 if there is none."""
    try:
        found = splunkd.get(f"{CONF_PATH}/{path_segment(name)}") if NAME.fullmatch(name) else {}
    except SplunkdRefused as refused:
        if refused.status != 404:  # noqa: PLR2004
            raise
        found = {}
    for entry in found.get("entry") or ():
        content: Mapping[str, Any] = entry.get("content", {})
        return content
    names = usable(splunkd)
    step = did_you_mean(name, names, plural="connectors") if names else "None is open to your roles."
    raise SplunkdRefused(
        404,
        "there is no connector of this name",
        where="profile",
        next_step=f"{step} An administrator can create another one on the page Connectors.",
    )


def usable(splunkd: Splunkd) -> list[str]:
    """The names of the enabled connectors that the session's user may read, sorted."""
    return sorted(name for name, content in stanzas(splunkd).items() if not is_off(content))


def stanzas(splunkd: Splunkd) -> dict[str, Mapping[str, Any]]:
    """All stanzas by name, including disabled ones."""
    entries = splunkd.get(CONF_PATH, count="0").get("entry") or []
    return {entry["name"]: entry.get("content", {}) for entry in entries if entry["name"] != "default"}


def sharing(found: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """For each enabled connector that shares an outbox: the names of the other connectors of that outbox.

    Stanzas that are not valid, or have no job ID yet, share with none.
    """
    outboxes: dict[str, list[str]] = {}
    for name, content in sorted(found.items()):
        if is_off(content):
            continue
        try:
            connection = of_stanza(name, content).connection
        except IrmError:
            continue
        if "job_id" not in connection.connector.placeholders():
            outboxes.setdefault(outbox_name(connection), []).append(name)
    return {
        name: tuple(other for other in names if other != name)
        for names in outboxes.values()
        if len(names) > 1
        for name in names
    }


def is_off(content: Mapping[str, Any]) -> bool:
    """Whether a stanza is disabled; conf files have several words for true."""
    return str(content.get("disabled", "0")).lower() in ("1", "true", "t", "yes")
