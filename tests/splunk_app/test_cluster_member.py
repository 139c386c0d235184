"""Whether a search head is in a cluster: what splunkd says of itself, or a connector's `outbox` = cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from irmcore.clock import SystemClock
from irmcore.disk import system_disk
from irmcore.errors import ConfigurationError, OperatorError
from irmcore.outbox import Outbox
from irmsplunk.cluster.cluster import Backlog, Cluster
from irmsplunk.cluster.member import Member, goes_to_cluster, this_member
from irmsplunk.rest.person import PersonRoutes
from irmsplunk.splunk.connectors import OUTBOXES, of_stanza
from irmsplunk.splunk.splunkd import Splunkd, SplunkdRefused

from tests.fakes.clock import FakeClock
from tests.fakes.splunkd_rest import SplunkdRest
from tests.fakes.store import MemoryService, MemoryStore
from tests.splunk_app.conftest import APP_ID, JOB, TENANT

STANZA = {"profile": "leaver-prediction", "job_id": JOB, "tenant_id": TENANT, "app_id": APP_ID}
ALONE, IN_CLUSTER = Member("sh1", "g1", in_cluster=False), Member("sh1", "g1", in_cluster=True)


@pytest.mark.parametrize(
    ("roles", "disabled", "outbox", "expected"),
    [
        (["search_head", "kv_store"], True, "auto", False),
        (["search_head", "shc_member"], False, "auto", True),
        (["shc_captain"], "1", "auto", True),
        (["search_head"], "0", "auto", True),
        (None, None, "directory", False),
        (None, None, "cluster", True),
    ],
)
def test_what_splunkd_says(
    tmp_path: Path, roles: object, disabled: object, outbox: str, expected: object
) -> None:
    """A role, or clustering that is enabled while the member has not joined yet; or the administrator."""
    with SplunkdRest(tmp_path) as splunkd:
        splunkd.state.server = {"serverName": "SH1", "guid": "AB-1", "server_roles": roles}
        splunkd.state.shcluster = {} if disabled is None else {"disabled": disabled}
        splunkd.state.confs["irmexport_connectors"] = {"leavers": {**STANZA, "outbox": outbox}}
        found = this_member(Splunkd(splunkd.uri, "system-session"))
    assert found == Member("SH1", "ab-1", in_cluster=bool(expected))


def test_without_an_answer_nothing_is_decided(tmp_path: Path) -> None:
    """A member that took itself for a single search head would send what others have sent."""
    with SplunkdRest(tmp_path) as splunkd, pytest.raises(SplunkdRefused):
        this_member(Splunkd(splunkd.uri, "no-session"))


def test_a_member_that_has_a_persons_rows_on_its_disk_alone_is_named() -> None:
    """Whoever asks for an erasure must know where else to look."""
    backlogs = [Backlog("sh1", 1, 5), Backlog("sh2"), Backlog("sh3", 2, 9)]
    done = PersonRoutes([], backlogs, "sh1").erase({"name": "anna@contoso.com"}, by="adm", why="request 7")
    assert (
        done["next_step"]
        == "Rows on sh3 are not in the cluster's outbox yet: when they are, send this again."
    )


def test_the_setting_decides_within_that(tmp_path: Path) -> None:
    """A search head that has left its cluster sends nothing by itself unless it is told to."""
    own = Outbox(system_disk(), SystemClock(), f"{tmp_path}/purview-1")
    decided = [[goes_to_cluster(outbox, own, one) for outbox in OUTBOXES] for one in (ALONE, IN_CLUSTER)]
    assert decided == [[False, False, True], [True, False, True]]
    own.create()
    own.replace_file("promotion.json", b"a note")
    with pytest.raises(OperatorError, match="not in its cluster any more"):
        goes_to_cluster("auto", own, ALONE)
    assert not goes_to_cluster("directory", own, ALONE)
    with pytest.raises(ConfigurationError, match="`outbox` is not one of"):
        of_stanza("leavers", {**STANZA, "outbox": "kvstore"})


def test_members_say_what_they_have_not_promoted() -> None:
    """When it changes, and every ten minutes; the newest of each member counts."""
    service, clock = MemoryService(), FakeClock()
    names = ("sh1", "sh2")
    clusters: list[Any] = [
        Cluster(MemoryStore(service), Member(name, f"g-{name}", in_cluster=True), clock) for name in names
    ]
    for rows in (5, 5, 7):
        clusters[0].save(Backlog("sh1", 1, rows))
        clock.advance(60)
    clusters[1].save(Backlog("sh2"))
    assert len(service.values) == 3
    assert [(one.member, one.rows) for one in clusters[1].backlogs()] == [("sh1", 7), ("sh2", 0)]
    clock.advance(600)
    clusters[0].save(Backlog("sh1", 1, 7))
    assert len(service.values) == 4
