"""IRM alerts from the emulated Microsoft Graph to events of the built app: each version once."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from irmemulator.faults import Fault
from irmemulator.http_messages import Request
from irmsentinel.emulators.collector_options import Options
from irmsentinel.emulators.collector_services import CollectorServicesEmulator
from irmsentinel.emulators.synthetic_records import graph_alert
from irmsplunk.splunk.kv_store import KvStore
from irmsplunk.splunk.splunkd import Splunkd

from tests.fakes.splunk_cluster import SearchHeadCluster
from tests.fakes.splunk_conf import read_conf
from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_input import Input
from tests.fakes.splunkd_rest import Cut, SplunkdRest
from tests.needs import find_python
from tests.splunk_app import spl, spl_run
from tests.splunk_app.conftest import save_secret
from tests.splunk_app.test_end_to_end import events as log_of
from tests.splunk_app.test_settings import APP
from tests.users_of_alerts import ABOUT

HOUR, DAY = 3600, 24 * 3600
TENANT = "11111111-2222-4333-8444-555555555555"
APP_ID = "66666666-7777-4888-8999-aaaaaaaaaaaa"
STANZA = "irmexport_alerts://main"
#: The fields of the data model Alerts that an add-on fills, and the values that two of them may have
#: (help.splunk.com/data-management/common-information-model, Alerts; Alerts.json of Splunk_SA_CIM and of
#: pytest-splunk-addon).
CIM = {
    *("app", "body", "description", "dest", "dest_type", "id", "mitre_technique_id", "severity"),
    *("severity_id", "signature", "signature_id", "src", "src_type", "subject", "type", "user", "user_name"),
    *("vendor_account", "vendor_region"),
}
SEVERITIES = {"critical", "high", "medium", "low", "informational", "unknown"}
TYPES = {"alarm", "alert", "event", "task", "warning", "unknown"}
#: Fields of events in general, by the same manual's page "Standard fields" and the vendor's own words.
GENERAL = {"vendor_product", "vendor_severity"}


class Ran(NamedTuple):
    """What a run of the input came to."""

    code: int
    events: list[dict[str, Any]]
    times: list[float]

    @property
    def versions(self) -> list[tuple[str, str]]:
        return [(event["id"], event["lastUpdateDateTime"]) for event in self.events]


class Rig:
    """An input on one search head, whose connector leads to the emulated Graph."""

    def __init__(self, python: str, home: SplunkHome, splunkd: SplunkdRest, graph: Graph) -> None:
        self.python, self.home, self.splunkd, self.graph = python, home, splunkd, graph

    def start(self, **params: str) -> Input:
        settings = {"connector": "graph", "index": "irm", "interval": "300", **params}
        return Input(self.python, self.home, self.splunkd, stanza=STANZA, **settings).start()

    def run(self, **params: str) -> Ran:
        return ended(self.start(**params))

    def log(self) -> list[dict[str, Any]]:
        return list(log_of(self.home, "alerts"))


def ended(running: Input) -> Ran:
    """The events of a run, also of one that was killed; splunkd takes only whole ones."""
    code, out = running.wait()
    parser = ElementTree.XMLPullParser(["end"])
    parser.feed(out)
    found = [element for _, element in parser.read_events() if element.tag == "event"]
    texts = [element.findtext("data") or "" for element in found]
    assert all(text.count("\n") == 1 and text.endswith("\n") for text in texts)  # LINE_BREAKER
    times = [float(element.findtext("time") or 0) for element in found]
    return Ran(code, [json.loads(text) for text in texts], times)


class Graph:
    """The emulated Microsoft Graph of one tenant, in pages of ten."""

    def __init__(self, directory: Path) -> None:
        self.options = Options(TENANT, APP_ID, {}, page_size=10, run_kql=False)
        self.server = CollectorServicesEmulator(self.options, directory)

    def put(self, ago: float, number: int, version: int = 0, **fields: Any) -> tuple[str, str]:
        """Make a version of an alert that Graph has since ``ago`` seconds; returns its id and time."""
        at = time.time() - ago
        alert = {**graph_alert(number, version, at - version * HOUR, at), **fields}
        self.server.graph.put(alert)
        return alert["id"], alert["lastUpdateDateTime"]

    @property
    def lists(self) -> list[Request]:
        return [request for request in self.server.requests if request.path.endswith("/alerts_v2")]


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    """Microsoft Graph without alerts."""
    found = Graph(tmp_path / "graph")
    with found.server:
        yield found


def connect(splunkd: SplunkdRest, graph: Graph) -> None:
    """Save the connector `graph`. It is disabled: no search may send with it."""
    stanza = {"profile": "leaver-prediction", "tenant_id": TENANT, "app_id": APP_ID, "disabled": "1"}
    stanza |= {"emulator": graph.server.url, "emulator_ca": str(graph.server.ca_file)}
    splunkd.state.confs["irmexport_connectors"]["graph"] = stanza
    save_secret(splunkd, graph.server.secret, "graph")


@pytest.fixture
def on_each(python: str, home: SplunkHome, splunkd: SplunkdRest, graph: Graph) -> Rig:
    """The input on each of Splunk's Pythons."""
    connect(splunkd, graph)
    return Rig(python, home, splunkd, graph)


@pytest.fixture
def rig(home: SplunkHome, splunkd: SplunkdRest, graph: Graph) -> Rig:
    """The input on the newer Python only."""
    connect(splunkd, graph)
    return Rig(find_python("3.13") or "", home, splunkd, graph)


needs_3_13 = pytest.mark.needs("python3.13")


def test_each_version_is_written_once(on_each: Rig) -> None:
    """Several pages, a 429, a rejected token, updates, runs without news. The secret is in no file."""
    graph = on_each.graph
    made = [graph.put(DAY + number * HOUR, number) for number in range(25)]
    graph.server.faults.next(Fault(on="alerts", status=429, retry_after=1))
    first = on_each.run()
    assert (first.code, sorted(first.versions)) == (0, sorted(made))
    assert {request.headers["prefer"] for request in graph.lists} == {"include-unknown-enum-members"}
    assert len(graph.lists) == 1 + 3 + 3  # refused, read, and read again for what a deletion may have moved
    newest = max(range(25), key=lambda one: first.times[one])
    assert first.events[newest]["lastUpdateDateTime"] == max(time for _, time in made)
    assert abs(first.times[newest] - (time.time() - DAY)) < HOUR
    graph.server.entra.revoke_tokens()
    updated = [graph.put(60, 3, 1), graph.put(30, 99)]
    assert sorted(on_each.run().versions) == sorted(updated)
    assert on_each.run() == Ran(0, [], [])
    assert [line["new"] for line in on_each.log() if line["event"] == "alerts-read"] == [25, 2, 0]
    assert graph.server.secret.encode() not in on_each.home.everything_written()


@needs_3_13
def test_a_time_that_was_days_ahead_hides_nothing_for_good(rig: Rig) -> None:
    """What was updated while the service's time was wrong is read once it is right, if twice."""
    first = rig.graph.put(HOUR, 0)
    right = rig.graph.options.now
    rig.graph.options.now = lambda: right() + 3 * DAY
    assert rig.run().versions == [first]
    hidden = rig.graph.put(60, 1)
    assert rig.run().versions == []
    rig.graph.options.now = right
    assert rig.run().versions == []
    assert set(rig.run().versions) == {first, hidden}
    assert rig.run().versions == []


@needs_3_13
def test_updates_and_deletions_while_pages_are_read_lose_nothing(rig: Rig) -> None:
    """Alerts of each page change while it is read; every alert's last version comes, and no version twice."""
    made = {rig.graph.put(2 * DAY + number, number) for number in range(25)}
    gone = rig.graph.put(2 * DAY + 0.5, 500)

    def change(page: int) -> None:
        if page in (1, 2):
            made.update(rig.graph.put(0, number, 1) for number in (page, 10 + page, 20 + page))
            made.add(rig.graph.put(0, 300 + page))
        if page == 1:
            rig.graph.server.graph.delete(gone[0])

    rig.graph.server.graph.after_page = change
    found = [*rig.run().versions, *rig.run().versions]
    assert len(found) == len(set(found))
    latest = {name: max(at for each, at in made if each == name) for name, _ in made}
    assert set(latest.items()) <= set(found)


@needs_3_13
def test_a_killed_input_goes_on_after_the_page_that_was_noted(rig: Rig) -> None:
    """Killed while it waits for the third page: the next run writes the rest, and nothing again."""
    made = [rig.graph.put(DAY + number, number) for number in range(25)]
    running: list[Input] = []
    started = threading.Event()

    def kill(page: int) -> None:
        if page == 3:
            started.wait(60)
            os.kill(running[0].pid, signal.SIGKILL)

    rig.graph.server.graph.after_page = kill
    running.append(rig.start())
    started.set()
    first = ended(running[0])
    assert (first.code, len(first.events)) == (-signal.SIGKILL, 20)
    rest = taken_over(rig)
    assert sorted([*first.versions, *rest.versions]) == sorted(made)


def taken_over(rig: Rig) -> Ran:
    """The run after a kill, once the lease of the killed process has ended."""
    store = KvStore(Splunkd(rig.splunkd.uri, "system-session"))
    for key in list(store.keys("alerts/main/lease/")):
        store.delete(key)
    return rig.run()


@needs_3_13
def test_killed_between_an_event_and_its_note_it_writes_that_page_again(rig: Rig) -> None:
    """Splunkd acknowledges nothing, so an event may come twice, never not at all; the macro takes it once."""
    made = [rig.graph.put(DAY + number, number) for number in range(25)]
    running: list[Input] = []
    started, notes = threading.Event(), [0]

    def cut(method: str, path: str) -> Cut:
        if method == "POST" and path.endswith("/irmexport_outbox"):
            notes[0] += 1
            if notes[0] == 3:  # the lease, the first page, and now the second
                started.wait(60)
                os.kill(running[0].pid, signal.SIGKILL)
                return Cut.BEFORE
        return Cut.NEVER

    rig.splunkd.state.cut = cut
    running.append(rig.start())
    started.set()
    first = ended(running[0])
    assert (first.code, len(first.events)) == (-signal.SIGKILL, 20)
    rig.splunkd.state.cut = lambda *_request: Cut.NEVER
    rest = taken_over(rig)
    assert len(rest.events) == 15
    macro = read_conf(APP / "default" / "macros.conf")["irmexport_irm_alerts"]["definition"]
    _, dedup = spl.commands(macro)
    assert dedup == "dedup id, lastUpdateDateTime"
    assert sorted({*first.versions, *rest.versions}) == sorted(made)


@needs_3_13
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        pytest.param({"status": 403}, "SecurityAlert.Read.All", id="permission"),
        pytest.param({"status": 400}, "refused the request (HTTP 400", id="refused"),
        pytest.param({"status": 302, "location": "https://127.0.0.1:1/"}, "HTTP 302", id="redirect"),
        pytest.param(
            {"status": 200, "body": b'{"value": [{"id": "1", "serviceSource": "unknownFutureValue"}]}'},
            "does not say it is one of Insider Risk Management",
            id="foreign",
        ),
        pytest.param(
            {"status": 200, "body": b'{"value": [], "@odata.nextLink": "https://graph.example/x"}'},
            "a link to another host",
            id="link",
        ),
    ],
)
def test_what_a_person_must_change_is_shown(rig: Rig, fault: Mapping[str, Any], expected: str) -> None:
    """In the log and as a message of Splunk, which goes when it works again. Nothing is written meanwhile."""
    rig.graph.put(HOUR, 1)
    rig.graph.server.faults.next(Fault(on="alerts", **fault))
    failed = rig.run()
    assert (failed.code, failed.events) == (1, [])
    (line,) = [line for line in rig.log() if line["event"] == "alerts-failed"]
    assert expected in line["what"]
    (message,) = rig.splunkd.state.messages.values()
    assert expected in message
    assert len(rig.run().events) == 1
    assert rig.splunkd.state.messages == {}


@needs_3_13
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param({"index": "default"}, "`index` is not set", id="index"),
        pytest.param({"connector": ""}, "`connector` is not set", id="no connector"),
        pytest.param({"connector": "grpah"}, "there is no connector of this name", id="unknown"),
    ],
)
def test_settings_that_do_not_fit_are_refused(rig: Rig, params: dict[str, str], expected: str) -> None:
    """Before anything is asked of Graph."""
    assert rig.run(**params).code == 1
    assert expected in rig.log()[-1]["what"]
    assert rig.graph.server.requests == []


@needs_3_13
def test_a_secret_of_another_destination_is_not_used(rig: Rig) -> None:
    """After an edit of the connector by hand, no token is asked for."""
    stanza = rig.splunkd.state.confs["irmexport_connectors"]["graph"]
    stanza["cloud"] = "gcc-high"
    assert rig.run().code == 1
    assert "was saved for another destination" in rig.log()[-1]["what"]
    assert rig.graph.lists == []


@needs_3_13
def test_one_member_of_a_cluster_reads_at_a_time(archive: Path, tmp_path: Path, graph: Graph) -> None:
    """While one reads, another leaves it alone; later it goes on where the first one was."""
    made = [graph.put(DAY + number, number) for number in range(15)]
    with SearchHeadCluster(tmp_path, archive, members=2) as cluster:
        one, two = (
            Rig(find_python("3.13") or "", member.home, member.splunkd, graph) for member in cluster.members
        )
        for each in (one, two):
            each.splunkd.state.confs.setdefault("irmexport_connectors", {})
            connect(each.splunkd, graph)
        others: list[Ran] = []

        def meanwhile(page: int) -> None:
            if page == 2:
                others.append(two.run())

        graph.server.graph.after_page = meanwhile
        first = one.run()
        assert (sorted(first.versions), others) == (sorted(made), [Ran(0, [], [])])
        assert two.log()[-1]["event"] == "alerts-elsewhere"
        assert two.log()[-1]["by"] == "sh1"
        new = graph.put(1, 3, 1)
        assert two.run().versions == [new]
        assert one.run().versions == []


# -- whom an alert is about -------------------------------------------------------------


@needs_3_13
def test_the_user_is_the_actor_or_nobody(rig: Rig) -> None:
    """In doubt the event has no user, and its evidence is as Graph sent it."""
    numbers = {
        rig.graph.put(HOUR, n, evidence=ABOUT[name].evidence, user="x")[0]: name
        for n, name in enumerate(ABOUT)
    }
    found = rig.run().events
    assert {numbers[event["id"]]: event.get("user") for event in found} == {
        name: case.user for name, case in ABOUT.items()
    }
    for event in found:
        assert event["evidence"] == ABOUT[numbers[event["id"]]].evidence
        assert list(event)[-1] == "evidence"  # after everything that search needs


# -- what Splunk makes of an event ------------------------------------------------------


def searched(event: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an event at search time: KV_MODE = json, then all EVAL- at once."""
    stanza = read_conf(APP / "default" / "props.conf")["irm:alert"]
    assert stanza["KV_MODE"] == "json"
    plain = {key: value for key, value in event.items() if isinstance(value, (str, int))}
    made = {
        key.partition("-")[2]: spl_run.Expression(text).of(dict(plain))
        for key, text in stanza.items()
        if key.startswith("EVAL-")
    }
    return {**plain, **made}


def test_an_alert_has_the_fields_of_the_data_model() -> None:
    """Its names are the model's, its values those that the model prescribes."""
    event = {**graph_alert(2, 0, 0, 0), "user": "ana@contoso.com", "tenantId": TENANT}
    found = searched(event)
    assert {name: found[name] for name in CIM & found.keys() if found[name] is not None} == {
        "app": "Microsoft Purview Insider Risk Management",
        "id": event["id"],
        "severity": "low",
        "severity_id": 2,
        "signature": event["title"],
        "signature_id": event["alertPolicyId"],
        "type": "alert",
        "user": "ana@contoso.com",
        "vendor_account": TENANT,
    }
    assert found["vendor_product"] == "Microsoft Purview Insider Risk Management"
    assert found["type"] in TYPES
    stanza = read_conf(APP / "default" / "props.conf")["irm:alert"]
    assert {key.partition("-")[2] for key in stanza if key.startswith("EVAL-")} <= CIM | GENERAL


@pytest.mark.parametrize(
    ("given", "severity", "number"),
    [
        ("informational", "informational", 1),
        ("medium", "medium", 3),
        ("high", "high", 4),
        ("unknownFutureValue", "unknown", None),
    ],
)
def test_severities_are_those_of_the_model(given: str, severity: str, number: int | None) -> None:
    """Graph's own word is kept beside it (learn.microsoft.com/graph/api/resources/security-alert)."""
    found = searched({"severity": given})
    assert (found["severity"], found["severity_id"], found["vendor_severity"]) == (severity, number, given)
    assert severity in SEVERITIES


def test_the_tag_of_the_data_model_is_on_the_sourcetype() -> None:
    """The sourcetype of each input, whatever its name, has the event type, which has the tag `alert`."""
    ((name, event_type),) = read_conf(APP / "default" / "eventtypes.conf").items()
    sourcetype = read_conf(APP / "default" / "inputs.conf")["irmexport_alerts"]["sourcetype"]
    assert event_type["search"] == f'sourcetype="{sourcetype}"'
    assert read_conf(APP / "default" / "tags.conf") == {f"eventtype={name}": {"alert": "enabled"}}


def test_the_scheme_is_that_of_the_settings(home: SplunkHome, splunkd: SplunkdRest) -> None:
    """`--scheme` names the settings of the spec file that are not Splunk's own."""
    scheme = Input(find_python("3.13") or "", home, splunkd, stanza=STANZA).scheme()
    arguments = [arg.get("name") for arg in ElementTree.fromstring(scheme).iter("arg")]  # noqa: S314 - ours
    assert arguments == ["connector"]
    assert "\nconnector = " in (APP / "README" / "inputs.conf.spec").read_text(encoding="utf-8")
