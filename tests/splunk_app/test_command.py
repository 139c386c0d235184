"""The search command of the built app, against a driver that is splunkd for the protocol."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.fakes.splunkd_search import frame
from tests.needs import find_python
from tests.splunk_app.conftest import PYTHONS, Searches

HEADER = b"UserPrincipalName,PredictionTime,PredictionScore,ModelInfo,__mv_UserPrincipalName,__mv_ModelInfo\n"
ROW = b"sarad@contoso.com,2023-04-24T05:52:56Z,9,M1,,\n"
OTHER = b"bradh@contoso.com,2023-04-24T05:52:57Z,3,M1,,\n"
SENT = b"UserPrincipalName,PredictionTime,PredictionScore,ModelInfo\r\nsarad@contoso.com,2023-04-24T05:52:56"


NEWEST = pytest.param("3.13 with the newest SDK", marks=pytest.mark.needs("python3.13"))


@pytest.fixture(params=[*PYTHONS, NEWEST])
def combination(request: pytest.FixtureRequest) -> str:
    """A Python of Splunk's, with the app's own SDK or the newest one."""
    return str(request.param)


@pytest.fixture
def python(combination: str) -> str:
    """The interpreter of the combination."""
    found = find_python(combination.split(maxsplit=1)[0])
    assert found is not None
    return found


@pytest.fixture
def sdk(combination: str, request: pytest.FixtureRequest) -> Path | None:
    """The SDK of the combination, None for the app's own."""
    found: Path | None = request.getfixturevalue("newest_sdk") if "newest" in combination else None
    return found


def texts(replies: list[object]) -> str:
    """All messages as one text."""
    return "\n".join(text for reply in replies for _, text in reply.messages)  # type: ignore[attr-defined]


def one_row(body: bytes) -> dict[str, str]:
    """The summary's row."""
    (row,) = csv.DictReader(io.StringIO(body.decode()))
    return row


def test_a_search_is_queued_once_and_its_rows_pass_unchanged(searches: Searches) -> None:
    """Asking for getinfo does nothing; the bodies come back byte for byte; one run is in the outbox."""
    for _ in range(3):
        process = searches.start()
        info = process.getinfo()
        assert info.metadata["type"] == "events"
        assert process.close() == 0
    assert not searches.home.outbox.exists()

    replies, code = searches.run(HEADER + ROW, HEADER, HEADER + OTHER)

    assert code == 0
    assert [reply.body for reply in replies] == [HEADER + ROW, HEADER, HEADER + OTHER]
    assert [reply.finished for reply in replies] == [False, False, True]
    (payload,) = searches.payloads()
    assert payload.startswith(SENT)
    assert payload.count(b"\n") == 3
    assert "2 rows read: 2 queued in 1 batch." in texts(replies)
    assert "the sender is not running" in texts(replies)


def test_the_manifest_records_who_ran_what(searches: Searches) -> None:
    """User on the server's word, app, sid and the saved search's name."""
    searches.dispatch.mkdir()
    (searches.dispatch / "info.csv").write_text("_sid,label\n1700000000.42,Leavers of the week\n")
    searches.run(HEADER + ROW, user="somebody-else")
    (batch,) = searches.batches()
    origin = json.loads((batch / "manifest.json").read_text())["origin"]
    assert origin["user"] == "ana"
    assert origin["app"] == "splunk"
    assert origin["details"] == {
        "sid": "1700000000.42",
        "search_name": "Leavers of the week",
        "splunk_app": "search",
    }


def test_a_preview_queues_nothing(searches: Searches) -> None:
    """A preview's rows pass, and that is all."""
    replies, code = searches.run(HEADER + ROW, HEADER + ROW, preview=True)
    assert code == 0
    assert replies[-1].body == HEADER + ROW
    assert not texts(replies)
    assert not searches.home.outbox.exists()


def test_a_cancelled_search_queues_nothing(searches: Searches) -> None:
    """The stream ends between requests, none of which said finished."""
    process = searches.start()
    process.getinfo()
    process.execute(HEADER + ROW, finished=False)
    assert process.close() == 0
    assert not searches.home.outbox.exists()


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_request_that_breaks_off_queues_nothing(searches: Searches, cut: int) -> None:
    """A body short of its length under finished=true is no end of a search: no reply, exit 1."""
    process = searches.start()
    process.getinfo()
    request = frame({"action": "execute", "finished": True}, HEADER + ROW * 5)
    process.raw(request[:-cut])
    assert process.close() == 1
    assert not searches.home.outbox.exists()
    assert "broken-off" in searches.home.log.read_text()


def test_a_finalized_search_queues_nothing_unless_allowed(searches: Searches) -> None:
    """Splunk leaves `finalize` in the dispatch directory, or says FINALIZING in status.csv."""
    searches.dispatch.mkdir()
    (searches.dispatch / "status.csv").write_text('state,user\n"FINALIZING",ana\n')
    replies, code = searches.run(HEADER + ROW)
    assert code == 0
    assert "finalized" in texts(replies)
    assert replies[-1].body == HEADER + ROW
    assert not searches.home.outbox.exists()

    (searches.dispatch / "finalize").touch()
    replies, _ = searches.run(HEADER + ROW, args=("profile=leavers", "wait=0", "allowpartial=t"))
    (batch,) = searches.batches()
    details = json.loads((batch / "manifest.json").read_text())["origin"]["details"]
    assert details["partial"] == "finalized"


def test_without_the_capability_nothing_is_queued(searches: Searches) -> None:
    """Being allowed is on the server's word, whatever the search says of its user."""
    replies, code = searches.run(HEADER + ROW, session_key="guest-session")
    assert code == 1
    assert "irmexport_run" in texts(replies)
    assert not searches.home.outbox.exists()


def test_the_analysts_process_never_asks_for_a_secret(searches: Searches) -> None:
    """No request of the command is for storage/passwords."""
    searches.run(HEADER + ROW)
    asked = [path for user, _, path in searches.splunkd.state.requests if user == "ana"]
    assert asked
    assert not [path for path in asked if "passwords" in path]


def test_bad_rows_are_refused_each_for_its_reason(searches: Searches) -> None:
    """Lists, bytes that are not UTF-8, NUL, missing late fields: refused rows, the others go."""
    first = HEADER + b"".join(
        [
            ROW,
            b"a@contoso.com,2023-04-24T05:52:56Z,1,\xff,,\n",
            b"b@contoso.com,2023-04-24T05:52:56Z,1,a\0b,,\n",
            b'"c@contoso.com\nd@contoso.com",2023-04-24T05:52:56Z,1,M,$c@contoso.com$;$d@contoso.com$,\n',
            b"e@contoso.com,2023-04-24T05:52:56Z,1,M,$e@contoso.com$,$M$\n",
        ]
    )
    late = b"PredictionTime,ModelInfo,x,UserPrincipalName,PredictionScore\n2023-04-25,M,x,f@contoso.com,\n"
    replies, code = searches.run(first, late, args=("profile=leavers", "wait=0", "output=rejects"))
    assert code == 0
    assert replies[0].body == b""
    rows = list(csv.DictReader(io.StringIO(replies[-1].body.decode())))
    assert [(row["line"], row["column"], row["reason"]) for row in rows] == [
        ("2", "ModelInfo", "invalid-utf8"),
        ("3", "ModelInfo", "nul-character"),
        ("4", "", "multiple-values"),
        ("6", "PredictionTime", "time-without-zone"),
    ]
    assert "M1" not in texts(replies)
    (payload,) = searches.payloads()
    assert b"e@contoso.com" in payload
    assert payload.count(b"\n") == 3


def test_crlf_and_time_of_splunk(searches: Searches) -> None:
    """Windows' line ends, `_time` as epoch seconds through `fields`, spaces around names."""
    body = b"user,_time,PredictionScore,ModelInfo\r\nsarad@contoso.com,1682315576.962,9,M1\r\n"
    fields = "fields=UserPrincipalName=user , PredictionTime=_time"
    replies, code = searches.run(body, b"", args=("profile=leavers", "wait=0", fields))
    assert code == 0, texts(replies)
    assert replies[0].body == body
    assert replies[1].body == b""
    (payload,) = searches.payloads()
    assert b"sarad@contoso.com,2023-04-24T05:52:56." in payload  # spread within its second


def test_a_field_that_is_there_twice_is_refused(searches: Searches) -> None:
    """Which of the two columns is meant cannot be known, unless the profile needs neither."""
    body = b"UserPrincipalName,PredictionTime,PredictionScore,ModelInfo,ModelInfo\na,b,c,d,e\n"
    replies, code = searches.run(body)
    assert code == 1
    assert "`ModelInfo` more than once" in texts(replies)
    unneeded = b"x,x," + HEADER + b"1,2," + ROW
    assert searches.run(unneeded)[1] == 0


def test_a_field_that_is_missing_is_named(searches: Searches) -> None:
    """The error says which field and what a search can do about it, and nothing was queued."""
    replies, code = searches.run(b"user,PredictionTime,PredictionScore,ModelInfo\na,b,c,d\n")
    assert code == 1
    assert "`UserPrincipalName`" in texts(replies)
    assert 'Use fields="Header=field, …" or `| rename` in the search' in texts(replies)
    assert not searches.batches()


@pytest.mark.parametrize("bodies", [(HEADER, HEADER), (b"",), (b"\n",)])
def test_no_rows_at_all_queue_nothing(searches: Searches, bodies: tuple[bytes, ...]) -> None:
    """A search without results: header-only and empty bodies."""
    replies, code = searches.run(*bodies)
    assert code == 0
    assert "0 rows read" in texts(replies)
    assert not searches.batches()


def test_a_header_that_is_no_csv_is_told_as_such(searches: Searches) -> None:
    """The input is wrong, not the program; nothing was queued."""
    replies, code = searches.run(b'UserPrincipalName,"Predic\n')
    assert code == 1
    assert "the header line of the results cannot be read as CSV" in texts(replies)
    assert not searches.batches()


def test_a_dry_run_writes_nothing(searches: Searches) -> None:
    """dryrun=t counts and refuses as a real run, and leaves no trace but the log."""
    replies, code = searches.run(
        HEADER + ROW + ROW + b"x,y,z,w,,\n", args=("profile=leavers", "dryrun=t", "output=summary")
    )
    assert code == 0
    row = one_row(replies[-1].body)
    assert {key: row[key] for key in ("state", "read", "shaped", "merged", "rejected", "batches")} == {
        "state": "dry run",
        "read": "3",
        "shaped": "1",
        "merged": "1",
        "rejected": "1",
        "batches": "",
    }
    assert not searches.home.outbox.exists()


def test_too_many_refused_rows_stop_it_all(searches: Searches) -> None:
    """maxrejects=0: one refused row and nothing is queued; output=rejects shows it all the same."""
    args = ("profile=leavers", "wait=0", "maxrejects=0", "output=rejects")
    replies, code = searches.run(HEADER + ROW + b"x,y,z,w,,\n", args=args)
    assert code == 1
    assert "nothing was accepted" in texts(replies)
    assert b"upn-without-domain" in replies[-1].body
    assert not searches.batches()


def test_the_same_search_again_sends_nothing_twice(searches: Searches) -> None:
    """A second run skips what the first one queued."""
    searches.run(HEADER + ROW)
    replies, _ = searches.run(HEADER + ROW + OTHER, args=("profile=leavers", "wait=0", "output=summary"))
    row = one_row(replies[-1].body)
    assert (row["shaped"], row["skipped"]) == ("1", "1")
    assert len(searches.batches()) == 2


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("record=t", "not one of this command's options"),
        ("logging_level=DEBUG", "not one of this command's options"),
        ("bare", "not one of this command's options"),
        ("sceret=hunter2", "not one of this command's options"),
        ("show_configuration=t", "not one of this command's options"),
        ("wait=x", "Illegal value"),
        ("output=all", "Illegal value"),
    ],
)
def test_a_wrong_option_is_an_error_before_any_row(searches: Searches, argument: str, said: str) -> None:
    """The analyst learns it from getinfo; a secret that was given by mistake is not told."""
    process = searches.start("profile=leavers", argument)
    info = process.getinfo()
    assert process.close() == 1
    assert said in texts([info])
    assert "hunter2" not in texts([info])


@pytest.mark.parametrize("profile", ["nothing", "../../x", "a b"])
def test_an_unknown_connector_is_named_as_such(searches: Searches, profile: str) -> None:
    """Also a name that could not be one; the path of the request is never the user's."""
    replies, code = searches.run(HEADER + ROW, args=(f"profile={profile}",))
    assert code == 1
    assert "no connector of this name" in texts(replies)


def test_the_session_key_stands_nowhere(searches: Searches) -> None:
    """Not in a log, a message, the outbox, the standard error or the arguments."""
    process = searches.start()
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.getinfo()
    reply = process.execute(HEADER + ROW, finished=True)
    process.close()
    written = searches.home.everything_written() + process.stderr.encode() + arguments
    written += json.dumps(reply.messages).encode()
    assert b"analyst-session" not in written
    assert b"sarad" not in searches.home.log.read_bytes() + process.stderr.encode()


@pytest.mark.needs("python3.13")
def test_fifty_thousand_rows_in_each_chunk(on_3_13: Searches) -> None:
    """Chunks as large as splunkd's: every row is queued, in batches of the connector's limit."""
    rows = [f"u{n}@contoso.com,2023-04-24T05:52:56Z,{n},M,,\n".encode() for n in range(100_000)]
    bodies = [HEADER + b"".join(rows[:50_000]), HEADER + b"".join(rows[50_000:])]
    replies, code = on_3_13.run(*bodies)
    assert code == 0
    assert [reply.body for reply in replies] == bodies
    assert sum(payload.count(b"\n") - 1 for payload in on_3_13.payloads()) == 100_000
    assert len(on_3_13.batches()) == 20


@pytest.mark.needs("python3.13")
def test_more_refused_rows_than_a_reply_takes_are_told(on_3_13: Searches) -> None:
    """output=rejects shows the first 50,000 and says how many there are, also where they stopped it all."""
    body = HEADER + b"x,2023-04-24T05:52:56Z,1,M,,\n" * 50_003
    for more in (("dryrun=t",), ("maxrejects=0",)):
        replies, _ = on_3_13.run(body, args=("profile=leavers", "wait=0", "output=rejects", *more))
        assert replies[-1].body.count(b"\n") == 50_001
        assert "only the first 50,000 of 50,003 refused rows are shown" in texts(replies)
