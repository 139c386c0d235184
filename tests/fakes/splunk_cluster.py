"""A search head cluster: members that share one KV store, and what a change on one brings to the others.

A member's conf files, passwords and knowledge objects replicate if the default server.conf of its version, or
the app's own, includes their conf file. `inputs`, `app`, `server`, `web`, `restmap` and `distsearch` are not
among them. Neither is anything in the outbox directory, nor are messages and jobs.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests.fakes.splunk_conf import read_conf
from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunk_kv import KvCluster, KvMember
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


class Member(NamedTuple):
    """A search head of a cluster, with the app installed."""

    name: str
    splunkd: SplunkdRest
    home: SplunkHome
    kv: KvMember


class SearchHeadCluster:
    """Search heads sh1, sh2, … with the app from an archive. As a context manager their splunkds run.

    A member shows the writes of others ``lag`` seconds late. The first one is the KV store's captain.
    """

    def __init__(self, directory: Path, archive: Path, *, members: int = 3, lag: float = 0.0) -> None:
        self.kv = KvCluster()
        self.members = [self._member(f"sh{n + 1}", directory, archive, lag) for n in range(members)]
        self._running = ExitStack()

    def _member(self, name: str, directory: Path, archive: Path, lag: float) -> Member:
        place = directory / name
        place.mkdir()
        splunkd = SplunkdRest(place)
        splunkd.state.kv = self.kv.member(name, lag=lag)
        splunkd.state.server = {"serverName": name, "guid": f"GUID-{name}", "server_roles": ["shc_member"]}
        splunkd.state.shcluster = {"disabled": False}
        return Member(name, splunkd, SplunkHome.install(archive, place / "splunk"), splunkd.state.kv)

    def configure(self, connectors: dict[str, dict[str, str]]) -> None:
        """Save connectors on the first member, from where they replicate."""
        first, *others = (member.splunkd for member in self.members)
        first.state.confs["irmexport_connectors"] = connectors
        replicate(first, others)

    def __enter__(self) -> SearchHeadCluster:  # noqa: PYI034 - typing.Self is not in 3.9
        for member in self.members:
            self._running.enter_context(member.splunkd)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.close()
