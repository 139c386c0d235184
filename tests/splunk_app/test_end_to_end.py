"""From a search through the outbox to the emulator, with the built app's own processes."""

from __future__ import annotations

import csv
import io
import json
from xml.etree import ElementTree

import pytest
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator

from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_input import Input
from tests.fakes.splunkd_rest import SplunkdRest
from tests.splunk_app.conftest import COLUMNS, JOB, SECRET, Searches, save_secret

HEADER = ",".join(COLUMNS).encode() + b"\n"
ROW = b"sarad@contoso.com,2023-04-24T05:52:56Z,9,M1\n"
OTHER = b"bradh@contoso.com,2023-04-24T05:52:57Z,3,M1\n"
SUMMARY = ("profile=leavers", "output=summary", "wait=60")


@pytest.fixture
def sender(python: str, home: SplunkHome, splunkd: SplunkdRest) -> Input:
    """The sender on the same Python as the search."""
    return Input(python, home, splunkd)


def summary(body: bytes) -> dict[str, str]:
    """The summary's row."""
    (row,) = csv.DictReader(io.StringIO(body.decode()))
    return row


def events(home: SplunkHome, part: str) -> list[dict[str, object]]:
    """The log events of one part of the app."""
    lines = [json.loads(line) for line in home.log.read_text().splitlines()]
    return [line for line in lines if line["part"] == part]


def test_a_search_ends_with_the_receipt(
    searches: Searches, sender: Input, emulator: PurviewEmulator, home: SplunkHome
) -> None:
    """The message reports that the connector accepted the rows, and it has each row once."""
    with sender:
        arguments = sender.arguments
        replies, code = searches.run(HEADER + ROW, HEADER + OTHER, args=SUMMARY)
        again, _ = searches.run(HEADER + OTHER + ROW, args=SUMMARY)
        printed = sender.end()

    assert code == 0
    row = summary(replies[-1].body)
    assert (row["state"], row["sent"], row["waiting"]) == ("sent", "2", "0")
    assert ("INFO", "irmexport: sent: the connector accepted 2 rows.") in replies[-1].messages
    assert summary(again[-1].body)["skipped"] == "2"
    assert sorted(dict(record.fields)["UserPrincipalName"] for record in emulator.records(JOB)) == [
        "bradh@contoso.com",
        "sarad@contoso.com",
    ]
    assert len(emulator.uploads) == 1
    sent = [event for event in events(home, "sender") if event["event"] == "sent"]
    assert [(event["connector"], event["rows"]) for event in sent] == [("leavers", 2)]

    seen = home.everything_written() + printed.encode() + arguments
    for secret in (SECRET, "system-session", "analyst-session"):
        assert secret.encode() not in seen
    assert b"contoso" not in home.log.read_bytes()


def test_a_held_batch_is_reported_with_the_next_step(
    searches: Searches, sender: Input, emulator: PurviewEmulator
) -> None:
    """The connection is cut after the whole body, so the outcome is unknown, and the message says so."""
    emulator.faults.next(Fault(reset_after_last_byte=True))
    with sender:
        replies, _ = searches.run(HEADER + ROW, args=SUMMARY)
    assert summary(replies[-1].body)["state"] == "held"
    (message,) = [text for level, text in replies[-1].messages if level == "WARN"]
    assert "a person must decide about 1 row" in message
    assert "portal" in message


def test_a_wrong_secret_pauses_the_connector_and_is_reported(
    searches: Searches, sender: Input, emulator: PurviewEmulator, splunkd: SplunkdRest
) -> None:
    """The rows stay queued, and a bulletin names the cause."""
    save_secret(splunkd, "emulator-only-not-the-secret")
    with sender:
        replies, _ = searches.run(HEADER + ROW, args=SUMMARY)
    row = summary(replies[-1].body)
    assert (row["state"], row["waiting"]) == ("paused", "1")
    assert "AADSTS7000215" in row["reason"]
    assert not emulator.uploads
    assert "AADSTS7000215" in splunkd.state.messages["irmexport_leavers"]


def test_a_batch_that_is_too_large_is_followed_to_its_halves(
    searches: Searches, sender: Input, emulator: PurviewEmulator
) -> None:
    """After a 413 the halves are sent, and the summary counts all rows as sent."""
    emulator.faults.next(Fault(status=413))
    with sender:
        replies, _ = searches.run(HEADER + ROW + OTHER, args=SUMMARY)
    row = summary(replies[-1].body)
    assert (row["state"], row["sent"], row["waiting"]) == ("sent", "2", "0")


def test_without_a_secret_the_rows_stay_queued(
    searches: Searches, sender: Input, emulator: PurviewEmulator, splunkd: SplunkdRest
) -> None:
    """The connector is paused with the reason `credential`."""
    splunkd.state.passwords.clear()
    with sender:
        replies, _ = searches.run(HEADER + ROW, args=SUMMARY)
    assert summary(replies[-1].body)["reason"] == "credential"


def test_the_sender_ends_by_itself(python: str, home: SplunkHome, splunkd: SplunkdRest) -> None:
    """Its life is limited, so that splunkd restarts it with a new session key."""
    code, printed = Input(python, home, splunkd, life="1").start().wait()
    assert (code, printed) == (0, "")
    assert [event["event"] for event in events(home, "sender")] == ["started", "ended"]


def test_an_invalid_connector_stops_no_other(
    searches: Searches, sender: Input, emulator: PurviewEmulator, splunkd: SplunkdRest, home: SplunkHome
) -> None:
    """An invalid stanza is logged, and the others' batches are sent."""
    splunkd.state.confs["irmexport_connectors"]["broken"] = {"profile": "no-such"}
    with sender:
        replies, _ = searches.run(HEADER + ROW, args=SUMMARY)
    assert summary(replies[-1].body)["state"] == "sent"
    wrong = [event for event in events(home, "sender") if event["event"] == "wrong-connector"]
    assert [event["connector"] for event in wrong] == ["broken"]


def test_the_scheme_is_what_splunkd_expects(sender: Input) -> None:
    """It is XML with the arguments, and the script prints it on both Pythons."""
    scheme = ElementTree.fromstring(sender.scheme())  # noqa: S314 - our own
    assert scheme.tag == "scheme"
    assert [arg.get("name") for arg in scheme.iter("arg")] == ["life"]


def test_the_sender_ends_if_its_session_has_expired(
    python: str, home: SplunkHome, splunkd: SplunkdRest
) -> None:
    """The process exits with code 1; the next one gets a new session key."""
    del splunkd.state.sessions["system-session"]
    code, _ = Input(python, home, splunkd).start().wait()
    assert code == 1
    (last,) = [event for event in events(home, "sender") if event["event"] == "ended"]
    assert "session" in str(last["what"])


def test_of_two_connectors_of_one_job_the_first_sends(
    searches: Searches, sender: Input, emulator: PurviewEmulator, splunkd: SplunkdRest, home: SplunkHome
) -> None:
    """After an edit by hand, all rows are sent with the first one's secret, and the log reports it."""
    confs = splunkd.state.confs["irmexport_connectors"]
    confs["zweite"] = dict(confs["leavers"])
    with sender:
        replies, _ = searches.run(HEADER + ROW, args=("profile=zweite", "output=summary", "wait=60"))
    assert summary(replies[-1].body)["state"] == "sent"
    (wrong,) = [event for event in events(home, "sender") if event["event"] == "wrong-connector"]
    assert wrong["connector"] == "zweite"
    assert "leavers has the same `job_id`" in str(wrong["what"])


def test_an_outbox_that_cannot_be_read_stops_no_other(
    searches: Searches, sender: Input, emulator: PurviewEmulator, splunkd: SplunkdRest, home: SplunkHome
) -> None:
    """Wrong permissions or a broken link are reported for that connector; the others' batches are sent."""
    other = "44444444-4444-4444-4444-444444444444"
    confs = splunkd.state.confs["irmexport_connectors"]
    confs["broken"] = {**confs["leavers"], "job_id": other}
    outbox = home.outbox / f"emulator-{other}"
    outbox.mkdir(parents=True, mode=0o700)
    (outbox / "ready").symlink_to("ready")  # permissions would not stop a test that runs as root
    with sender:
        replies, _ = searches.run(HEADER + ROW, args=SUMMARY)
    assert summary(replies[-1].body)["state"] == "sent"
    (problem,) = [event for event in events(home, "sender") if event["event"] == "cannot-send"]
    assert problem["connector"] == "broken"
    assert "owns the outbox directory" in str(problem["next_step"])
