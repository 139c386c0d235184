"""What splunkd says to a modular input, and what it wants to hear: XML on the standard streams."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree  # noqa: PLR0402 - what is read is splunkd's own
from dataclasses import dataclass, field
from typing import BinaryIO

from irmcore.errors import ConfigurationError

#: Seconds after which a sender ends at the latest: its session key is good for an hour.
LONGEST = 3600.0

SCHEME = """<scheme>
 <title>irmexport sender</title>
 <description>Delivers what the search command irmexport queued on this search head.</description>
 <use_external_validation>false</use_external_validation>
 <use_single_instance>false</use_single_instance>
 <streaming_mode>simple</streaming_mode>
 <endpoint><args>
  <arg name="life">
   <description>Seconds after which the sender ends, to be started again.</description>
   <required_on_create>false</required_on_create><required_on_edit>false</required_on_edit>
  </arg>
 </args></endpoint>
</scheme>
"""


@dataclass(frozen=True)
class Start:
    """How splunkd started this run."""

    uri: str
    session_key: str = field(repr=False)
    life: float = LONGEST


def read_start(stream: BinaryIO) -> Start:
    """What splunkd wrote to the standard input. Raises ConfigurationError."""
    try:
        root = ElementTree.fromstring(stream.read(1_000_000))  # noqa: S314 - splunkd's own
    except ElementTree.ParseError:
        raise _wrong("what splunkd said at the start is not XML") from None
    uri, key = root.findtext("server_uri") or "", root.findtext("session_key") or ""
    if not (uri and key):
        raise _wrong("splunkd named no address or session key")
    said = {str(param.get("name")): param.text or "" for param in root.iter("param")}
    try:
        life = float(said.get("life") or LONGEST)
    except ValueError:
        raise _wrong("`life` is not a number of seconds") from None
    return Start(uri, key, min(max(life, 1.0), LONGEST))


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(
        what, where="irmexport://main", next_step="Check the data input irmexport in Splunk's settings."
    )
