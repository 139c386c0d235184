"""A search head cluster of the built app: one queue, each row once, whichever member took it."""

from __future__ import annotations

import json
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import App, Job

from tests.fakes.splunk_cluster import Member, SearchHeadCluster
from tests.fakes.splunkd_handler import RestHandler
from tests.fakes.splunkd_input import Input
from tests.fakes.splunkd_rest import NoEndpoint
from tests.needs import find_python
from tests.splunk_app.conftest import APP_ID, COLUMNS, JOB, PYTHONS, SECRET, TENANT, Searches, save_secret
from tests.splunk_app.test_end_to_end import HEADER, events, summary

NAMES = ("sarad", "bradh", "megan", "henri", "carla")
SUMMARY = ("profile=leavers", "output=summary", "wait=30")
NO_WAIT = ("profile=leavers", "output=summary", "wait=0")


def rows(*days: int, score: int = 9) -> bytes:
    """A row of each user for each of these days of April."""
    lines = (f"{name}@contoso.com,2023-04-{day:02d}T05:52:56Z,{score},M1\n" for day in days for name in NAMES)
    return HEADER + "".join(lines).encode()


class Node:
    """A member with its searches and its REST handler; no sender runs on it unless a test starts one."""

    def __init__(self, python: str, member: Member, dispatch: Path) -> None:
        self.python, self.member = python, member
        self.splunkd, self.home, self.kv = member.splunkd, member.home, member.kv
        self.searches = Searches(python, self.home, self.splunkd, dispatch)
        self.splunkd.state.endpoint = self

    @cached_property
    def handler(self) -> RestHandler:
        """The process of the app's endpoints, which splunkd starts when it is needed."""
        return RestHandler(self.python, self.home, self.splunkd)

    def pass_on(self, *request: Any) -> tuple[int, str]:
        return self.handler.pass_on(*request)

    def end(self) -> None:
        """End what was started."""
        self.searches.end()
        if "handler" in vars(self):
            assert not self.handler.end()

    def search(self, body: bytes, args: tuple[str, ...] = SUMMARY) -> dict[str, str]:
        """Run a search to its end; returns its summary."""
        replies, code = self.searches.run(body, args=args)
        assert code == 0, replies[-1].messages
        self.messages = [text for _, text in replies[-1].messages]
        return summary(replies[-1].body)

    def sender(self, life: str = "60") -> Input:
        return Input(self.python, self.home, self.splunkd, life=life)

    def queue(self) -> Any:
        """The document of the page Queue."""
        reply = self.handler.request("GET", "queue")
        assert reply.status == 200, reply.document
        return reply.document

    def log(self, event: str) -> list[dict[str, object]]:
        return [line for line in events(self.home, "sender") if line["event"] == event]


Nodes = list[Node]


def started(python: str, directory: Path, archive: Path, emulator: PurviewEmulator) -> Iterator[Nodes]:
    """Three members with one connector, whose service is the emulator."""
    stanza = {"profile": "leaver-prediction", "job_id": JOB, "tenant_id": TENANT, "app_id": APP_ID}
    stanza |= {"emulator": emulator.url, "emulator_ca": str(emulator.ca_file), "disabled": "0"}
    with SearchHeadCluster(directory, archive) as cluster:
        cluster.configure({"leavers": stanza})
        for member in cluster.members:
            member.splunkd.sign_in(
                "analyst-session", "ana", "search", "irmexport_run", roles=("user", "irmexport_user")
            )
            member.splunkd.sign_in("admin-session", "adm", "irmexport_configure", roles=("admin",))
            save_secret(member.splunkd)
        nodes = [Node(python, member, directory / f"dispatch-{member.name}") for member in cluster.members]
        yield nodes
        for node in nodes:
            node.end()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[PurviewEmulator]:
    """The connector's service."""
    job = Job(JOB, APP_ID, "leavers", columns=COLUMNS)
    apps = [App(TENANT, APP_ID, SECRET)]
    with PurviewEmulator(apps, [job], directory=tmp_path / "emulator", lifetime=300) as running:
        yield running
        assert not running.failures


@pytest.fixture
def nodes(tmp_path: Path, archive: Path, service: PurviewEmulator) -> Iterator[Nodes]:
    """Three members on the newer Python."""
    yield from started(find_python("3.13") or "", tmp_path, archive, service)


@pytest.fixture(params=PYTHONS)
def nodes_on_each(
    request: pytest.FixtureRequest, tmp_path: Path, archive: Path, service: PurviewEmulator
) -> Iterator[Nodes]:
    """Three members on each of Splunk's Pythons."""
    yield from started(find_python(request.param) or "", tmp_path, archive, service)


def sent(service: PurviewEmulator) -> list[tuple[str, str]]:
    """User and time of each row that the service has."""
    records = [dict(record.fields) for record in service.records(JOB)]
    return sorted((one["UserPrincipalName"], one["PredictionTime"]) for one in records)


def files(node: Node) -> set[tuple[Path, int]]:
    """The files of a Splunk home, and when each was changed."""
    found = (path for path in node.home.path.rglob("*") if path.is_file())
    return {(path, path.stat().st_mtime_ns) for path in found}


def wait_until(true: Callable[[], object]) -> None:
    """Return once it is true."""
    end = time.monotonic() + 60
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    assert true()


def test_rows_that_two_members_have_are_sent_once(nodes_on_each: Nodes, service: PurviewEmulator) -> None:
    """One took days 1 and 2, the other 2 and 3: the second one's receipt says what the first had sent."""
    one, two, _ = nodes_on_each
    installed = [files(node) for node in nodes_on_each]
    assert one.search(rows(1, 2))["state"] == "sent"
    found = two.search(rows(2, 3))
    assert (found["state"], found["shaped"], found["skipped"], found["sent"]) == ("sent", "5", "5", "5")
    assert any("5 skipped (sent by this or another member)" in text for text in two.messages)
    assert two.search(rows(1))["state"] == "nothing to send"
    assert len(sent(service)) == len(set(sent(service))) == 15
    assert [line["known"] for line in two.log("promoted")] == [5, 5]
    for node in nodes_on_each:
        assert {user for user, _, path in node.splunkd.state.requests if "collections" in path} <= {
            "splunk-system-user"
        }
        assert b"contoso" not in node.home.log.read_bytes() if node.home.log.exists() else True
    for node, before in zip(nodes_on_each, installed, strict=True):
        folders = (node.home.outbox, node.home.log.parent)
        assert all(any(folder in path.parents for folder in folders) for path, _ in files(node) - before)


def test_the_sender_of_another_member_delivers(nodes: Nodes, service: PurviewEmulator) -> None:
    """Where no input runs, the handler promotes at the end of the search, and says who sends."""
    one, two, _ = nodes
    service.faults.next(Fault(status=503))
    assert one.search(rows(1), NO_WAIT)["state"] == "queued"
    wait_until(lambda: one.log("promoted"))
    with two.sender():
        wait_until(lambda: len(sent(service)) == 5)
        (connector,) = two.queue()["connectors"]
    assert (connector["outbox"], connector["queued"]) == ("cluster", 0)
    assert two.log("sent")
    assert [backlog["member"] for backlog in one.queue()["cluster"]["members"]] == ["sh1", "sh2"]


def test_a_sender_goes_on_after_the_key_was_rolled_back(nodes: Nodes, service: PurviewEmulator) -> None:
    """It has a copy of the queue with the key that was there; what comes under the new one is not damaged."""
    one, two, _ = nodes
    with one.sender():
        assert one.search(rows(1))["state"] == "sent"
        one.kv.cluster.roll_back(10_000)
        service.faults.next(Fault(status=503))  # so that only this sender is left to send it
        two.search(rows(2), NO_WAIT)
        wait_until(lambda: len(sent(service)) == 10)
    assert any("taken back the key" in str(line["what"]) for line in one.log("cluster-away"))
    with one.kv.cluster.lock:
        assert not [key for *_, key in one.kv.cluster.newest.documents if ".quarantine." in key]


def test_while_kv_store_is_away_rows_wait(nodes: Nodes, service: PurviewEmulator) -> None:
    """The search, the page and the log say so; the next search there promotes both, the older run first."""
    one = nodes[0]
    for node in nodes:
        node.kv.state = "starting"
    found = one.search(rows(1))
    assert (found["state"], found["reason"], found["waiting"]) == ("queued", "not-promoted", "5")
    assert any("the cluster's outbox cannot be reached" in text for text in one.messages)
    page = one.queue()
    assert "the cluster's outbox cannot be reached" in page["cluster"]["problem"]
    assert "starting" in str(page["cluster"]) or "initializing" in str(page["cluster"])
    assert [(one["outbox"], one["rows_queued"]) for one in page["connectors"]] == [("directory", 5)]
    assert one.log("cluster-away")
    assert one.splunkd.state.messages["irmexport_leavers"]
    for node in nodes:
        node.kv.state = "ready"
    assert one.search(rows(2))["state"] == "sent"
    assert len(sent(service)) == 10
    assert [line["rows"] for line in one.log("promoted")] == [5, 5]
    assert "irmexport_leavers" not in one.splunkd.state.messages


def test_a_batch_is_decided_about_from_any_member(nodes: Nodes, service: PurviewEmulator) -> None:
    """Each shows what needs a person, whoever took it; the decision counts for all."""
    one, two, three = nodes
    service.faults.next(Fault(reset_after_last_byte=True))
    assert one.search(rows(1))["state"] == "held"
    (held,) = two.handler.request("GET", "held").document["batches"]
    assert held["connector"] == "leavers"
    done = three.handler.request("POST", f"batches/{held['id']}/resolve", outcome="resend", why="checked")
    assert done.status == 200, done.document
    assert two.search(rows(2))["state"] == "sent"
    wait_until(lambda: len(set(sent(service))) == 10)
    assert two.handler.request("GET", "held").document["batches"] == []
    history = two.handler.request("GET", f"batches/{held['id']}").document["history"]
    assert [event["by"] for event in history if event["event"] == "resolved-resend"] == ["adm"]


def test_a_persons_rows_are_erased_from_any_member(nodes: Nodes, service: PurviewEmulator) -> None:
    """Unsent ones of the cluster's outbox; the others' are sent. No reply and no log has the name."""
    one, two, three = nodes
    for node in nodes:
        save_secret(node.splunkd, "emulator-only-wrong")
    assert one.search(rows(1))["state"] == "paused"
    who, why = "SaraD@contoso.com", "request 7"
    found = two.handler.request("POST", "person/find", name=who).document
    assert [(place["what"], place["state"], place["count"]) for place in found["found"]] == [
        ("rows", "READY", 1)
    ]
    assert "sarad" not in json.dumps(found).lower()
    done = two.handler.request("POST", "person/erase", name=who, why=why)
    assert (done.status, done.document["unsent"], done.document["found"]) == (200, 1, []), done.document
    assert who not in "".join(json.dumps(line) for line in events(two.home, "rest"))
    assert two.handler.request("POST", "person/erase", name=who).status == 400
    assert two.handler.request("POST", "person/find", name="4711", why=why).status == 400
    three.kv.state = "starting"
    assert three.handler.request("POST", "person/find", name=who).status == 503
    three.kv.state = "ready"
    for node in nodes:
        save_secret(node.splunkd)
    two.handler.request("POST", "connectors/leavers/resume")
    two.search(rows(3))
    assert sorted(name for name, day in sent(service) if "04-01" in day) == sorted(
        f"{name}@contoso.com" for name in NAMES if name != "sarad"
    )


def test_a_pause_and_its_end_are_the_clusters(nodes: Nodes, service: PurviewEmulator) -> None:
    """One member finds the wrong secret; the others do not try, and any may resume."""
    one, two, three = nodes
    for node in nodes:
        save_secret(node.splunkd, "emulator-only-wrong")
    assert one.search(rows(1))["state"] == "paused"
    assert two.search(rows(2))["state"] == "paused"
    assert [one["mode"] for one in three.queue()["connectors"]] == ["paused"]
    for node in nodes:
        save_secret(node.splunkd)
    assert three.handler.request("POST", "connectors/leavers/resume").document == {"resumed": 1}
    assert three.search(rows(3))["state"] == "sent"
    assert len(sent(service)) == 15


def test_a_search_head_that_has_left_its_cluster_sends_nothing_by_itself(
    nodes: Nodes, service: PurviewEmulator
) -> None:
    """The cluster may have sent its rows; an administrator who knows better sets outbox=directory."""
    one = nodes[0]
    assert one.search(rows(1))["state"] == "sent"
    one.splunkd.state.server = {**one.splunkd.state.server, "server_roles": ["search_head"]}
    one.splunkd.state.shcluster = {"disabled": True}
    assert one.search(rows(2))["state"] == "queued"
    (line,) = one.log("cannot-send")
    assert "not in its cluster any more" in str(line["what"])
    assert "outbox=directory" in str(line["next_step"])
    assert one.handler.request("POST", "connectors/leavers", outbox="directory").status == 200
    assert one.search(rows(3))["state"] == "sent"
    assert len(sent(service)) == 15


def test_a_search_head_that_joins_a_cluster_promotes_what_it_has(
    nodes: Nodes, service: PurviewEmulator
) -> None:
    """What is queued and what is held; from then on every member sees it."""
    one, two, _ = nodes
    alone = one.splunkd.state.server, one.splunkd.state.shcluster
    one.splunkd.state.server = {**alone[0], "server_roles": ["search_head"]}
    one.splunkd.state.shcluster = {"disabled": True}
    service.faults.next(Fault(reset_after_last_byte=True))
    assert one.search(rows(1))["state"] == "held"
    assert two.queue()["connectors"] == []
    assert not one.kv.requests  # a single search head needs no KV store
    one.splunkd.state.server, one.splunkd.state.shcluster = alone
    assert one.search(rows(2))["state"] == "sent"
    (held,) = two.handler.request("GET", "held").document["batches"]
    assert (held["state"], held["rows"]) == ("HELD", 5)


def test_a_connector_may_stay_in_the_directory(nodes: Nodes, service: PurviewEmulator) -> None:
    """With outbox=directory, a member sends for itself; what the cluster has queued is still sent.

    When it shares the cluster's outbox again, the others know what it has sent meanwhile.
    """
    one, two, three = nodes
    service.faults.next(Fault(reset_after_last_byte=True))
    assert one.search(rows(1))["state"] == "held"
    for node in nodes:
        node.splunkd.state.confs["irmexport_connectors"]["leavers"]["outbox"] = "directory"
    (held,) = two.handler.request("GET", "held").document["batches"]
    two.handler.request("POST", f"batches/{held['id']}/resolve", outcome="resend", why="checked")
    assert two.search(rows(2))["state"] == "sent"
    wait_until(lambda: len(set(sent(service))) == 10)
    assert not two.log("promoted")
    assert one.search(rows(3))["state"] == "sent"
    for node in nodes:
        del node.splunkd.state.confs["irmexport_connectors"]["leavers"]["outbox"]
    assert one.search(rows(4))["state"] == "sent"
    assert three.search(rows(3))["skipped"] == "5"
    assert len(sent(service)) == 25, "those of the first day twice, as a person decided"


def test_a_push_of_the_deployer_keeps_what_is_queued(
    nodes: Nodes, service: PurviewEmulator, archive: Path
) -> None:
    """It replaces the app's folder; neither the directory nor KV store is in it."""
    one = nodes[0]
    one.splunkd.state.endpoint = NoEndpoint()
    one.search(rows(1), NO_WAIT)
    shutil.rmtree(one.home.bin.parent)
    with tarfile.open(archive) as tar:
        tar.extractall(one.home.path / "etc" / "apps", filter="data")
    one.splunkd.state.endpoint = one
    assert one.search(rows(2))["state"] == "sent"
    assert len(sent(service)) == 10


def test_versions_side_by_side_lose_nothing(nodes: Nodes, service: PurviewEmulator) -> None:
    """During a rolling upgrade, a member of the version before sends from its directory, as one here."""
    new, old, _ = nodes
    old.splunkd.state.confs["irmexport_connectors"]["leavers"]["outbox"] = "directory"
    assert new.search(rows(1))["state"] == "sent"
    assert old.search(rows(2))["state"] == "sent"
    del old.splunkd.state.confs["irmexport_connectors"]["leavers"]["outbox"]
    assert old.search(rows(1, 2, 3))["skipped"] == "10"
    assert len(sent(service)) == len(set(sent(service))) == 15


def test_an_analyst_learns_only_of_their_own_run(nodes: Nodes) -> None:
    """The endpoint answers for the user who made the run, and for no other text."""
    one = nodes[0]
    one.splunkd.sign_in("other-session", "otto", "irmexport_run")
    run = one.search(rows(1))["run"]

    def ask(key: str, run: str) -> Any:
        status, text = one.handler.pass_on(
            "POST", "send_irmexport", key, {"connector": "leavers", "run": run}
        )
        assert status == 200
        return json.loads(text)["status"]

    assert ask("analyst-session", run)["sent"] == 5
    nothing = {"state": "queued", "sent": 0, "held": 0, "dead": 0, "queued": 0, "reason": "not-promoted"}
    for key, text in (
        ("other-session", run),
        ("analyst-session", "../../etc/passwd"),
        ("analyst-session", "x"),
    ):
        assert nothing.items() <= ask(key, text).items()
