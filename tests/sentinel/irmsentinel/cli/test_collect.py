"""`irmexport sentinel subscribe|collect|…` as a user types it, with the emulator in another process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from irmsentinel.emulators.azure_errors import azure_fault
from irmsentinel.emulators.collector_session import settings_text

from tests.sentinel.irmsentinel.collector.collecting import HOUR, Rig

IRMEXPORT = Path(sys.executable).with_name("irmexport")


class Place:
    """An emulator's directory and an outbox."""

    def __init__(self, directory: Path) -> None:
        self.emulator = directory / "em"
        self.outbox = directory / "outbox"

    def run(self, *arguments: object, code: int = 0, at: bool = True) -> str:
        """What `irmexport sentinel …` prints; it must end with that code."""
        there = ["-s", self.emulator / "collector.yaml", "--emulator", self.emulator] if at else []
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
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An emulator with 20 synthetic alerts and no subscription."""
    place = Place(tmp_path_factory.mktemp("collect"))
    command = [
        IRMEXPORT,
        "sentinel",
        "collector-emulator",
        "--directory",
        place.emulator,
        "--lifetime",
        "110",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert process.stdout is not None
    assert "not Microsoft's" in process.stdout.readline()
    yield place
    process.terminate()
    process.communicate(timeout=30)


def test_from_a_subscription_to_the_table(place: Place) -> None:
    """Each command says what was and what comes next; a round that has nothing to do is a good one."""
    sentinel = ("sentinel",)
    said = place.run(*sentinel, "collect", "--once", code=2)
    assert "there is no subscription to Audit.General" in said
    assert "irmexport sentinel subscribe start" in said
    assert "There are no subscriptions" in place.run(*sentinel, "subscribe", "list")
    assert "12 hours" in place.run(*sentinel, "subscribe", "start")
    assert "enabled already" in place.run(*sentinel, "subscribe", "start")
    assert "39 new" in place.run(*sentinel, "collect", "--once")
    done = json.loads(place.run("--json", *sentinel, "collect", "--once", "--backfill"))
    assert (done["new"], done["repeated"], done["waiting"]) == (0, 48, 0)
    assert "acknowledged by the workspace until" in place.run(*sentinel, "subscribe", "status")
    assert "Heartbeats of this machine's connectors" in place.run(*sentinel, "health")
    assert "nothing to send" in place.run("drain", at=False)
    assert "queued: 0 batches" in place.run("status", at=False)
    assert "http-204" in place.run("audit", "--since", "1h", at=False)
    alerts = json.loads(
        place.run("--json", "sentinel", "query", "IRMAlerts", "--local", place.emulator / "tables", at=False)
    )
    assert len(alerts) == 20
    assert "has ended" in place.run(*sentinel, "subscribe", "stop")
    assert "no subscription" in place.run(*sentinel, "subscribe", "status", code=2)
    secret = (place.emulator / "secret").read_text()
    found = [
        file for file in place.outbox.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()
    ]
    assert found == []


def test_without_settings_or_emulator_it_says_how_to_get_them(tmp_path: Path) -> None:
    """The next step is a command."""
    place = Place(tmp_path)
    assert "irmexport sentinel settings" in place.run("sentinel", "collect", "--once", code=2, at=False)
    form = place.run("sentinel", "settings", at=False)
    assert "rule_id: dcr-" in form
    (tmp_path / "em").mkdir()
    (tmp_path / "em" / "collector.yaml").write_text(form)
    assert "`tenant_id`" in place.run("sentinel", "collect", "--once", code=2)


def test_the_collection_template_is_written(tmp_path: Path) -> None:
    """Tables and rules, nothing of the functions."""
    file = tmp_path / "collection.json"
    subprocess.run([IRMEXPORT, "sentinel", "template", "--collection", file], check=True, timeout=100)
    kinds = {resource["type"].rpartition("/")[2] for resource in json.loads(file.read_text())["resources"]}
    assert kinds == {"tables", "dataCollectionRules"}


def test_a_made_up_table_of_the_query_emulator_is_ready(tmp_path: Path) -> None:
    """`sentinel table` asks a workspace; here the emulator of the query API, with sample tables."""
    tables, api = tmp_path / "tables", tmp_path / "api"
    subprocess.run([IRMEXPORT, "sentinel", "samples", tables, "--people", "1"], check=True, timeout=100)
    command = [IRMEXPORT, "sentinel", "emulator", "--directory", api, "--local", tables, "--lifetime", "60"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        asked = [IRMEXPORT, "sentinel", "table", "--emulator", api]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=100, check=False)
        assert (done.returncode, "is ready" in done.stdout) == (0, True), done.stdout + done.stderr
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_drain_sends_what_waits_for_a_table_and_names_a_destination_it_does_not_know(rig: Rig) -> None:
    """The outbox says which kind of destination it is for; how to send there is found by that."""
    rig.alert(HOUR)
    rig.emulator.faults.next(azure_fault("upload", 403), 9)
    station = rig.station()
    station.round()
    drain = [IRMEXPORT, "--outbox", rig.root, "drain"]
    rig.emulator.faults.clear()
    subprocess.run([*drain[:3], "resume"], check=True, timeout=100)
    done = subprocess.run(drain, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout.count("Upload Successful")) == (0, 2), done.stdout + done.stderr
    assert len(rig.ids()) == 1
    file = Path(station.outbox.path) / "connector.json"
    file.write_text(file.read_text().replace("azure-monitor-ingestion", "carrier-pigeon"))
    done = subprocess.run(drain, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2
    assert "no destination `carrier-pigeon`" in done.stderr


def test_a_secret_in_the_systems_keyring_signs_in_too(rig: Rig, tmp_path: Path) -> None:
    """What the command line can read for a connector it can read for a workspace."""
    rig.alert(HOUR)
    rig.emulator.faults.next(azure_fault("upload", 503), 9)
    station = rig.station()
    station.round()
    rig.emulator.faults.clear()
    (tmp_path / "entries.json").write_text(json.dumps({"irm collector": rig.emulator.secret}))
    environment = {
        **os.environ,
        "PYTHON_KEYRING_BACKEND": "tests.fakes.keyring_file.FileKeyring",
        "PYTHONPATH": str(Path(__file__).parents[4]),
        "IRMEXPORT_TEST_KEYRING": str(tmp_path / "entries.json"),
    }
    for file in rig.root.glob("*/connector.json"):
        there = json.loads(file.read_text())
        file.write_text(json.dumps({**there, "credential": {"kind": "keyring", "name": "irm/collector"}}))
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


def test_heartbeats_that_wait_are_not_called_written(rig: Rig) -> None:
    """While the workspace is away `health` says that they wait, and exits with 1."""
    rig.alert(HOUR)
    rig.emulator.faults.next(azure_fault("upload", 503), 99)
    rig.station().round()
    (rig.emulator.directory / "collector.yaml").write_text(settings_text())
    at = ["-s", rig.emulator.directory / "collector.yaml", "--emulator", rig.emulator.directory]
    done = subprocess.run(
        [IRMEXPORT, "--outbox", rig.root, "sentinel", "health", *at],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, "rows wait" in done.stdout) == (1, True), done.stdout + done.stderr
    assert "were written" not in done.stdout
