"""The alert action of the built app, as splunkd starts it: `--execute`, and JSON on standard input."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from irmcore.errors import ConfigurationError
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator
from irmsplunk.search.alert_payload import AlertPayload, export_request

from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_alert import SID, Alert
from tests.fakes.splunkd_input import Input
from tests.fakes.splunkd_rest import SplunkdRest
from tests.needs import find_python
from tests.splunk_app.conftest import JOB, SECRET

HEADER = b"UserPrincipalName,PredictionTime,PredictionScore,ModelInfo,__mv_UserPrincipalName\n"
ROW = b"sarad@contoso.com,2023-04-24T05:52:56Z,9,M1,\n"
OTHER = b"bradh@contoso.com,2023-04-24T05:52:57Z,3,M1,\n"


@pytest.fixture
def alert(python: str, home: SplunkHome, splunkd: SplunkdRest) -> Alert:
    """An alert of the analyst on one of Splunk's Pythons."""
    return Alert(python, home, splunkd)


def payloads(home: SplunkHome) -> list[str]:
    """The payloads of the batches that wait."""
    return [path.read_text() for path in sorted(home.outbox.glob("*/ready/*/payload"))]


def events(home: SplunkHome, event: str) -> list[dict[str, Any]]:
    """The log's lines of that event."""
    lines = [json.loads(line) for line in home.log.read_text().splitlines()]
    return [line for line in lines if line["event"] == event and line["part"] == "alert"]


def actions(home: SplunkHome) -> list[str]:
    """The lines for Enterprise Security."""
    return home.log.with_name("irmexport_modalert.log").read_text().splitlines()


def test_an_alert_ends_with_the_receipt_and_sends_once(
    alert: Alert, python: str, home: SplunkHome, splunkd: SplunkdRest, emulator: PurviewEmulator
) -> None:
    """The same results twice: the connector has each row once, and the log a receipt of each run."""
    params = {"profile": "leavers", "wait": "60"}
    with Input(python, home, splunkd) as sender:
        first = alert.fire(HEADER + ROW + OTHER, params=params)
        again = alert.fire(HEADER + OTHER + ROW, params=params)
        printed = sender.end()
    assert (first.code, again.code) == (0, 0)
    assert first.messages == [
        ("INFO", "irmexport: 2 rows read: 2 queued in 1 batch."),
        ("INFO", "irmexport: sent: the connector accepted 2 rows."),
    ]
    assert "2 skipped (already accepted)" in again.text
    assert len(emulator.records(JOB)) == 2
    assert len(emulator.uploads) == 1
    receipts = events(home, "receipt")
    assert [(r["state"], r["sent"], r["counts"]["skipped"]) for r in receipts] == [
        ("sent", 2, 0),
        ("nothing to send", 0, 2),
    ]
    assert {(r["connector"], r["user"], r["sid"], r["search"]) for r in receipts} == {
        ("leavers", "ana", SID, "Leavers of the week")
    }
    (manifest,) = home.outbox.glob("*/done/*/*/manifest.json")
    origin = json.loads(manifest.read_text())["origin"]
    assert (origin["user"], origin["details"]["search_name"]) == ("ana", "Leavers of the week")
    assert origin["details"]["by"] == "alert"

    seen = home.everything_written() + printed.encode() + alert.arguments + first.text.encode()
    for secret in (SECRET, "system-session", "analyst-session"):
        assert secret.encode() not in seen
    logs = home.log.read_bytes() + "\n".join(actions(home)).encode()
    assert b"contoso" not in logs
    asked = [path for user, _, path in splunkd.state.requests if user == "ana"]
    assert not [path for path in asked if "passwords" in path]


def test_enterprise_security_finds_the_action(alert: Alert, home: SplunkHome) -> None:
    """The log has cim_actions.py's form: each result by its number, then how the action ended."""
    header = b"UserPrincipalName,PredictionTime,PredictionScore,ModelInfo,orig_sid,orig_rid\n"
    rows = b"sarad@contoso.com,2023-04-24T05:52:56Z,9,M1,scheduler_1,7\n"
    ended = alert.fire(header + rows, sid="1520116660.228", search_name='a "quoted"\nname')
    assert ended.code == 0
    assert alert.fire(header + rows.replace(b"scheduler_1,7", b"eve@contoso.com,7"), sid="1.2").code == 0
    begun, done, *others = actions(home)
    assert "contoso" not in "".join(others)
    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\+0000"
    common = (
        'action_name="irmexport" search_name="a \'quoted\' name" sid="1520116660.228" orig_sid="scheduler_1" '
        'rid="0" orig_rid="7" app="search" user="ana" digest_mode="1" action_mode="adhoc"'
    )
    told = re.escape(f'INFO sendmodaction - signature="Invoking modular action" {common}')
    assert re.fullmatch(f"{moment} {told}", begun)
    assert re.fullmatch(rf'{moment} INFO sendmodaction - signature="irmexport: [^"]+" .*', done)
    assert done.endswith(f'{common} action_status="success"')


def test_each_result_has_a_line_up_to_a_limit(alert: Alert, home: SplunkHome) -> None:
    """A scheduled search's results are numbered from 0; of thousands the first hundred are."""
    rows = b"".join(b"u%d@contoso.com,2023-04-24T05:52:56Z,%d,M,\n" % (n, n) for n in range(150))
    assert alert.fire(HEADER + rows).code == 0
    numbers = [re.search(r' rid="(\d+)"', line) for line in actions(home)]
    assert [int(found[1]) for found in numbers if found] == [*range(100), *range(100)]
    assert all('action_mode="saved"' in line for line in actions(home))


def test_a_failure_is_told_everywhere(alert: Alert, home: SplunkHome) -> None:
    """An unknown connector: exit code, splunkd.log, the app's log, Enterprise Security's."""
    ended = alert.fire(HEADER + ROW, params={"profile": "nothing"})
    assert ended.code == 2
    assert ended.messages[0][0] == "ERROR"
    assert "no connector of this name" in ended.text
    (failed,) = events(home, "failed")
    assert failed["level"] == "ERROR"
    assert 'action_status="failure"' in actions(home)[-1]


def test_bad_rows_are_refused_as_the_command_refuses_them(alert: Alert, home: SplunkHome) -> None:
    """Lists in Splunk's encoding, bytes that are not UTF-8, NUL; a value with dollars is none."""
    rows = [
        ROW,
        b"a@contoso.com,2023-04-24T05:52:56Z,1,\xff,\n",
        b"b@contoso.com,2023-04-24T05:52:56Z,1,a\0b,\n",
        b'"c@contoso.com\nd@contoso.com",2023-04-24T05:52:56Z,1,M,$c@contoso.com$;$d@contoso.com$\n',
        b"e@contoso.com,2023-04-24T05:52:56Z,1,cost $5,$e@contoso.com$\n",
    ]
    ended = alert.fire(b"\xef\xbb\xbf" + HEADER + b"".join(rows))
    assert ended.code == 0
    assert "5 rows read: 2 queued in 1 batch, 3 refused." in ended.text
    for reason in ("invalid-utf8", "nul-character", "multiple-values"):
        assert f"1 row refused: {reason}" in ended.text
    assert "M1" not in ended.text
    (payload,) = payloads(home)
    assert "e@contoso.com" in payload
    assert payload.count("\n") == 3


@pytest.mark.parametrize("content", [b"", b"\n", HEADER, b"\xef\xbb\xbf"])
def test_no_result_is_no_failure(alert: Alert, home: SplunkHome, content: bytes) -> None:
    """Splunk writes no header, or the header alone."""
    ended = alert.fire(content)
    assert (ended.code, ended.messages) == (0, [("INFO", "irmexport: 0 rows read: 0 queued in 0 batches.")])
    assert [r["state"] for r in events(home, "receipt")] == ["nothing to send"]


def test_a_results_file_that_cannot_be_read_whole_sends_nothing(alert: Alert, home: SplunkHome) -> None:
    """Missing, cut off, of another compression, with a header that is no CSV: each says so."""
    assert "results file does not exist" in alert.fire(None).text
    params = {"profile": "leavers", "wait": "0"}
    path = alert.results(HEADER + ROW * 1000)
    cut = path.read_bytes()[:-20]
    for content, said in (
        (cut, "cut off or damaged"),
        (b"\x28\xb5\x2f\xfd" + cut, "zstd"),
        (b'a,"b\n', "header"),
    ):
        path = alert.results(content, packed=False)
        ended = alert.ended(alert.start(alert.payload(path, params)))
        assert (ended.code, ended.messages[0][0]) == (3, "ERROR")
        assert said in ended.text
        assert "bug in irmexport" not in ended.text
    plain = alert.results(HEADER + ROW, packed=False, name="results.csv")
    assert alert.ended(alert.start(alert.payload(plain, params))).code == 0
    assert len(payloads(home)) == 1


@pytest.mark.needs("python3.13")
@pytest.mark.parametrize("python", [find_python("3.13")], ids=["3.13"])
@pytest.mark.parametrize("by", ["job", "default", "action", "search"])
def test_results_that_were_cut_are_told(
    alert: Alert, home: SplunkHome, splunkd: SplunkdRest, python: str, by: str
) -> None:
    """Fewer rows than the search found, or exactly as many as an action may get, whoever set that."""
    rows, said = 3, "as many rows as it may (maxresults = 3)"
    if by == "job":
        splunkd.state.jobs[SID] = {"owner": "ana", "resultCount": 8}
        said = "got 3 of the search's 8 rows"
    elif by == "default":
        splunkd.state.searches["Leavers of the week"] = {"owner": "eve", "action.irmexport.maxresults": "3"}
        rows, said = 50_000, "maxresults = 50,000"
    elif by == "action":
        splunkd.state.confs["alert_actions"] = {"irmexport": {"maxresults": "3"}}
    else:
        splunkd.state.searches["Leavers of the week"] = {"owner": "ana", "action.irmexport.maxresults": "3"}
    content = b"".join(b"u%d@contoso.com,2023-04-24T05:52:56Z,%d,M,\n" % (n, n) for n in range(rows))
    ended = alert.fire(HEADER + content, params={"profile": "leavers", "dryrun": "1"})
    assert ended.code == 0
    level, text = ended.messages[0]
    assert level == "WARN"
    assert said in text
    assert "max_action_results" in text
    (cut,) = events(home, "cut")
    assert (cut["rows"], cut["level"]) == (rows, "WARN")


def test_all_results_are_no_reason_to_warn(alert: Alert, home: SplunkHome, splunkd: SplunkdRest) -> None:
    """The job found as many rows as the file has, or the alert is triggered for each result."""
    splunkd.state.confs["alert_actions"] = {"irmexport": {"maxresults": "2"}}
    splunkd.state.jobs[SID] = {"owner": "ana", "resultCount": 2}
    assert "maxresults" not in alert.fire(HEADER + ROW + OTHER).text
    path = alert.results(HEADER + ROW.replace(b"sarad", b"carold"), name="per_result_alert/tmp_1.csv.gz")
    payload = alert.payload(path, {"profile": "leavers", "wait": "0"})
    ended = alert.ended(alert.start(payload))
    assert ended.code == 0
    assert "maxresults" not in ended.text
    assert 'rid="1"' in actions(home)[-1]
    assert 'digest_mode="0"' in actions(home)[-1]


@pytest.mark.parametrize("how", ["job", "status.csv"])
def test_a_search_that_was_cut_short_sends_nothing_unless_allowed(
    alert: Alert, home: SplunkHome, splunkd: SplunkdRest, how: str
) -> None:
    """As for the command; a scheduled search is finalized when it takes too long."""
    if how == "job":
        splunkd.state.jobs[SID] = {"owner": "ana", "isFinalized": True}
    else:
        alert.results(b"")
        (alert.dispatch / "status.csv").write_text('state,user\n"FINALIZING",ana\n')
    ended = alert.fire(HEADER + ROW)
    assert ended.code == 1
    assert "finalized" in ended.text
    assert not payloads(home)
    assert events(home, "not-queued")
    allowed = alert.fire(HEADER + ROW, params={"profile": "leavers", "wait": "0", "allowpartial": "1"})
    assert allowed.code == 0
    (manifest,) = home.outbox.glob("*/ready/*/manifest.json")
    assert json.loads(manifest.read_text())["origin"]["details"]["partial"] == "finalized"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "param.profile"),
        ({"profile": "../../x"}, "param.profile"),
        ({"profile": "leavers", "wait": "301"}, "param.wait"),
        ({"profile": "leavers", "wait": "-1"}, "param.wait"),
        ({"profile": "leavers", "maxrejects": "many"}, "param.maxrejects"),
        ({"profile": "leavers", "allowpartial": "perhaps"}, "param.allowpartial"),
        ({"profile": "leavers", "dryrun": "2"}, "param.dryrun"),
        ({"profile": "leavers", "profil": "x"}, "Did you mean `param.profile`?"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(params: dict[str, str], said: str) -> None:
    """An ad-hoc action passes no validation of splunkd's."""
    with pytest.raises(ConfigurationError) as refused:
        export_request(params)
    assert said in str(refused.value)


def test_a_wrong_parameter_queues_nothing(alert: Alert, home: SplunkHome) -> None:
    """Whether the action finds it or the profile does."""
    for params in ({"profile": "leavers", "wait": "x"}, {"profile": "leavers", "fields": "None=a"}):
        ended = alert.fire(HEADER + ROW, params=params)
        assert (ended.code, ended.messages[0][0]) == (2, "ERROR")
    assert not home.outbox.exists()


def test_parameters_of_enterprise_security_are_passed_over(alert: Alert) -> None:
    """It gives every action some of its own."""
    params = {"profile": "leavers", "wait": "0", "_cam": "{}", "action_name": "irmexport", "verbose": "true"}
    assert alert.fire(HEADER + ROW, params=params).code == 0


def test_too_many_refused_rows_stop_it_all(alert: Alert, home: SplunkHome) -> None:
    """maxrejects=0: one refused row and nothing is queued."""
    params = {"profile": "leavers", "wait": "0", "maxrejects": "0"}
    ended = alert.fire(HEADER + ROW + b"x,y,z,w,\n", params=params)
    assert ended.code == 3
    assert "nothing was accepted" in ended.text
    assert not payloads(home)


def test_without_the_capability_nothing_is_queued(alert: Alert, home: SplunkHome) -> None:
    """The owner is whom the session key is of, whatever the payload says."""
    ended = alert.fire(HEADER + ROW, session_key="guest-session", owner="ana")
    assert ended.code == 2
    assert "irmexport_run" in ended.text
    assert not home.outbox.exists()


def test_a_batch_that_needs_a_person_is_exit_4(
    alert: Alert, python: str, home: SplunkHome, splunkd: SplunkdRest, emulator: PurviewEmulator
) -> None:
    """Held: splunkd shows an error code, and Enterprise Security a failure."""
    emulator.faults.next(Fault(reset_after_last_byte=True))
    with Input(python, home, splunkd):
        ended = alert.fire(HEADER + ROW, params={"profile": "leavers", "wait": "60"})
    assert ended.code == 4
    assert "a person must decide about 1 row" in ended.text
    assert [r["state"] for r in events(home, "receipt")] == ["held"]
    assert 'action_status="failure"' in actions(home)[-1]


def test_a_run_that_is_killed_while_it_waits_has_queued(
    alert: Alert, python: str, home: SplunkHome, splunkd: SplunkdRest
) -> None:
    """`maxtime` ends the process: the rows are queued once, and the next run skips them."""
    (home.outbox).mkdir(parents=True)
    (home.outbox / "heartbeat.json").write_text(json.dumps({"at": time.time(), "pid": 1}))
    params = {"profile": "leavers", "wait": "60"}
    process = alert.start(alert.payload(alert.results(HEADER + ROW), params))
    end = time.monotonic() + 30
    while not payloads(home) and time.monotonic() < end:
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=30)
    again = alert.fire(HEADER + ROW)
    assert "1 skipped (already accepted)" in again.text
    assert len(payloads(home)) == 1


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<alert/>",
        b"[]",
        b"[" * 100_000,
        b'{"configuration": {}}',
        b'{"results_file": "x", "configuration": 3}',
    ],
)
def test_what_is_no_alert_is_refused(text: bytes) -> None:
    """XML (payload_format), nothing, other JSON: told in words."""
    with pytest.raises(ConfigurationError, match="not an alert's JSON"):
        AlertPayload.parse(text)


def test_a_start_by_hand_is_refused(alert: Alert) -> None:
    """Exit code 2 and one line, whatever stands on the standard input."""
    ended = alert.ended(alert.start_raw(b"hello"))
    assert ended.code == 2
    assert "not an alert's JSON" in ended.text


def test_a_splunkd_that_does_not_answer_is_worth_another_try(alert: Alert, home: SplunkHome) -> None:
    """Exit code 1; 2 is for what somebody must put right, such as a session that has ended."""
    ended = alert.fire(HEADER + ROW, server_uri="https://127.0.0.1:1")
    assert (ended.code, home.outbox.exists()) == (1, False)
    assert "splunkd cannot be reached" in ended.text
    assert alert.fire(HEADER + ROW, session_key="no such").code == 2


def test_a_path_that_cannot_be_one_is_a_failure_in_one_line(alert: Alert, home: SplunkHome) -> None:
    """No traceback, and nothing queued."""
    payload = {**alert.payload(home.path, {"profile": "leavers"}), "results_file": "a\0b"}
    assert alert.ended(alert.start(payload)).code == 1
    assert not home.outbox.exists()
