"""Replication in a search head cluster: what a change on one member brings to the others, and what not.

A member's conf files, passwords and knowledge objects replicate if the default server.conf of its version, or
the app's own, includes their conf file. `inputs`, `app`, `server`, `web`, `restmap` and `distsearch` are not
among them. Neither is anything in the outbox directory, nor are messages and jobs.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.splunk_conf import read_conf
from tests.fakes.splunkd_rest import APP, SplunkdRest

_PUBLISHED = Path(__file__).parent.parent / "splunk_app" / "conf_keys.json"
_INCLUDE = "conf_replication_include"


def replicated_confs(version: str) -> set[str]:
    """The conf files that replicate on a version of Splunk with the app."""
    published = json.loads(_PUBLISHED.read_text(encoding="utf-8"))["defaults"]
    app = read_conf(APP / "default" / "server.conf").get("shclustering", {})
    own = {
        key.partition(".")[2] for key, value in app.items() if key.startswith(_INCLUDE) and value == "true"
    }
    return own | set(published[f"server.conf [shclustering] {_INCLUDE}"][version])


def replicate(origin: SplunkdRest, members: Sequence[SplunkdRest], version: str = "10.2.3") -> None:
    """Bring the changes of one member to the others, as splunkd does every 5 seconds."""
    confs, state = replicated_confs(version), origin.state
    for member in members:
        for name, stanzas in state.confs.items():
            if name in confs:
                member.state.confs[name] = copy.deepcopy(stanzas)
        if "passwords" in confs:
            member.state.passwords = dict(state.passwords)
        if "savedsearches" in confs:
            member.state.searches = copy.deepcopy(state.searches)
        if "inputs" in confs:
            member.state.local_inputs = copy.deepcopy(state.local_inputs)
        member.state.local_meta = dict(state.local_meta)
