"""The search command of the built app, run by a fake splunkd."""

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
    """One of Splunk's Pythons, with the app's own SDK or the newest one."""
    return str(request.param)


@pytest.fixture
def python(combination: str) -> str:
    """The path of the interpreter."""
    found = find_python(combination.split(maxsplit=1)[0])
    assert found is not None
    return found


@pytest.fixture
def sdk(combination: str, request: pytest.FixtureRequest) -> Path | None:
    """The SDK, None for the app's own."""
    found: Path | None = request.getfixturevalue("newest_sdk") if "newest" in combination else None
    return found


def texts(replies: list[object]) -> str:
    """All messages in one text."""
    return "\n".join(text for reply in replies for _, text in reply.messages)  # type: ignore[attr-defined]


def one_row(body: bytes) -> dict[str, str]:
    """The row of the summary."""
    (row,) = csv.DictReader(io.StringIO(body.decode()))
    return row


def test_a_search_is_queued_once_and_its_rows_pass_unchanged(searches: Searches) -> None:
    """A getinfo alone does nothing; the bodies come back byte for byte; the outbox has one run."""
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
    """It has the user as splunkd reports it, the app, the sid and the saved search's name."""
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
    """The rows of a preview are only passed through."""
    replies, code = searches.run(HEADER + ROW, HEADER + ROW, preview=True)
    assert code == 0
    assert replies[-1].body == HEADER + ROW
    assert not texts(replies)
    assert not searches.home.outbox.exists()


def test_a_cancelled_search_queues_nothing(searches: Searches) -> None:
    """The stream ends between requests, before one with finished."""
    process = searches.start()
    process.getinfo()
    process.execute(HEADER + ROW, finished=False)
    assert process.close() == 0
    assert not searches.home.outbox.exists()


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_truncated_request_queues_nothing(searches: Searches, cut: int) -> None:
    """A body that is shorter than its length, with finished=true, gets no reply and exit code 1."""
    process = searches.start()
    process.getinfo()
    request = frame({"action": "execute", "finished": True}, HEADER + ROW * 5)
    process.raw(request[:-cut])
    assert process.close() == 1
    assert not searches.home.outbox.exists()
    assert "broken-off" in searches.home.log.read_text()


def test_a_finalized_search_queues_nothing_unless_allowed(searches: Searches) -> None:
    """Splunk writes `finalize` into the dispatch directory, or FINALIZING into status.csv."""
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
    """The capabilities are those that splunkd reports, whatever user name the search has."""
    replies, code = searches.run(HEADER + ROW, session_key="guest-session")
    assert code == 1
    assert "irmexport_run" in texts(replies)
    assert not searches.home.outbox.exists()


def test_the_analysts_process_never_requests_a_secret(searches: Searches) -> None:
    """The command sends no request for storage/passwords."""
    searches.run(HEADER + ROW)
    paths = [path for user, _, path in searches.splunkd.state.requests if user == "ana"]
    assert paths
    assert not [path for path in paths if "passwords" in path]


def test_invalid_rows_are_refused_with_their_reasons(searches: Searches) -> None:
    """Rows with several values, invalid UTF-8, NUL or a missing field are refused; the others are queued."""
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
    """CRLF line ends, `_time` in epoch seconds through `fields`, spaces around names."""
    body = b"user,_time,PredictionScore,ModelInfo\r\nsarad@contoso.com,1682315576.962,9,M1\r\n"
    fields = "fields=UserPrincipalName=user , PredictionTime=_time"
    replies, code = searches.run(body, b"", args=("profile=leavers", "wait=0", fields))
    assert code == 0, texts(replies)
    assert replies[0].body == body
    assert replies[1].body == b""
    (payload,) = searches.payloads()
    assert b"sarad@contoso.com,2023-04-24T05:52:56." in payload  # spread within its second


def test_a_duplicate_field_is_refused(searches: Searches) -> None:
    """The right column is unknown, unless the profile needs neither."""
    body = b"UserPrincipalName,PredictionTime,PredictionScore,ModelInfo,ModelInfo\na,b,c,d,e\n"
    replies, code = searches.run(body)
    assert code == 1
    assert "`ModelInfo` more than once" in texts(replies)
    unneeded = b"x,x," + HEADER + b"1,2," + ROW
    assert searches.run(unneeded)[1] == 0


def test_a_missing_field_is_named(searches: Searches) -> None:
    """The error names the field and what to change in the search, and nothing is queued."""
    replies, code = searches.run(b"UserPrincipal,PredictionTime,PredictionScore,ModelInfo\na,b,c,d\n")
    assert code == 1
    assert "`UserPrincipalName`" in texts(replies)
    assert "The most similar one is `UserPrincipal`." in texts(replies)
    assert 'Use fields="Header=field, …" or `| rename` in the search' in texts(replies)
    assert not searches.batches()


@pytest.mark.parametrize("bodies", [(HEADER, HEADER), (b"",), (b"\n",)])
def test_no_rows_at_all_queue_nothing(searches: Searches, bodies: tuple[bytes, ...]) -> None:
    """A search without results: bodies with only a header, and empty ones."""
    replies, code = searches.run(*bodies)
    assert code == 0
    assert "0 rows read" in texts(replies)
    assert not searches.batches()


SPLUNKS = b"user,_time,PredictionScore,ModelInfo\nsarad@contoso.com,1682315576.962,9,M1\n"


def test_the_only_connector_and_splunks_names_are_found_and_reported(searches: Searches) -> None:
    """`| irmexport` alone: the one enabled connector, `user` and `_time`; the manifest has the fields."""
    searches.splunkd.state.confs["irmexport_connectors"]["old"] = {"disabled": "1"}
    replies, code = searches.run(SPLUNKS, args=("wait=0",))
    assert code == 0, texts(replies)
    assert (
        "irmexport: the rows go to the connector leavers, the only one that you may use; column "
        "UserPrincipalName is read from `user`; column PredictionTime is read from `_time`. To choose "
        'yourself, add fields="UserPrincipalName=…".'
    ) in texts(replies)
    (batch,) = searches.batches()
    details = json.loads((batch / "manifest.json").read_text())["origin"]["details"]
    assert details["fields"] == "UserPrincipalName=user, PredictionTime=_time"
    assert b"sarad@contoso.com,2023-04-24T05:52:56." in (batch / "payload").read_bytes()
    assert '"connector":"leavers"' in searches.home.log.read_text().replace('": "', '":"')


def test_another_roles_connector_is_not_a_choice(on_3_13: Searches) -> None:
    """Of two connectors, the one that the analyst's roles may read is the only one."""
    confs = on_3_13.splunkd.state.confs["irmexport_connectors"]
    confs["badges"] = {**confs["leavers"], "job_id": "44444444-4444-4444-4444-444444444444"}
    on_3_13.splunkd.state.local_meta["irmexport_connectors/badges"] = ("admin", "facility")
    replies, code = on_3_13.run(SPLUNKS, args=("wait=0",))
    assert code == 0
    assert "the rows go to the connector leavers, the only one that you may use" in texts(replies)


@pytest.mark.parametrize(
    ("stanzas", "expected"),
    [
        ({}, "there is no connector that you may use. Ask an administrator to create one."),
        (
            {"b": {"profile": "leaver-prediction"}, "a": {"profile": "leaver-prediction"}},
            "you may use several connectors. Add `profile=` with one of: a, b.",
        ),
    ],
)
def test_without_one_connector_the_search_has_to_name_it(
    on_3_13: Searches, stanzas: dict[str, dict[str, str]], expected: str
) -> None:
    """None or several: nothing is queued, and the message says what to add or whom to ask."""
    on_3_13.splunkd.state.confs["irmexport_connectors"] = stanzas
    replies, code = on_3_13.run(SPLUNKS, args=("wait=0",))
    assert code == 1
    assert expected in texts(replies)
    assert not on_3_13.batches()


def test_an_actor_and_a_target_are_not_told_apart_by_guessing(on_3_13: Searches) -> None:
    """With `src_user` beside `user` nothing is queued until `fields` says which of them acted."""
    body = SPLUNKS.replace(b"user,", b"src_user,user,").replace(b"sarad@", b"ana@contoso.com,sarad@")
    replies, code = on_3_13.run(body)
    assert code == 1
    assert (
        "irmexport: column UserPrincipalName: the results have `user` and `src_user`, and only one of them "
        'is who acted. Add fields="UserPrincipalName=src_user" or fields="UserPrincipalName=user".'
    ) in texts(replies)
    assert not on_3_13.batches()
    alone, _ = on_3_13.run(body.replace(b",user,", b",other,"), args=("profile=leavers", "wait=0"))
    assert texts(alone).endswith(
        "column UserPrincipalName: the results have `src_user`, but no `UserPrincipalName`. Add "
        'fields="UserPrincipalName=src_user", if that is who acted.'
    )
    chosen = "fields=UserPrincipalName=src_user"
    assert on_3_13.run(body, args=("profile=leavers", "wait=0", chosen))[1] == 0
    (payload,) = on_3_13.payloads()
    assert b"ana@contoso.com" in payload


def test_the_profiles_own_field_comes_before_splunks_name(on_3_13: Searches) -> None:
    """`user` beside the profile's field is only another field."""
    replies, code = on_3_13.run(b"user," + HEADER + b"ben@contoso.com," + ROW)
    assert code == 0
    assert "is read from" not in texts(replies)
    (payload,) = on_3_13.payloads()
    assert b"sarad@contoso.com" in payload


def test_a_preview_shows_the_rows_as_they_would_go_out(searches: Searches) -> None:
    """Canonical values and times on the wire, without refused and merged rows; nothing is queued."""
    body = HEADER + ROW.replace(b"sarad@", b"SaraD@").replace(b",9,", b",9.0,") + ROW + b"x,y,z,w,,\n" + OTHER
    replies, code = searches.run(body, args=("profile=leavers", "output=preview"))
    assert code == 0
    assert not searches.home.outbox.exists()
    searches.run(body)
    (payload,) = searches.payloads()
    assert replies[-1].body.replace(b"\n", b"\r\n") == payload
    assert "4 rows read: 2 would be queued in 1 batch, 1 merged with an identical row, 1 refused." in texts(
        replies
    )


def test_refused_rows_name_their_field(on_3_13: Searches) -> None:
    """The column is the connector's; the analyst knows the field of the search."""
    replies, _ = on_3_13.run(SPLUNKS.replace(b"sarad@contoso.com", b"sarad"), args=("wait=0",))
    assert "1 row refused: upn-without-domain (column UserPrincipalName, field `user`)." in texts(replies)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("profile=leaver",), "there is no connector of this name. Did you mean `leavers`?"),
        (("profile=leavers", "fields=UserPrincipleName=user"), "Did you mean `UserPrincipalName`?"),
    ],
)
def test_a_misspelt_name_gets_the_nearest(on_3_13: Searches, args: tuple[str, ...], expected: str) -> None:
    """Of the connectors that the user may use, and of the profile's columns."""
    replies, code = on_3_13.run(SPLUNKS, args=args)
    assert code == 1
    assert expected in texts(replies)


def test_a_header_that_is_not_csv_is_reported(searches: Searches) -> None:
    """It is an error of the input, not of irmexport, and nothing is queued."""
    replies, code = searches.run(b'UserPrincipalName,"Predic\n')
    assert code == 1
    assert "the header line of the results cannot be read as CSV" in texts(replies)
    assert not searches.batches()


def test_a_dry_run_writes_nothing(searches: Searches) -> None:
    """dryrun=t counts and refuses like a real run, and writes only the log."""
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


def test_too_many_refused_rows_stop_the_export(searches: Searches) -> None:
    """With maxrejects=0 one refused row stops the export; output=rejects still returns it."""
    args = ("profile=leavers", "wait=0", "maxrejects=0", "output=rejects")
    replies, code = searches.run(HEADER + ROW + b"x,y,z,w,,\n", args=args)
    assert code == 1
    assert "nothing was accepted" in texts(replies)
    assert b"upn-without-domain" in replies[-1].body
    assert not searches.batches()


def test_the_same_search_again_sends_nothing_twice(searches: Searches) -> None:
    """A second run skips the rows of the first."""
    searches.run(HEADER + ROW)
    replies, _ = searches.run(HEADER + ROW + OTHER, args=("profile=leavers", "wait=0", "output=summary"))
    row = one_row(replies[-1].body)
    assert (row["shaped"], row["skipped"]) == ("1", "1")
    assert len(searches.batches()) == 2


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("record=t", "not one of this command's options"),
        ("logging_level=DEBUG", "not one of this command's options"),
        ("bare", "not one of this command's options"),
        ("sceret=hunter2", "not one of this command's options"),
        ("show_configuration=t", "not one of this command's options"),
        ("proflie=leavers", "Did you mean profile=…?"),
        ("wait=5m", "wait=… must be a whole number of seconds from 0 to 3600, without a unit."),
        ("output=Rows", "output=… must be rows, summary, rejects or preview, in lower case."),
        ("maxrejects=-1", "maxrejects=… must be a whole number."),
        ("dryrun=hunter2", "dryrun=… must be t or f."),
    ],
)
def test_an_invalid_option_is_an_error_before_any_row(
    searches: Searches, argument: str, expected: str
) -> None:
    """The reply to getinfo has the error; a secret that was given by mistake is not repeated."""
    process = searches.start("profile=leavers", argument)
    info = process.getinfo()
    assert process.close() == 1
    assert expected in texts([info])
    assert "hunter2" not in texts([info])


@pytest.mark.parametrize("profile", ["nothing", "../../x", "a b"])
def test_an_unknown_connector_is_reported(searches: Searches, profile: str) -> None:
    """So is a name that is invalid, which never becomes part of a request's path."""
    replies, code = searches.run(HEADER + ROW, args=(f"profile={profile}",))
    assert code == 1
    assert "no connector of this name" in texts(replies)


def test_the_session_key_is_written_nowhere(searches: Searches) -> None:
    """It is in no log, message, outbox file, standard error or argument."""
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
    """With chunks as large as splunkd's, every row is queued in batches of the connector's limit."""
    rows = [f"u{n}@contoso.com,2023-04-24T05:52:56Z,{n},M,,\n".encode() for n in range(100_000)]
    bodies = [HEADER + b"".join(rows[:50_000]), HEADER + b"".join(rows[50_000:])]
    replies, code = on_3_13.run(*bodies)
    assert code == 0
    assert [reply.body for reply in replies] == bodies
    assert sum(payload.count(b"\n") - 1 for payload in on_3_13.payloads()) == 100_000
    assert len(on_3_13.batches()) == 20


@pytest.mark.needs("python3.13")
def test_refused_rows_beyond_the_limit_of_a_reply_are_reported(on_3_13: Searches) -> None:
    """output=rejects returns the first 50,000 and reports the total, also if they stopped the export."""
    body = HEADER + b"x,2023-04-24T05:52:56Z,1,M,,\n" * 50_003
    for more in (("dryrun=t",), ("maxrejects=0",)):
        replies, _ = on_3_13.run(body, args=("profile=leavers", "wait=0", "output=rejects", *more))
        assert replies[-1].body.count(b"\n") == 50_001
        assert "only the first 50,000 of 50,003 refused rows are shown" in texts(replies)
