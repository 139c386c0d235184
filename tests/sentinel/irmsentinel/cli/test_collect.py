"""`irmexport sentinel subscribe`, `collect` … as a user types them, against an emulator process."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from irmcore.outbox import sealed
from irmsentinel.emulators.collector_session import settings_text

from tests.fakes.emulated_faults import azure_fault
from tests.sentinel.irmsentinel.collector.collecting import HOUR, Rig

IRMEXPORT = Path(sys.executable).with_name("irmexport")


class Machine:
    """The directory of an emulator, and an outbox."""

    def __init__(self, directory: Path) -> None:
        self.emulator = directory / "em"
        self.outbox = directory / "outbox"

    def there(self) -> list[object]:
        """The options that lead to the emulator."""
        return ["-s", self.emulator / "collector.yaml", "--emulator", self.emulator]

    def run(self, *arguments: object, code: int = 0, at: bool = True) -> str:
        """The output of a command, which must exit with ``code``."""
        there = self.there() if at else []
        done = subprocess.run(
            [IRMEXPORT, "--outbox", self.outbox, *map(str, [*arguments, *there])],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env={**os.environ, "REQUESTS_CA_BUNDLE": "/nowhere"},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with an emulator that has 20 made-up alerts and no subscription."""
    machine = Machine(tmp_path_factory.mktemp("collect"))
    command = [
        IRMEXPORT,
        "sentinel",
        "collector-emulator",
        "--directory",
        machine.emulator,
        "--lifetime",
        "300",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert process.stdout is not None
    assert "not Microsoft's" in process.stdout.readline()
    yield machine
    process.terminate()
    process.communicate(timeout=30)


def test_from_a_subscription_to_the_table(machine: Machine) -> None:
    """Each command reports its result and the next step; a round with nothing to do succeeds."""
    sentinel = ("sentinel",)
    said = machine.run(*sentinel, "collect", "--once", code=2)
    assert "there is no subscription to Audit.General" in said
    assert "irmexport sentinel subscribe start" in said
    assert "There are no subscriptions" in machine.run(*sentinel, "subscribe", "list")
    assert "12 hours" in machine.run(*sentinel, "subscribe", "start")
    assert "already enabled" in machine.run(*sentinel, "subscribe", "start")
    assert "39 new" in machine.run(*sentinel, "collect", "--once")
    done = json.loads(machine.run("--json", *sentinel, "collect", "--once", "--backfill"))
    assert (done["new"], done["repeated"], done["waiting"]) == (0, 48, 0)
    assert "acknowledged by the workspace until" in machine.run(*sentinel, "subscribe", "status")
    assert "heartbeats of this machine's connectors" in machine.run(*sentinel, "health")
    assert "nothing to send" in machine.run("drain", at=False)
    assert "queued: 0 batches" in machine.run("status", at=False)
    assert "http-204" in machine.run("audit", "--since", "1h", at=False)
    alerts = json.loads(
        machine.run(
            "--json", "sentinel", "query", "IRMAlerts", "--local", machine.emulator / "tables", at=False
        )
    )
    assert len(alerts) == 20
    assert "Stopped the subscription" in machine.run(*sentinel, "subscribe", "stop")
    assert "no subscription" in machine.run(*sentinel, "subscribe", "status", code=2)
    secret = (machine.emulator / "secret").read_text()
    found = [
        file for file in machine.outbox.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()
    ]
    assert found == []


def test_both_sources_in_one_round(machine: Machine) -> None:
    """Each is reported; one that fails does not stop the other."""
    collect = ("sentinel", "collect", "--once", "--source")
    machine.run("sentinel", "subscribe", "start")
    done = json.loads(machine.run("--json", *collect, "both"))
    assert [(one["source"], one["failed"], one["waiting"]) for one in done] == [
        ("audit", 0, 0),
        ("graph", 0, 0),
    ]
    assert done[1]["new"] == 20
    machine.run("sentinel", "subscribe", "stop")
    said = machine.run(*collect, "both", code=2)
    assert "versions of alerts listed" in said
    assert "there is no subscription" in said
    assert "versions of alerts listed" in machine.run(*collect, "graph")


def test_a_source_that_is_refused_at_the_start_does_not_end_the_others(machine: Machine) -> None:
    """Its error is in the log, and the rounds go on."""
    machine.run("sentinel", "subscribe", "start")
    machine.run("sentinel", "subscribe", "stop")
    common = (IRMEXPORT, "--log-format", "json", "--outbox", machine.outbox)
    collect = [*common, "sentinel", "collect", "--source", "both", *machine.there()]
    with subprocess.Popen(list(map(str, collect)), stderr=subprocess.PIPE, text=True) as process:
        end = threading.Timer(100, process.kill)
        end.start()
        assert process.stderr is not None
        try:
            assert any("there is no subscription" in line for line in process.stderr)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(3)
        finally:
            end.cancel()
            process.kill()


def test_activities_of_both_tables(machine: Machine) -> None:
    """The rows of each are counted."""
    said = machine.run("sentinel", "collect", "--once", "--source", "activities")
    assert "20 rows of events: 20 new" in said
    assert "20 rows of behaviors: 20 new" in said


def test_without_settings_the_error_names_the_command_that_prints_them(tmp_path: Path) -> None:
    """The next step is a command."""
    machine = Machine(tmp_path)
    assert "irmexport sentinel settings" in machine.run("sentinel", "collect", "--once", code=2, at=False)
    form = machine.run("sentinel", "settings", at=False)
    assert "rule_id: dcr-" in form
    (tmp_path / "em").mkdir()
    (tmp_path / "em" / "collector.yaml").write_text(form)
    assert "`tenant_id`" in machine.run("sentinel", "collect", "--once", code=2)


def test_the_collection_template_is_written(tmp_path: Path) -> None:
    """It has tables and rules, and no functions."""
    file = tmp_path / "collection.json"
    subprocess.run([IRMEXPORT, "sentinel", "template", "--collection", file], check=True, timeout=100)
    kinds = {resource["type"].rpartition("/")[2] for resource in json.loads(file.read_text())["resources"]}
    assert kinds == {"tables", "dataCollectionRules"}


def test_the_sample_tables_of_the_query_emulator_can_be_queried(tmp_path: Path) -> None:
    """`sentinel query` queries a workspace, here the emulator of the query API with sample tables."""
    tables, api = tmp_path / "tables", tmp_path / "api"
    subprocess.run([IRMEXPORT, "sentinel", "samples", tables, "--people", "1"], check=True, timeout=100)
    command = [IRMEXPORT, "sentinel", "emulator", "--directory", api, "--local", tables, "--lifetime", "60"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        command = [IRMEXPORT, "sentinel", "query", "IRMAlerts", "--emulator", api]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert (done.returncode, "Data leaks" in done.stdout) == (0, True), done.stdout + done.stderr
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_drain_sends_a_collectors_queue_and_reports_an_unknown_destination(rig: Rig) -> None:
    """The kind of destination in the outbox decides how it is sent."""
    rig.alert(HOUR)
    rig.emulator.faults.next(azure_fault("upload", 403), 9)
    collector_service = rig.collector_service()
    collector_service.round()
    drain = [IRMEXPORT, "--outbox", rig.root, "drain"]
    rig.emulator.faults.clear()
    subprocess.run([*drain[:3], "resume"], check=True, timeout=100)
    done = subprocess.run(drain, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout.count("Upload Successful")) == (0, 2), done.stdout + done.stderr
    assert len(rig.ids()) == 1
    file = Path(collector_service.outbox.path) / "connector.json"
    file.write_bytes(sealed.encode({**sealed.decode(file.read_bytes()), "kind": "carrier-pigeon"}))
    done = subprocess.run(drain, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2
    assert "no destination `carrier-pigeon`" in done.stderr


def test_a_secret_in_the_system_keyring_signs_in_to_a_workspace(rig: Rig, tmp_path: Path) -> None:
    """Every credential store of a connector also works for a workspace."""
    rig.alert(HOUR)
    rig.emulator.faults.next(azure_fault("upload", 503), 9)
    collector_service = rig.collector_service()
    collector_service.round()
    rig.emulator.faults.clear()
    (tmp_path / "entries.json").write_text(json.dumps({"irm collector": rig.emulator.secret}))
    environment = {
        **os.environ,
        "PYTHON_KEYRING_BACKEND": "tests.fakes.keyring_file.FileKeyring",
        "PYTHONPATH": str(Path(__file__).parents[4]),
        "IRMEXPORT_TEST_KEYRING": str(tmp_path / "entries.json"),
    }
    for file in rig.root.glob("*/connector.json"):
        there = sealed.decode(file.read_bytes())
        credential = {"kind": "keyring", "name": "irm/collector"}
        file.write_bytes(sealed.encode({**there, "credential": credential}))
    for words in ("resume", "drain"):
        done = subprocess.run(
            [IRMEXPORT, "--outbox", rig.root, words],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(rig.ids()) == 1


def test_queued_heartbeats_are_reported_as_queued(rig: Rig) -> None:
    """While the workspace is unavailable, `health` reports queued rows and exits with 1."""
    rig.alert(HOUR)
    rig.emulator.faults.next(azure_fault("upload", 503), 99)
    rig.collector_service().round()
    (rig.emulator.directory / "collector.yaml").write_text(settings_text())
    at = ["-s", rig.emulator.directory / "collector.yaml", "--emulator", rig.emulator.directory]
    done = subprocess.run(
        [IRMEXPORT, "--outbox", rig.root, "sentinel", "health", *at],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, "rows queued" in done.stdout) == (1, True), done.stdout + done.stderr
    assert "Wrote" not in done.stdout
