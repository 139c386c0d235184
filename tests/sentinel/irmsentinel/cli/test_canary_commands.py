"""`irmexport canary` as a user types it: what is sent, what counts as seen, and when it exits with 4."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from irmcli.main import main
from irmcli.output import Output
from irmcore.clock import SystemClock, iso
from irmcore.disk import PosixDisk
from irmcore.errors import DamageError, Overtaken
from irmcore.outbox import Outbox, sealed
from irmemulator.faults import Fault
from irmsentinel.canary import record
from irmsentinel.canary.record import Record, Upload
from irmsentinel.canary.sightings import GRAPH
from irmsentinel.cli.canary import look_for
from irmsentinel.emulators.collector_services import CollectorServicesEmulator
from irmsentinel.emulators.collector_session import running_emulator
from irmsentinel.emulators.synthetic_records import alert_record, graph_alert

from tests.fakes.emulated_faults import azure_fault
from tests.fakes.shared_outbox import SharedOutbox
from tests.sentinel.irmsentinel.export.exports import NOW, WORKSPACE, Stage, api, profile

HOUR, DAY = 3600.0, 86_400.0
#: The person of the emulators' alert 0, and that of alert 1.
ACCOUNT, OTHER = "person0000@contoso.com", "person0001@contoso.com"
AUDIT, EVENTS = "Compliance_IRM_AuditGeneral_CL", "IRMDataSecurityEvents_CL"


class Canary:
    """A connector, a tenant and an outbox, with the commands."""

    def __init__(self, stage: Stage, tenant: CollectorServicesEmulator) -> None:
        self.stage = stage
        self.tenant = tenant
        self.graph = tenant.graph
        self.folder = tenant.directory

    @property
    def outbox(self) -> Outbox:
        return self.stage.session("leaver-prediction").outbox

    def run(self, *words: object, code: int = 0) -> str:
        """What a command prints; it must exit with ``code``."""
        root = self.stage.directory
        there = ["--outbox", root / "outbox", "canary", *words, "--emulator", root / "emulator"]
        done = CliRunner().invoke(main, [*map(str, there)])
        assert done.exit_code == code, (done.output, done.exception)
        return done.output

    def send(self, account: str = ACCOUNT, *, code: int = 0) -> str:
        return self.run("send", "leaver-prediction", "--user", account, code=code)

    def look(self, *words: object, code: int = 0) -> str:
        """Look in Graph, and where ``words`` say."""
        at = ("--graph", self.folder / "collector.yaml", "--graph-emulator", self.folder)
        return self.run("look", "leaver-prediction", *at, *words, code=code)

    def found(self, *words: object) -> dict[str, tuple[int, float | None]]:
        """By source: how many delays were measured, and the median."""
        document = json.loads(self.look("--json", *words))
        return {one["source"]: (one["measured"], one["median"]) for one in document["sources"]}

    def received(self) -> float:
        """When the last row was confirmed."""
        known = record.load(self.outbox)
        assert known is not None
        return max(at for at, _ in known.confirmed())

    def age(self, seconds: float) -> None:
        """Let everything that is recorded be ``seconds`` older."""

        def change(known: Record) -> None:
            known.since -= seconds
            for upload in known.uploads:
                upload.receipt = None if upload.receipt is None else upload.receipt - seconds

        record.update(self.outbox, change)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    """Two connectors and a tenant without alerts."""
    stage = Stage(tmp_path, profile("leaver-prediction"), profile("salesforce-dropbox"))
    with stage.running(), running_emulator(tmp_path / "tenant", alerts=0) as tenant:
        yield Canary(stage, tenant)


def test_each_send_is_a_new_marked_row(canary: Canary) -> None:
    """It goes the way of every row, and the file beside the outbox is its owner's alone."""
    canary.send()
    said = canary.send(" Person0000@contoso.com")
    rows = canary.stage.kept("leaver-prediction")
    assert {row["UserPrincipalName"] for row in rows} == {ACCOUNT}
    assert len({row["PredictionTime"] for row in rows}) == len({row["ModelInfo"] for row in rows}) == 2
    known = record.load(canary.outbox)
    assert known is not None
    assert {one.marker for one in known.uploads} == {row["ModelInfo"] for row in rows}
    assert len(known.confirmed()) == 2
    assert stat.S_IMODE((Path(canary.outbox.path) / record.FILE).stat().st_mode) == 0o600
    assert ACCOUNT not in said
    assert known.uploads[1].marker not in said


def test_nothing_came_back(canary: Canary) -> None:
    """That is a result, not a failure, until the user's own limit is passed."""
    canary.send()
    said = canary.look("--limit", "36h")
    assert "1 row sent, 1 confirmed" in said
    assert "never" in said
    assert "Unverified" in said
    canary.age(37 * HOUR)
    canary.look("--limit", "2d")
    canary.look()
    said = canary.look("--limit", "36h", code=4)
    assert "nothing was seen for longer than the limit in Microsoft Graph. Check" in said


def test_an_alert_about_the_account_is_measured(canary: Canary) -> None:
    """From the receipt to the first update after it; what comes again later changes nothing."""
    canary.send()
    at = canary.received()
    canary.graph.put(graph_alert(0, 0, at + HOUR, at + HOUR))
    assert canary.found() == {GRAPH: (1, pytest.approx(HOUR, abs=1))}
    canary.graph.put(graph_alert(0, 1, at + HOUR, at + 3 * HOUR))
    assert canary.found() == {GRAPH: (1, pytest.approx(HOUR, abs=1))}
    known = record.load(canary.outbox)
    assert known is not None
    assert known.last[GRAPH] == pytest.approx(at + 3 * HOUR, abs=1)


def test_an_alert_updated_before_the_upload_does_not_count(canary: Canary) -> None:
    """Not even by half a millisecond, which the filter of Graph's list lets through."""
    canary.send()
    at = canary.received() - 0.0005
    canary.graph.put(graph_alert(0, 0, at - DAY, at))
    assert canary.found() == {GRAPH: (0, None)}


def _with_evidence(alert: dict[str, Any], *users: tuple[str, str]) -> dict[str, Any]:
    """``alert`` with evidence about users, each with a role."""
    plain = alert["evidence"][0]
    account = plain["userAccount"]
    evidence = [
        {**plain, "roles": [role], "userAccount": {**account, "userPrincipalName": name}}
        for name, role in users
    ]
    return {**alert, "evidence": evidence}


@pytest.mark.parametrize(
    ("users", "number"),
    [
        ([(OTHER, "policyViolator")], 0),
        ([(OTHER, "policyViolator"), (ACCOUNT, "contextual")], 0),
        ([(OTHER, "unknown"), (ACCOUNT, "unknown")], 0),
        ([(ACCOUNT, "policyViolator"), (OTHER, "contextual")], 1),
        ([(ACCOUNT, "unknown")], 1),
        ([], 0),
    ],
    ids=["another person", "target", "either of two", "actor", "only one", "nobody"],
)
def test_only_an_alert_about_the_account_counts(
    canary: Canary, users: list[tuple[str, str]], number: int
) -> None:
    """Another person's alert does not, nor one that may be another person's."""
    canary.send()
    at = canary.received() + HOUR
    canary.graph.put(_with_evidence(graph_alert(7, 0, at, at), *users))
    assert canary.found()[GRAPH][0] == number


def _audited(at: float, number: int) -> dict[str, Any]:
    """An audit record's row as the collector writes it, as far as the functions need it."""
    found = alert_record(number, 0, at, "tenant")
    names = ("RecordType", "Operation", "UserId", "AlertId", "Name", "Status", "Severity", "Category", "Data")
    created = f"{found['CreationTime']}Z"
    kept = {name: found[name] for name in names}
    return {"TimeGenerated": created, "CreationTime": created, "RecordId": found["Id"], **kept}


def _of_two(at: float) -> dict[str, Any]:
    """An alert of Sentinel that is about the account or about the other one."""
    accounts = [
        {"Type": "account", "Name": name[:10], "UPNSuffix": "contoso.com"} for name in (ACCOUNT, OTHER)
    ]
    return {
        "TimeGenerated": iso(at),
        "StartTime": iso(at),
        "SystemAlertId": "sa-1",
        "AlertName": "Data leaks",
        "AlertSeverity": "High",
        "ProductName": "Microsoft 365 Insider Risk Management",
        "Status": "New",
        "Entities": json.dumps(accounts),
    }


@pytest.fixture
def workspace(canary: Canary, tmp_path: Path) -> Iterator[tuple[object, ...]]:
    """The options of a workspace with an alert about the account, an hour after a row, and another one."""
    canary.send()
    # The emulated workspace's clock shows 2026-11-21.
    at = NOW.timestamp() - 2 * DAY
    canary.age(canary.received() - at)
    given = {AUDIT: [_audited(at + HOUR, 0), _audited(at + 60, 1)], "SecurityAlert": [_of_two(at + 60)]}
    with api(given, tmp_path / "api"):
        yield ("--query-emulator", tmp_path / "api", "--workspace", WORKSPACE)


def test_it_came_back_from_one_source_only(canary: Canary, workspace: tuple[object, ...]) -> None:
    """Each source has its own delay, and each is held to the limit."""
    assert canary.found(*workspace) == {GRAPH: (0, None), AUDIT: (1, pytest.approx(HOUR, abs=2))}
    said = canary.look(*workspace, "--limit", "1h", code=4)
    assert f"longer than the limit in {GRAPH}, {AUDIT}" in said


def test_activities_that_arrive_are_measured(canary: Canary, tmp_path: Path) -> None:
    """By their arrival; another person's do not count, nor what is older than the row and arrives late."""
    canary.send()
    at = NOW.timestamp() - 2 * DAY
    canary.age(canary.received() - at)

    def activity(account: str, time: float, arrived: float) -> dict[str, Any]:
        times = {"Timestamp": iso(time), "TimeGenerated": iso(time), "_IngestionTime": iso(arrived)}
        return {**times, "AccountUpn": account}

    given = {
        AUDIT: [_audited(at + 9 * HOUR, 1)],
        EVENTS: [
            activity(ACCOUNT.title(), at - 60, at + 3 * HOUR),
            activity(OTHER, at - 60, at + HOUR),
            activity(ACCOUNT, at - DAY, at + HOUR),
        ],
    }
    with api(given, tmp_path / "api"):
        found = canary.found("--query-emulator", tmp_path / "api", "--workspace", WORKSPACE)
    assert found == {GRAPH: (0, None), EVENTS: (1, pytest.approx(3 * HOUR, abs=2))}


def test_a_source_that_fails_does_not_hide_another(canary: Canary, workspace: tuple[object, ...]) -> None:
    """What the workspace has is recorded and printed, and the error is the command's result."""
    canary.tenant.options.may_read_alerts = False
    said = canary.look(*workspace, code=2)
    assert "SecurityAlert.Read.All" in said
    assert AUDIT in said
    known = record.load(canary.outbox)
    assert known is not None
    assert known.delays(AUDIT) == [pytest.approx(HOUR, abs=2)]


def test_an_alert_of_another_product_is_an_error_of_graph(canary: Canary) -> None:
    """Its message names that service, not the Management API."""
    canary.send()
    now = SystemClock().now()
    foreign = {**graph_alert(2, 0, now, now), "serviceSource": "another"}
    body = json.dumps({"value": [foreign]}).encode()
    canary.tenant.faults.next(azure_fault("alerts", 200, body=body))
    assert "Microsoft Graph, foreign-alert: " in canary.look(code=2)


def test_a_row_counts_from_its_receipt(canary: Canary) -> None:
    """That of a later drain, too; an alert between acceptance and receipt is none of the row's."""
    canary.stage.emulator.faults.next(Fault(status=403))
    canary.send(code=4)
    at = canary.outbox.clock.now()
    canary.graph.put(graph_alert(0, 0, at, at))
    assert "1 row sent, 0 confirmed" in canary.look()
    root = canary.stage.directory
    words = ["--outbox", str(root / "outbox"), "resume", canary.outbox.name, "--why", "tested"]
    assert CliRunner().invoke(main, words).exit_code == 0
    CliRunner().invoke(main, ["--outbox", str(root / "outbox"), "drain"])
    assert "1 row sent, 1 confirmed" in canary.look()
    assert canary.found() == {GRAPH: (0, None)}


def test_another_account_is_refused(canary: Canary) -> None:
    """The file names one account; nothing of the other is sent or shown."""
    canary.send()
    said = canary.send(OTHER, code=2)
    assert "another test account" in said
    assert OTHER not in said
    assert ACCOUNT not in said
    assert len(canary.stage.kept("leaver-prediction")) == 1


def test_an_account_that_is_no_user_is_refused(canary: Canary) -> None:
    """As in every input: counted with its reason, and not recorded."""
    assert "upn-without-domain" in canary.send("somebody", code=3)
    assert record.load(canary.outbox) is None


def test_without_a_canary_there_is_nothing_to_look_for(canary: Canary) -> None:
    """The next step is a command; nothing is created."""
    assert "irmexport canary send" in canary.look(code=2)
    assert not canary.outbox.exists()
    assert "--graph FILE" in canary.run("look", "leaver-prediction", code=2)


def test_a_schedule_of_both_commands(canary: Canary) -> None:
    """A wrong option is reported when the schedule is written."""
    words = ["schedule", "--format", "cron", "canary", "send", "leaver-prediction", "--user", ACCOUNT]
    assert "canary send leaver-prediction" in CliRunner().invoke(main, words).output
    done = CliRunner().invoke(main, ["schedule", "--format", "cron", "canary", "look", "x", "--limit", "7x"])
    assert done.exit_code == 2


# -- the record -------------------------------------------------------------------------


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """An outbox with a record of one confirmed upload."""
    made = Outbox(PosixDisk(), SystemClock(), str(tmp_path / "purview-1"))
    made.create()
    record.update(made, lambda _: None, Record(ACCOUNT, 100.0, [Upload("canary-1", "b" * 64, 100.0)]))
    return made


def test_a_killed_look_loses_nothing(outbox: Outbox) -> None:
    """What one source said is durable before the next is queried, and the next look finds the rest."""

    def killed(_account: str, _since: float) -> dict[str, list[float]]:
        raise KeyboardInterrupt

    sources = {GRAPH: lambda *_: {GRAPH: [150.0]}, "the workspace": killed}
    with pytest.raises(KeyboardInterrupt):
        look_for(Output(as_json=True), outbox, sources, limit=None, now=300.0)
    whole = {**sources, "the workspace": lambda *_: {AUDIT: [200.0]}}
    assert look_for(Output(as_json=True), outbox, whole, limit=101, now=300.0) == 4
    known = record.load(outbox)
    assert known is not None
    assert (known.delays(GRAPH), known.delays(AUDIT)) == ([50.0], [100.0])


def test_what_is_seen_belongs_to_the_upload_before_it(outbox: Outbox) -> None:
    """In any order of sightings; the first one after an upload is its delay."""
    record.update(outbox, lambda known: known.uploads.append(Upload("canary-2", "c" * 64, 200.0)))
    record.update(outbox, lambda known: known.add({GRAPH: [260.0, 230.0, 100.0, 190.0, 90.0]}))
    known = record.load(outbox)
    assert known is not None
    assert (known.delays(GRAPH), known.last) == ([90.0, 30.0], {GRAPH: 260.0})


def test_the_record_is_bounded(outbox: Outbox) -> None:
    """The oldest uploads go; since when rows are sent stays."""
    more = [Upload(f"canary-{n}", f"{n:064}", 1000.0 + n) for n in range(record.KEPT)]
    record.update(outbox, lambda known: known.uploads.extend(more))
    known = record.load(outbox)
    assert known is not None
    assert (known.uploads, known.since) == (more, 100.0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-9],
        lambda data: data.replace(b"canary-1", b"canary-2"),
        lambda _: b"",
        lambda _: sealed.encode({"account": ACCOUNT, "uploads": 5, "since": 1.0}),
        lambda _: sealed.encode({"account": ACCOUNT, "uploads": [], "since": 1.0, "later": 1}),
    ],
    ids=["cut off", "changed", "empty", "of another form", "of a later version"],
)
def test_a_bad_file_is_reported_and_left_alone(outbox: Outbox, damage: Callable[[bytes], bytes]) -> None:
    """Nothing is measured anew in silence."""
    path = Path(outbox.path) / record.FILE
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(DamageError, match="damaged, or a later version"):
        record.update(outbox, lambda known: known.uploads.clear())
    assert path.read_bytes() == before


def test_two_changes_at_once_are_both_recorded(outbox: Outbox) -> None:
    """A send and a look do not undo each other's."""

    def change(number: int) -> None:
        here = Outbox(PosixDisk(), SystemClock(), outbox.path)
        record.update(here, lambda known: known.uploads.append(Upload(f"m{number}", "d" * 64)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(12)))
    known = record.load(outbox)
    assert known is not None
    assert {one.marker for one in known.uploads} == {"canary-1", *(f"m{n}" for n in range(12))}


def test_an_outbox_on_a_store_has_one_record_for_all_machines() -> None:
    """Of two changes at once, the second is refused and does not undo the first."""
    shared = SharedOutbox()
    here, there = shared.machine().outbox, shared.machine().outbox
    record.update(here, lambda _: None, Record(ACCOUNT, 100.0))

    def meanwhile(known: Record) -> None:
        known.since = 1.0
        record.update(there, lambda other: other.uploads.append(Upload("canary-1", "b" * 64)))

    with pytest.raises(Overtaken):
        record.update(here, meanwhile)
    known = record.load(here)
    assert known is not None
    assert (known.since, [one.marker for one in known.uploads]) == (100.0, ["canary-1"])
