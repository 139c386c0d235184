"""The modular input protocol: XML on the standard streams."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree  # noqa: PLR0402 - parses only splunkd's own XML
from dataclasses import dataclass, field
from typing import BinaryIO

from irmcore.errors import ConfigurationError

#: The most seconds that a sender runs: its session key is valid for an hour.
LONGEST_LIFE = 3600.0

SCHEME = """<scheme>
 <title>irmexport sender</title>
 <description>Delivers the rows that searches and alerts have queued on this search head.</description>
 <use_external_validation>false</use_external_validation>
 <use_single_instance>false</use_single_instance>
 <streaming_mode>simple</streaming_mode>
 <endpoint><args>
  <arg name="life">
   <description>Seconds after which the sender ends and splunkd restarts it.</description>
   <required_on_create>false</required_on_create><required_on_edit>false</required_on_edit>
  </arg>
 </args></endpoint>
</scheme>
"""


@dataclass(frozen=True)
class Start:
    """The settings of one run. ``life`` is in seconds."""

    uri: str
    session_key: str = field(repr=False)
    life: float = LONGEST_LIFE


def read_start(stream: BinaryIO) -> Start:
    """Read the settings from the standard input. Raises ConfigurationError."""
    try:
        root = ElementTree.fromstring(stream.read(1_000_000))  # noqa: S314 - splunkd's own
    except ElementTree.ParseError:
        raise _invalid("the settings on standard input are not XML") from None
    uri, key = root.findtext("server_uri") or "", root.findtext("session_key") or ""
    if not (uri and key):
        raise _invalid("the settings on standard input have no server_uri or session_key")
    params = {str(param.get("name")): param.text or "" for param in root.iter("param")}
    try:
        life = float(params.get("life") or LONGEST_LIFE)
    except ValueError:
        raise _invalid("`life` is not a number of seconds") from None
    return Start(uri, key, min(max(life, 1.0), LONGEST_LIFE))


def _invalid(what: str) -> ConfigurationError:
    return ConfigurationError(
        what,
        where="irmexport://main",
        next_step="Check the data input irmexport under Settings, Data inputs.",
    )
