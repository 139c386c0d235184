"""The modular input protocol: the settings that splunkd writes as XML to standard input."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree  # noqa: PLR0402 - parses only splunkd's own XML
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from irmcore.errors import ConfigurationError

#: The most seconds that a sender runs: its session key is valid for an hour.
LONGEST_LIFE = 3600.0

_SCHEME = """<scheme>
 <title>{title}</title>
 <description>{description}</description>
 <use_external_validation>false</use_external_validation>
 <use_single_instance>false</use_single_instance>
 <streaming_mode>{mode}</streaming_mode>
 <endpoint><args>
  <arg name="{name}">
   <description>{about}</description>
   <required_on_create>{required}</required_on_create><required_on_edit>false</required_on_edit>
  </arg>
 </args></endpoint>
</scheme>
"""


def scheme(*, name: str, about: str, required: str = "false", mode: str = "simple", **texts: str) -> str:
    """The reply to `--scheme`: ``texts`` are the input's title and description, ``name`` its parameter."""
    return _SCHEME.format(name=name, about=about, required=required, mode=mode, **texts)


SCHEME = scheme(
    title="irmexport sender",
    description="Delivers the rows that searches and alerts have queued on this search head.",
    name="life",
    about="Seconds after which the sender ends and splunkd restarts it.",
)


@dataclass(frozen=True)
class Start:
    """The settings of one run, with all those of the input's stanza. ``life`` is in seconds."""

    uri: str
    session_key: str = field(repr=False)
    life: float = LONGEST_LIFE
    stanza: str = ""
    params: Mapping[str, str] = field(default_factory=dict)


def read_start(stream: BinaryIO, kind: str = "irmexport") -> Start:
    """Read the settings of an input of this kind from the standard input. Raises ConfigurationError."""
    try:
        root = ElementTree.fromstring(stream.read(1_000_000))  # noqa: S314 - splunkd's own
    except ElementTree.ParseError:
        raise _invalid("the settings on standard input are not XML", kind) from None
    uri, key = root.findtext("server_uri") or "", root.findtext("session_key") or ""
    if not (uri and key):
        raise _invalid("the settings on standard input have no server_uri or session_key", kind)
    stanza = root.find("configuration/stanza")
    name = "" if stanza is None else str(stanza.get("name"))
    params = {str(param.get("name")): param.text or "" for param in root.iter("param")}
    try:
        life = float(params.get("life") or LONGEST_LIFE)
    except ValueError:
        raise _invalid("`life` is not a number of seconds", kind) from None
    return Start(uri, key, min(max(life, 1.0), LONGEST_LIFE), name, params)


def _invalid(what: str, kind: str) -> ConfigurationError:
    return ConfigurationError(
        what,
        where=f"{kind}://",
        next_step=f"Check the data input {kind} under Settings, Data inputs.",
    )
