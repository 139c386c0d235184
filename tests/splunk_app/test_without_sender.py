"""Where no sender runs: rows are sent through the app's REST endpoint, and what stays queued is reported."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator

from tests.fakes.splunk_cluster import replicate
from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_handler import RestHandler
from tests.fakes.splunkd_input import Input
from tests.fakes.splunkd_rest import SplunkdRest
from tests.needs import find_python
from tests.splunk_app.conftest import JOB, SECRET, Searches, save_secret
from tests.splunk_app.test_command import HEADER, ROW
from tests.splunk_app.test_end_to_end import events, summary

pytestmark = pytest.mark.needs("python3.13")
SUMMARY = ("profile=leavers", "output=summary", "wait=60")
SEND = "/services/send_irmexport"


@pytest.fixture
def endpoint(on_3_13: Searches, splunkd: SplunkdRest) -> Iterator[RestHandler]:
    """The app's REST handler as a part of splunkd, in the Splunk home of the searches."""
    handler = RestHandler(find_python("3.13") or "", on_3_13.home, splunkd)
    splunkd.state.endpoint = handler
    yield handler
    assert not handler.end()


def test_rows_are_sent_at_the_end_of_the_search(
    on_3_13: Searches, splunkd: SplunkdRest, emulator: PurviewEmulator, endpoint: RestHandler
) -> None:
    """Once, as the system user; the search's process never asks for the secret."""
    replies, code = on_3_13.run(HEADER + ROW, args=SUMMARY)
    again, _ = on_3_13.run(HEADER + ROW, args=SUMMARY)
    assert (code, summary(replies[-1].body)["state"]) == (0, "sent")
    assert summary(again[-1].body)["skipped"] == "1"
    assert len(emulator.records(JOB)) == len(emulator.uploads) == 1
    requests = splunkd.state.requests
    assert {user for user, _, path in requests if "passwords" in path} == {"splunk-system-user"}
    assert ("ana", "POST", SEND) in requests
    assert SECRET.encode() not in on_3_13.home.everything_written()
    assert [event["rows"] for event in events(on_3_13.home, "sender") if event["event"] == "sent"] == [1]
    # No sender deletes here what is past its retention time, so the endpoint does.
    assert (on_3_13.home.outbox / f"emulator-{JOB}" / "retention.json").exists()


def test_the_reply_tells_the_analyst_nothing(
    splunkd: SplunkdRest, emulator: PurviewEmulator, endpoint: RestHandler
) -> None:
    """The same words whatever is configured or queued; and only POST exists."""

    def ask(method: str, key: str) -> tuple[int, str]:
        return endpoint.pass_on(method, "send_irmexport", key, {"connector": "no-such"})

    assert ask("POST", "analyst-session") == (200, '{"done": true}')
    save_secret(splunkd, "emulator-only-wrong")
    assert ask("POST", "analyst-session") == (200, '{"done": true}')
    assert ask("GET", "analyst-session")[0] == 404
    assert ask("POST", "guest-session")[0] == 403
    # Nor does the endpoint for administrators open to searches.
    assert endpoint.request("GET", "connectors", key="analyst-session").status == 403


def test_the_senders_lock_keeps_a_batch_from_being_sent_twice(
    on_3_13: Searches, splunkd: SplunkdRest, emulator: PurviewEmulator, endpoint: RestHandler
) -> None:
    """While the sender uploads, the endpoint returns at once and sends nothing."""
    emulator.faults.next(Fault(delay=3.0))
    with Input(find_python("3.13") or "", on_3_13.home, splunkd):
        on_3_13.run(HEADER + ROW, args=("profile=leavers", "wait=0"))
        end = time.monotonic() + 60
        while not emulator.uploads and time.monotonic() < end:
            assert endpoint.pass_on("POST", "send_irmexport", "analyst-session", {})[0] == 200
    assert len(emulator.uploads) == len(emulator.records(JOB)) == 1


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_endpoint_that_refuses_does_not_fail_the_search(
    on_3_13: Searches, splunkd: SplunkdRest, status: int
) -> None:
    """The rows are queued, the exit code is 0, and the message names the search head and the next step."""
    splunkd.state.endpoint = Refuses(status)
    replies, code = on_3_13.run(HEADER + ROW, args=("profile=leavers", "wait=0"))
    assert code == 0
    (warning,) = [text for level, text in replies[-1].messages if level == "WARN"]
    assert f"1 row queued on {socket.gethostname()}, but the sender is not running there" in warning
    (refused,) = [event for event in events(on_3_13.home, "command") if event["event"] == "send-refused"]
    assert refused["status"] == status
    (outcome,) = [event for event in events(on_3_13.home, "command") if event["event"] == "outcome"]
    assert (outcome["state"], outcome["sender"]) == ("queued", "not running")


def test_an_endpoint_that_hangs_does_not_hold_the_search_up(on_3_13: Searches, splunkd: SplunkdRest) -> None:
    """With wait=0 the search goes on after 2 seconds."""
    splunkd.state.endpoint = Hangs()
    started = time.monotonic()
    _, code = on_3_13.run(HEADER + ROW, args=("profile=leavers", "wait=0"))
    splunkd.state.endpoint.released = True
    assert code == 0
    assert time.monotonic() - started < Hangs.SECONDS


class Refuses:
    """An endpoint that answers with an HTTP status."""

    def __init__(self, status: int) -> None:
        self._status = status

    def pass_on(self, *_request: object) -> tuple[int, str]:
        return self._status, "{}"


class Hangs:
    """An endpoint that does not answer before it is released, or SECONDS have passed."""

    SECONDS = 60.0
    released = False

    def pass_on(self, *_request: object) -> tuple[int, str]:
        end = time.monotonic() + self.SECONDS
        while not self.released and time.monotonic() < end:
            time.sleep(0.05)
        return 200, "{}"


def test_the_queue_names_the_host_whose_sender_is_not_running(
    on_3_13: Searches, splunkd: SplunkdRest, emulator: PurviewEmulator, endpoint: RestHandler
) -> None:
    """With the next step, which depends on whether the input is enabled there."""
    splunkd.state.endpoint = Refuses(500)
    sender = endpoint.request("GET", "queue").document["sender"]
    assert (sender["alive"], sender["problem"], sender["input_enabled"]) == (False, "", True)
    on_3_13.run(HEADER + ROW, args=("profile=leavers", "wait=0"))
    splunkd.state.local_inputs["irmexport://main"] = {"disabled": "1"}
    sender = endpoint.request("GET", "queue").document["sender"]
    host = socket.gethostname()
    assert (sender["host"], sender["problem"]) == (host, f"queued on {host}, sender not running")
    assert sender["input_enabled"] is False
    assert "Enable the data input irmexport://main" in sender["next_step"]


def test_an_input_that_an_earlier_version_disabled_is_enabled_once(
    on_3_13: Searches, splunkd: SplunkdRest, emulator: PurviewEmulator, endpoint: RestHandler
) -> None:
    """The first search after the upgrade enables it; an administrator who disables it later is respected."""
    splunkd.state.local_inputs["irmexport://main"] = {"disabled": "1"}
    on_3_13.run(HEADER + ROW, args=SUMMARY)
    assert splunkd.state.enabled_inputs == {"irmexport://main"}
    log = events(on_3_13.home, "rest")
    assert [event["input"] for event in log if event["event"] == "input-enabled"] == ["irmexport://main"]
    splunkd.state.local_inputs["irmexport://main"] = {"disabled": "1"}
    on_3_13.run(HEADER + ROW.replace(b"sarad", b"bradh"), args=SUMMARY)
    assert splunkd.state.enabled_inputs == set()
    assert len(emulator.records(JOB)) == 2


def test_without_a_connector_the_sender_is_idle(
    home: SplunkHome, splunkd: SplunkdRest, on_3_13: Searches, emulator: PurviewEmulator
) -> None:
    """It ends at once with a heartbeat and no line in the log; it sends once there is a connector."""
    connector = splunkd.state.confs["irmexport_connectors"].pop("leavers")
    python = find_python("3.13") or ""
    assert Input(python, on_3_13.home, splunkd).start().wait() == (0, "")
    assert json.loads((on_3_13.home.outbox / "heartbeat.json").read_text())["at"] > 0
    assert not on_3_13.home.log.exists()
    splunkd.state.confs["irmexport_connectors"]["leavers"] = connector
    with Input(python, on_3_13.home, splunkd):
        replies, _ = on_3_13.run(HEADER + ROW, args=SUMMARY)
    assert summary(replies[-1].body)["state"] == "sent"


def test_a_connector_saved_on_one_member_sends_on_all(
    archive: Path, splunkd: SplunkdRest, emulator: PurviewEmulator, on_3_13: Searches, tmp_path: Path
) -> None:
    """The input is enabled on each member, connector and secret replicate, the outbox does not."""
    python = find_python("3.13") or ""
    (tmp_path / "member").mkdir()
    home = SplunkHome.install(archive, tmp_path / "member" / "splunk")
    with SplunkdRest(tmp_path / "member") as member:
        member.state.sessions = splunkd.state.sessions
        searches = Searches(python, home, member, tmp_path / "member" / "dispatch")
        replies, code = searches.run(HEADER + ROW, args=SUMMARY)
        assert (code, "no connector of this name" in str(replies[-1].messages)) == (1, True)
        splunkd.state.messages["only-here"] = "not replicated"
        replicate(splunkd, [member])
        assert member.state.enabled_inputs == {"irmexport://main"}
        assert member.state.messages == {}
        with Input(python, home, member):
            replies, _ = searches.run(HEADER + ROW, args=SUMMARY)
        searches.end()
    assert summary(replies[-1].body)["state"] == "sent"
    assert len(emulator.records(JOB)) == 1
    assert not (on_3_13.home.outbox / f"emulator-{JOB}").exists()
