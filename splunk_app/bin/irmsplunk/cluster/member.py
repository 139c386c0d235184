"""Whether this search head is a member of a cluster, and where a connector's rows go therefore.

splunkd knows the first, and nothing else decides it: a search head that has left its cluster still has the
cluster's data in its KV store, and must not send from there.
"""

from __future__ import annotations

from dataclasses import dataclass

from irmcore.errors import OperatorError
from irmcore.intake.promotion import was_promoted
from irmcore.outbox import Outbox

from irmsplunk.splunk.connectors import AUTO, CLUSTER, stanzas
from irmsplunk.splunk.splunkd import Splunkd, SplunkdRefused

_ROLES = frozenset({"shc_member", "shc_captain"})


@dataclass(frozen=True)
class Member:
    """A search head: its name for people, and its GUID."""

    name: str
    guid: str
    in_cluster: bool


def this_member(system: Splunkd) -> Member:
    """What splunkd says of this search head. Raises SplunkdRefused: without an answer, nothing is sent.

    A connector with `outbox` = cluster says it in splunkd's place.
    """
    info = system.content("/services/server/info")
    in_cluster = not _ROLES.isdisjoint(info.get("server_roles") or ()) or _is_configured(system)
    in_cluster = in_cluster or any(one.get("outbox") == CLUSTER for one in stanzas(system).values())
    guid = str(info.get("guid") or "unknown").lower()
    return Member(str(info.get("serverName") or guid), guid, in_cluster)


def _is_configured(system: Splunkd) -> bool:
    """Whether clustering is enabled, also while this member has not joined (again)."""
    try:
        disabled = system.content("/services/shcluster/config").get("disabled")
    except SplunkdRefused:
        return False  # a search head outside of clusters may not have this endpoint
    return str(disabled).lower() in ("0", "false")


def goes_to_cluster(setting: str, own: Outbox, member: Member) -> bool:
    """Whether rows in ``own``, the directory of a connector with this `outbox`, go to the cluster's outbox.

    Raises OperatorError if ``member`` has left its cluster, which may have sent the same rows.
    """
    if setting == AUTO and not member.in_cluster and was_promoted(own):
        raise OperatorError(
            "this search head is not in its cluster any more, so it sends nothing by itself",
            where=own.name,
            next_step="Let it join again. To send its rows from here alone, use "
            "`POST irmexport/connectors/NAME` with outbox=directory.",
        )
    return setting == CLUSTER or (setting == AUTO and member.in_cluster)
