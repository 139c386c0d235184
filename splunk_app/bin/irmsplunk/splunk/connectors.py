"""irmexport_connectors.conf: a stanza → the profile and the connection that irmcore works with.

A stanza names a shipped profile or has a profile's text, and the IDs that a shipped one leaves open.
It never holds the secret, and a profile's own `credential` is not used here: in Splunk the secret is
in storage/passwords, under the stanza's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from irmcore import profile as profiles
from irmcore.clouds import CLOUDS
from irmcore.delivery.connection import Connection, outbox_name
from irmcore.errors import ConfigurationError, IrmError
from irmcore.profile import Connector, CredentialRef, Profile

from irmsplunk.splunk.splunkd import NOBODY, Splunkd, SplunkdRefused, segment

CONF = "irmexport_connectors"
CONF_PATH = f"{NOBODY}/configs/conf-{CONF}"

#: What a stanza may say, in the order the spec file has it.
SETTINGS = (
    "profile",
    "profile_yaml",
    "job_id",
    "tenant_id",
    "app_id",
    "cloud",
    "in_doubt",
    "proxy",
    "ca_file",
    "emulator",
    "emulator_ca",
)
#: Not `default`: what that stanza of a conf file says is said of all others.
NAME = re.compile(r"(?!default\Z)[a-z0-9][a-z0-9-]{0,39}")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class Configured:
    """A connector as it is set up in this Splunk."""

    name: str
    profile: Profile
    connection: Connection


def encoded(text: str) -> str:
    """A profile's text as one line for a conf file, which has no safe way to hold an indentation."""
    return json.dumps(text)


def decoded(value: str) -> str:
    """The profile's text, be it written by ``encoded`` or by hand."""
    if value.startswith('"'):
        try:
            found = json.loads(value)
        except ValueError:
            return value
        return found if isinstance(found, str) else value
    return value


def of_stanza(name: str, content: Mapping[str, Any]) -> Configured:
    """The connector of a stanza. Raises ConfigurationError, naming the key, never a value."""
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            "a connector's name is of a-z, 0-9 and hyphens, at most 40 characters, and not `default`",
            next_step="Choose another name.",
        )
    said = {key: str(content[key]).strip() for key in SETTINGS if str(content.get(key) or "").strip()}
    profile = replace(_profile(name, said), name=name)
    connector = _connector(name, profile.connector, said)
    connection = Connection(name, connector, said.get("emulator"), said.get("emulator_ca"))
    connection.endpoints()  # refuses an emulator that is not on loopback
    return Configured(name, profile.at(connector), connection)


def _profile(name: str, said: Mapping[str, str]) -> Profile:
    where = f"connector {name}"
    if ("profile" in said) == ("profile_yaml" in said):
        raise ConfigurationError(
            "a connector has either `profile` (a shipped one's name) or `profile_yaml` (its text)",
            where=where,
            next_step=f"Set one of them. Shipped: {', '.join(profiles.shipped_names())}.",
        )
    if "profile_yaml" in said:
        return profiles.parse(decoded(said["profile_yaml"]), f"{where} profile_yaml")
    if said["profile"] not in profiles.shipped_names():
        raise ConfigurationError(
            "`profile` names no shipped profile",
            where=where,
            next_step=f"Shipped: {', '.join(profiles.shipped_names())}.",
        )
    return profiles.parse(profiles.shipped_text(said["profile"]), f"{said['profile']} (shipped)")


def _connector(name: str, connector: Connector, said: Mapping[str, str]) -> Connector:
    changes: dict[str, Any] = {"credential": CredentialRef("splunk", name)}
    for key in ("job_id", "tenant_id", "app_id"):
        if key in said:
            if not _GUID.fullmatch(said[key]):
                raise _wrong(name, key, "a GUID such as 01234567-89ab-cdef-0123-456789abcdef")
            changes[key] = said[key].lower()
    for key, allowed in (("cloud", tuple(CLOUDS)), ("in_doubt", ("hold", "resend"))):
        if key in said:
            if said[key] not in allowed:
                raise _wrong(name, key, f"one of {', '.join(allowed)}")
            changes[key] = said[key]
    if "proxy" in said:
        if not re.fullmatch(r"https?://[^\s@/]+/?", said["proxy"]):
            raise _wrong(name, "proxy", "http://host:port without a user name")
        changes["proxy"] = said["proxy"]
    if "ca_file" in said:
        changes["ca_file"] = said["ca_file"]
    return replace(connector, **changes)


def _wrong(name: str, key: str, right: str) -> ConfigurationError:
    return ConfigurationError(
        f"`{key}` is not written as it must be", where=f"connector {name}", next_step=f"It is {right}."
    )


def fetch(splunkd: Splunkd, name: str) -> Configured:
    """The connector of this name. Raises ConfigurationError, SplunkdRefused."""
    return of_stanza(name, content_of(splunkd, name))


def content_of(splunkd: Splunkd, name: str) -> Mapping[str, Any]:
    """What the stanza of this name says. Raises ConfigurationError if there is none."""
    missing = ConfigurationError(
        "there is no connector of this name",
        where="profile",
        next_step="An administrator makes one; `| rest /services/irmexport/connectors` lists them.",
    )
    if not NAME.fullmatch(name):
        raise missing
    try:
        entries = splunkd.get(f"{CONF_PATH}/{segment(name)}").get("entry") or []
    except SplunkdRefused as refused:
        if refused.status == 404:  # noqa: PLR2004
            raise missing from None
        raise
    if not entries:
        raise missing
    content: Mapping[str, Any] = entries[0].get("content", {})
    if is_off(content):
        raise ConfigurationError(
            "this connector is disabled", where=name, next_step="An administrator can enable it."
        )
    return content


def stanzas(splunkd: Splunkd) -> dict[str, Mapping[str, Any]]:
    """All stanzas by name, the disabled ones too."""
    entries = splunkd.get(CONF_PATH, count="0").get("entry") or []
    return {entry["name"]: entry.get("content", {}) for entry in entries if entry["name"] != "default"}


def sharing(found: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Of all stanzas: the enabled connectors that share an outbox, each with the others, by name.

    A job ID that was not filled in yet is nobody's, and a stanza that cannot be read has none.
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
    """Whether a stanza is disabled, in any of the ways a conf file says so."""
    return str(content.get("disabled", "0")).lower() in ("1", "true", "t", "yes")
