"""The alert action of the built app, started as splunkd does: `--execute`, JSON on standard input."""

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
    """An alert owned by the analyst, on one of Splunk's Pythons."""
    return Alert(python, home, splunkd)


def payloads(home: SplunkHome) -> list[str]:
    """The payloads of the queued batches."""
    return [path.read_text() for path in sorted(home.outbox.glob("*/ready/*/payload"))]


def events(home: SplunkHome, event: str) -> list[dict[str, Any]]:
    """The log lines of one event."""
    lines = [json.loads(line) for line in home.log.read_text().splitlines()]
    return [line for line in lines if line["event"] == event and line["part"] == "alert"]


def actions(home: SplunkHome) -> list[str]:
    """The log lines for Enterprise Security."""
    return home.log.with_name("irmexport_modalert.log").read_text().splitlines()


def test_an_alert_ends_with_the_receipt_and_sends_once(
    alert: Alert, python: str, home: SplunkHome, splunkd: SplunkdRest, emulator: PurviewEmulator
) -> None:
    """With the same results twice, the connector has each row once and the log a receipt of each run."""
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
    paths = [path for user, _, path in splunkd.state.requests if user == "ana"]
    assert not [path for path in paths if "passwords" in path]


def test_enterprise_security_finds_the_action(alert: Alert, home: SplunkHome) -> None:
    """The log has the format of cim_actions.py, with the result's number and the action's status."""
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
    line = re.escape(f'INFO sendmodaction - signature="Invoking modular action" {common}')
    assert re.fullmatch(f"{moment} {line}", begun)
    assert re.fullmatch(rf'{moment} INFO sendmodaction - signature="irmexport: [^"]+" .*', done)
    assert done.endswith(f'{common} action_status="success"')


def test_each_result_has_a_line_up_to_the_limit(alert: Alert, home: SplunkHome) -> None:
    """The first hundred results of a scheduled search are numbered from 0."""
    rows = b"".join(b"u%d@contoso.com,2023-04-24T05:52:56Z,%d,M,\n" % (n, n) for n in range(150))
    assert alert.fire(HEADER + rows).code == 0
    numbers = [re.search(r' rid="(\d+)"', line) for line in actions(home)]
    assert [int(found[1]) for found in numbers if found] == [*range(100), *range(100)]
    assert all('action_mode="saved"' in line for line in actions(home))


def test_a_long_field_loses_no_line(alert: Alert, home: SplunkHome) -> None:
    """`_raw` may have more than the 131,072 characters that Python's csv reads by itself."""
    header = HEADER.rstrip() + b",_raw\n"
    rows = [
        b"u%d@contoso.com,2023-04-24T05:52:56Z,1,M,%s\n" % (n, b"x" * 200_000 * (n == 1)) for n in range(3)
    ]
    assert alert.fire(header + b"".join(rows)).code == 0
    numbers = [re.search(r' rid="(\d+)"', line) for line in actions(home)]
    assert [int(found[1]) for found in numbers if found] == [0, 1, 2, 0, 1, 2]


def test_a_failure_is_reported_everywhere(alert: Alert, home: SplunkHome) -> None:
    """An unknown connector shows in exit code, splunkd.log, the app's log and Enterprise Security's log."""
    ended = alert.fire(HEADER + ROW, params={"profile": "nothing"})
    assert ended.code == 2
    assert ended.messages[0][0] == "ERROR"
    assert "no connector of this name" in ended.text
    (failed,) = events(home, "failed")
    assert failed["level"] == "ERROR"
    assert 'action_status="failure"' in actions(home)[-1]


def test_invalid_rows_are_refused_as_by_the_command(alert: Alert, home: SplunkHome) -> None:
    """Several values, invalid UTF-8 and NUL are refused; a single value with dollar signs is not."""
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
def test_an_empty_result_is_not_a_failure(alert: Alert, home: SplunkHome, content: bytes) -> None:
    """Splunk writes no header, or only a header."""
    ended = alert.fire(content)
    assert (ended.code, ended.messages) == (0, [("INFO", "irmexport: 0 rows read: 0 queued in 0 batches.")])
    assert [r["state"] for r in events(home, "receipt")] == ["nothing to send"]
    assert [r["counts"]["read"] for r in events(home, "queued")] == [0]


def test_a_search_without_results_may_have_no_results_file(
    alert: Alert, home: SplunkHome, splunkd: SplunkdRest
) -> None:
    """The job has none, says splunkd, so the run is complete and has its receipt."""
    splunkd.state.jobs[SID] = {"owner": "ana", "resultCount": 0}
    ended = alert.fire(None)
    assert (ended.code, ended.messages) == (0, [("INFO", "irmexport: 0 rows read: 0 queued in 0 batches.")])
    assert [r["state"] for r in events(home, "receipt")] == ["nothing to send"]


def test_an_unreadable_results_file_sends_nothing(alert: Alert, home: SplunkHome) -> None:
    """A missing, truncated, zstd-compressed or malformed file is reported as such."""
    assert "results file does not exist" in alert.fire(None).text
    params = {"profile": "leavers", "wait": "0"}
    path = alert.results(HEADER + ROW * 1000)
    cut = path.read_bytes()[:-20]
    for content, expected in (
        (cut, "truncated or damaged"),
        (b"\x28\xb5\x2f\xfd" + cut, "zstd"),
        (b'a,"b\n', "header"),
    ):
        path = alert.results(content, packed=False)
        ended = alert.ended(alert.start(alert.payload(path, params)))
        assert (ended.code, ended.messages[0][0]) == (3, "ERROR")
        assert expected in ended.text
        assert "bug in irmexport" not in ended.text
    plain = alert.results(HEADER + ROW, packed=False, name="results.csv")
    assert alert.ended(alert.start(alert.payload(plain, params))).code == 0
    assert len(payloads(home)) == 1


@pytest.mark.needs("python3.13")
@pytest.mark.parametrize("python", [find_python("3.13")], ids=["3.13"])
@pytest.mark.parametrize("by", ["job", "default", "action", "search"])
def test_truncated_results_are_reported(
    alert: Alert, home: SplunkHome, splunkd: SplunkdRest, python: str, by: str
) -> None:
    """The action got fewer rows than the search found, or as many as any setting allows."""
    rows, expected = 3, "as many rows as it may (maxresults = 3)"
    if by == "job":
        splunkd.state.jobs[SID] = {"owner": "ana", "resultCount": 8}
        expected = "got 3 of the search's 8 rows"
    elif by == "default":
        splunkd.state.searches["Leavers of the week"] = {"owner": "eve", "action.irmexport.maxresults": "3"}
        rows, expected = 50_000, "maxresults = 50,000"
    elif by == "action":
        splunkd.state.confs["alert_actions"] = {"irmexport": {"maxresults": "3"}}
    else:
        splunkd.state.searches["Leavers of the week"] = {"owner": "ana", "action.irmexport.maxresults": "3"}
    content = b"".join(b"u%d@contoso.com,2023-04-24T05:52:56Z,%d,M,\n" % (n, n) for n in range(rows))
    ended = alert.fire(HEADER + content, params={"profile": "leavers", "dryrun": "1"})
    assert ended.code == 0
    level, text = ended.messages[0]
    assert level == "WARN"
    assert expected in text
    assert "max_action_results" in text
    (cut,) = events(home, "cut")
    assert (cut["rows"], cut["level"]) == (rows, "WARN")


def test_complete_results_give_no_warning(alert: Alert, home: SplunkHome, splunkd: SplunkdRest) -> None:
    """The file has as many rows as the job found, or the alert triggers for each result."""
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
def test_a_finalized_search_sends_nothing_unless_allowed(
    alert: Alert, home: SplunkHome, splunkd: SplunkdRest, how: str
) -> None:
    """The same holds for the command. Splunk finalizes a scheduled search that takes too long."""
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
    ("params", "expected"),
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
def test_an_invalid_parameter_is_named(params: dict[str, str], expected: str) -> None:
    """The parameters of an ad hoc action are not validated by splunkd."""
    with pytest.raises(ConfigurationError) as refused:
        export_request(params)
    assert expected in str(refused.value)


def test_an_invalid_parameter_queues_nothing(alert: Alert, home: SplunkHome) -> None:
    """Neither if the action detects it nor if the profile does."""
    for params in ({"profile": "leavers", "wait": "x"}, {"profile": "leavers", "fields": "None=a"}):
        ended = alert.fire(HEADER + ROW, params=params)
        assert (ended.code, ended.messages[0][0]) == (2, "ERROR")
    assert not home.outbox.exists()


def test_parameters_of_enterprise_security_are_ignored(alert: Alert) -> None:
    """It adds its own parameters to every action."""
    params = {"profile": "leavers", "wait": "0", "_cam": "{}", "action_name": "irmexport", "verbose": "true"}
    assert alert.fire(HEADER + ROW, params=params).code == 0


def test_too_many_refused_rows_stop_the_export(alert: Alert, home: SplunkHome) -> None:
    """With maxrejects=0, one refused row means that nothing is queued."""
    params = {"profile": "leavers", "wait": "0", "maxrejects": "0"}
    ended = alert.fire(HEADER + ROW + b"x,y,z,w,\n", params=params)
    assert ended.code == 3
    assert "nothing was accepted" in ended.text
    assert not payloads(home)


def test_without_the_capability_nothing_is_queued(alert: Alert, home: SplunkHome) -> None:
    """The session key decides, whatever owner the payload has."""
    ended = alert.fire(HEADER + ROW, session_key="guest-session", owner="ana")
    assert ended.code == 2
    assert "irmexport_run" in ended.text
    assert not home.outbox.exists()


def test_a_batch_that_needs_a_person_is_exit_4(
    alert: Alert, python: str, home: SplunkHome, splunkd: SplunkdRest, emulator: PurviewEmulator
) -> None:
    """The exit code shows in splunkd.log, and Enterprise Security shows a failure."""
    emulator.faults.next(Fault(reset_after_last_byte=True))
    with Input(python, home, splunkd):
        ended = alert.fire(HEADER + ROW, params={"profile": "leavers", "wait": "60"})
    assert ended.code == 4
    assert "a person must decide about 1 row" in ended.text
    assert [r["state"] for r in events(home, "receipt")] == ["held"]
    assert 'action_status="failure"' in actions(home)[-1]


def test_a_run_that_is_killed_during_its_wait_has_queued_its_rows(
    alert: Alert, python: str, home: SplunkHome, splunkd: SplunkdRest
) -> None:
    """After `maxtime` ends the process, the rows are queued once and the next run skips them."""
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
def test_an_invalid_payload_is_refused(text: bytes) -> None:
    """XML (payload_format), no input and other JSON give a clear error."""
    with pytest.raises(ConfigurationError, match="not an alert's JSON"):
        AlertPayload.parse(text)


def test_a_start_by_hand_is_refused(alert: Alert) -> None:
    """The exit code is 2, with one line, whatever is on standard input."""
    ended = alert.ended(alert.start_raw(b"hello"))
    assert ended.code == 2
    assert "not an alert's JSON" in ended.text


def test_an_unreachable_splunkd_is_a_temporary_failure(alert: Alert, home: SplunkHome) -> None:
    """The exit code is 1. It is 2 for problems that someone must fix, such as an expired session."""
    ended = alert.fire(HEADER + ROW, server_uri="https://127.0.0.1:1")
    assert (ended.code, home.outbox.exists()) == (1, False)
    assert "splunkd cannot be reached" in ended.text
    assert alert.fire(HEADER + ROW, session_key="no such").code == 2


def test_an_invalid_path_is_a_failure_in_one_line(alert: Alert, home: SplunkHome) -> None:
    """There is no traceback, and nothing is queued."""
    payload = {**alert.payload(home.path, {"profile": "leavers"}), "results_file": "a\0b"}
    assert alert.ended(alert.start(payload)).code == 1
    assert not home.outbox.exists()
