"""The REST endpoint of the built app: connectors, queue and profiles; a secret is never returned."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator

import pytest
from irmcore.profile import shipped_names, shipped_text
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator

from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_handler import RestHandler
from tests.fakes.splunkd_input import Input
from tests.fakes.splunkd_rest import SplunkdRest
from tests.splunk_app.conftest import APP_ID, COLUMNS, JOB, SECRET, TENANT, Searches
from tests.splunk_app.test_command import HEADER, ROW
from tests.splunk_app.test_end_to_end import summary

OTHER_JOB = "44444444-4444-4444-4444-444444444444"
NEW = {
    "name": "second",
    "profile": "leaver-prediction",
    "job_id": OTHER_JOB,
    "tenant_id": TENANT,
    "app_id": APP_ID,
}


@pytest.fixture
def rest(python: str, home: SplunkHome, splunkd: SplunkdRest) -> Iterator[RestHandler]:
    """The handler on one of Splunk's Pythons."""
    handler = RestHandler(python, home, splunkd)
    yield handler
    assert not handler.end()


def test_the_life_of_a_connector(rest: RestHandler, splunkd: SplunkdRest, home: SplunkHome) -> None:
    """It is created, listed, changed and removed; its secret is only in storage/passwords."""
    made = rest.request("POST", "connectors", secret="first-secret", **NEW)
    assert made.status == 200
    assert (made.document["secret_saved"], made.document["trouble"]) == (True, "")
    assert splunkd.state.passwords["irmexport:second:"].endswith(":first-secret")
    assert splunkd.state.enabled_inputs == {"irmexport://main"}
    listed = rest.request("GET", "connectors")
    assert [connector["name"] for connector in listed.document["connectors"]] == ["leavers", "second"]

    changed = rest.request("POST", "connectors/second", secret="second-secret", cloud="gcc")
    assert changed.document["cloud"] == "gcc"
    assert splunkd.state.passwords["irmexport:second:"].endswith(":second-secret")
    taken_back = rest.request("POST", "connectors/second", cloud="")
    assert "cloud" not in taken_back.document

    removed = rest.request("DELETE", "connectors/second")
    assert removed.status == 200
    assert "second" not in splunkd.state.confs["irmexport_connectors"]
    assert "irmexport:second:" not in splunkd.state.passwords
    assert rest.request("GET", "connectors/second").status == 404

    replies = "".join(answer.text for answer in (made, listed, changed, taken_back, removed))
    written = replies.encode() + home.everything_written() + repr(splunkd.state.confs).encode()
    for secret in ("first-secret", "second-secret", SECRET, "system-session", "admin-session"):
        assert secret.encode() not in written


def test_a_profile_as_text_keeps_its_indentation(rest: RestHandler, splunkd: SplunkdRest) -> None:
    """YAML is returned unchanged, and the conf file has it as one line."""
    text = shipped_text("salesforce-dropbox")
    made = rest.request("POST", "connectors", name="dropbox", profile_yaml=text)
    assert made.document["profile_yaml"] == text
    stored = splunkd.state.confs["irmexport_connectors"]["dropbox"]["profile_yaml"]
    assert "\n" not in stored


@pytest.mark.parametrize("key", ["analyst-session", "guest-session", "nobody's"])
def test_without_the_capability_every_request_is_refused(rest: RestHandler, key: str) -> None:
    """The capabilities are those that splunkd reports; an unknown session is refused too."""
    for method, path in (
        ("GET", "connectors"),
        ("POST", "connectors"),
        ("GET", "queue"),
        ("POST", "profiles/check"),
    ):
        answer = rest.request(method, path, key=key)
        assert answer.status in (401, 403)
        assert set(answer.document) == {"error", "where", "next_step", "field"}


@pytest.mark.parametrize(
    ("form", "field", "expected"),
    [
        ({"name": "Bad Name"}, "name", "a-z, 0-9 and hyphens"),
        # A conf file's stanza that all others inherit from.
        ({"name": "default"}, "name", "not `default`"),
        (
            {"profile": "", "profile_yaml": shipped_text("leaver-prediction") + "#" * 300_000},
            "",
            "too long",
        ),
        ({"profile": ""}, "profile", "either `profile`"),
        ({"profile": "leaver-predicton"}, "profile", "Did you mean `leaver-prediction`?"),
        ({"profile_yaml": "schema: 1"}, "profile", "either `profile`"),
        ({"job_id": "12"}, "job_id", "`job_id` is not valid"),
        ({"cloud": "moon"}, "cloud", "`cloud` must be one of commercial"),
        ({"proxy": "http://user:pass@proxy:1"}, "proxy", "`proxy` is not valid"),
        ({"emulator": "https://example.com"}, "emulator", "loopback"),
        ({"sceret": "x"}, "", "no such setting"),
        ({"secret": "a\nb"}, "secret", "line break"),
    ],
)
def test_an_invalid_connector_is_refused_and_not_saved(
    rest: RestHandler, splunkd: SplunkdRest, form: dict[str, str], field: str, expected: str
) -> None:
    """The error names the field of the form, and neither conf file nor storage/passwords changes."""
    answer = rest.request("POST", "connectors", **{**NEW, **form})
    assert answer.status == 400
    assert answer.document["field"] == field
    assert expected in answer.document["error"] + answer.document["next_step"]
    assert set(splunkd.state.confs["irmexport_connectors"]) == {"leavers"}
    assert set(splunkd.state.passwords) == {"irmexport:leavers:"}


def test_the_pages_get_their_buttons_as_next_steps(rest: RestHandler) -> None:
    """Administrators who use curl get requests."""
    curl = rest.request("GET", "batches/ffffffffffff")
    assert (
        curl.document["next_step"] == "Give the id as `GET irmexport/queue` shows it (at least 4 characters)."
    )
    page = rest.request("GET", "batches/ffffffffffff", query="pages")
    assert page.document["next_step"] == "Give the id as the page Queue shows it (at least 4 characters)."


def test_two_connectors_of_one_job_are_refused(rest: RestHandler, splunkd: SplunkdRest) -> None:
    """They would share an outbox, so the second cannot be created, changed or enabled, only disabled."""
    answer = rest.request("POST", "connectors", **{**NEW, "job_id": JOB, "secret": "x"})
    assert answer.status == 400
    assert "leavers has the same `job_id`" in answer.document["error"]
    assert set(splunkd.state.passwords) == {"irmexport:leavers:"}

    assert rest.request("POST", "connectors", **NEW).status == 200
    assert rest.request("POST", "connectors/second", job_id=JOB.upper()).status == 400
    assert rest.request("POST", "connectors/second", disabled="1", job_id=JOB).status == 200
    assert rest.request("POST", "connectors/second", disabled="0").status == 400
    assert rest.request("POST", "connectors/leavers", disabled="1").status == 200
    assert rest.request("POST", "connectors/second", disabled="0").status == 200
    # After an edit by hand, the connector test reports it.
    splunkd.state.confs["irmexport_connectors"]["leavers"]["disabled"] = "0"
    found = rest.request("POST", "connectors/second/test").document
    assert found["good"] is False
    assert "leavers has the same `job_id`" in str(found["findings"])


def test_a_corrected_job_id_says_what_becomes_of_queued_rows(rest: RestHandler, searches: Searches) -> None:
    """Rows of the previous job cannot be moved; their search, run again, queues them for the new one."""
    assert "next_step" not in rest.request("POST", "connectors/leavers", job_id=OTHER_JOB).document
    searches.run(HEADER + ROW)
    assert "next_step" not in rest.request("POST", "connectors/leavers", in_doubt="resend").document
    answer = rest.request("POST", "connectors/leavers", job_id=JOB).document
    assert answer["job_id"] == JOB
    assert answer["next_step"].startswith(
        "1 row is queued for the previous job ID and not sent to the new one."
    )
    searches.run(HEADER + ROW)
    assert {batch.parts[-3] for batch in searches.batches()} == {f"purview-{JOB}", f"purview-{OTHER_JOB}"}


def test_a_post_without_a_form_is_refused(rest: RestHandler) -> None:
    """With JSON or no body splunkd passes no form, and the reply explains what to send."""
    forms: tuple[object, ...] = (None, [], "x", [1], {"a": 1})
    for path in ("connectors", "connectors/leavers"):
        for form in forms:
            answer = rest.request_raw("POST", path, form)
            assert answer.status == 400
            assert "-d name=value" in answer.document["next_step"]


def test_next_steps_are_requests_not_commands(
    rest: RestHandler, searches: Searches, python: str, home: SplunkHome, emulator: PurviewEmulator
) -> None:
    """For a held batch, message, queue and log name the request that resolves it."""
    emulator.faults.next(Fault(reset_after_last_byte=True))
    with Input(python, home, searches.splunkd):
        replies, _ = searches.run(HEADER + ROW, args=("profile=leavers", "wait=60"))
        assert _within(10, lambda: bool(searches.splunkd.state.messages))
    (held,) = rest.request("GET", "held").document["batches"]
    texts = [replies[-1].messages[-1][1], held["next_step"], *searches.splunkd.state.messages.values()]
    for text in texts:
        assert re.search(f"`POST irmexport/batches/(BATCH|{held['id'][:12]})/resolve`", text), text
        assert "`irmexport " not in text
    assert "`irmexport " not in home.log.read_text()


def test_a_secret_in_the_address_is_refused(rest: RestHandler) -> None:
    """The address is in splunkd's log by then, so the reply asks to replace the secret."""
    answer = rest.request("POST", "connectors/leavers", query="secret")
    assert answer.status == 400
    assert "Replace the secret" in answer.document["next_step"]


def test_an_existing_connector_is_not_overwritten(rest: RestHandler, splunkd: SplunkdRest) -> None:
    """Creating it again gives a 409 and keeps the secret."""
    answer = rest.request("POST", "connectors", **{**NEW, "name": "leavers", "secret": "other"})
    assert answer.status == 409
    assert splunkd.state.passwords["irmexport:leavers:"].endswith(f":{SECRET}")


def test_the_connection_is_tested_without_an_upload(rest: RestHandler, emulator: PurviewEmulator) -> None:
    """DNS, TLS and token are checked without an upload; a wrong secret is reported."""
    good = rest.request("POST", "connectors/leavers/test")
    assert good.document["good"] is True
    assert not emulator.uploads
    rest.request("POST", "connectors/leavers", secret="emulator-only-wrong")
    bad = rest.request("POST", "connectors/leavers/test")
    assert bad.document["good"] is False
    assert "AADSTS7000215" in bad.text


def test_the_queue_can_be_managed_without_a_shell(
    rest: RestHandler, searches: Searches, python: str, home: SplunkHome, emulator: PurviewEmulator
) -> None:
    """A held batch is found and resolved, and its history has the user and the reason."""
    emulator.faults.next(Fault(reset_after_last_byte=True))
    with Input(python, home, searches.splunkd):
        searches.run(HEADER + ROW, args=("profile=leavers", "wait=60", "output=summary"))
    queue = rest.request("GET", "queue").document
    assert queue["sender"]["alive"] is True
    (connector,) = queue["connectors"]
    assert [item["state"] for item in connector["items"]] == ["HELD"]
    (held,) = rest.request("GET", "held").document["batches"]
    batch = held["id"]
    assert held["connector"] == connector["connector"] == "leavers"
    assert "portal" in held["next_step"]

    assert rest.request("POST", f"batches/{batch}/resolve", outcome="sent").status == 400
    assert rest.request("POST", f"batches/{batch}/requeue", why="wrong state").status == 409
    answer = rest.request("POST", f"batches/{batch}/resolve", outcome="sent", why="RecordsSaved is 1")
    assert answer.document["state"] == "SENT"
    history = rest.request("GET", f"batches/{batch}").document["history"]
    assert [(event["by"], event["why"]) for event in history if "by" in event] == [
        ("adm", "RecordsSaved is 1")
    ]
    assert rest.request("GET", "held").document["batches"] == []


def test_a_new_secret_ends_the_pause(
    rest: RestHandler, searches: Searches, python: str, home: SplunkHome, emulator: PurviewEmulator
) -> None:
    """A connector that was paused for its secret sends as soon as the right one is saved."""
    rest.request("POST", "connectors/leavers", secret="emulator-only-wrong")
    with Input(python, home, searches.splunkd):
        args = ("profile=leavers", "wait=60", "output=summary")
        replies, _ = searches.run(HEADER + ROW, args=args)
        assert summary(replies[-1].body)["state"] == "paused"
        rest.request("POST", "connectors/leavers", secret=SECRET)
        more = ROW.replace(b"sarad", b"bradh")
        replies, _ = searches.run(HEADER + more, args=args)
        assert summary(replies[-1].body)["state"] == "sent"
        assert _within(10, lambda: not searches.splunkd.state.messages)
    assert rest.request("POST", "connectors/leavers/resume").document["resumed"] == 0
    assert rest.request("POST", "connectors/second/resume").status == 409


def test_a_pause_that_cannot_be_ended_does_not_hide_that_the_secret_is_saved(
    rest: RestHandler, searches: Searches, python: str, home: SplunkHome, emulator: PurviewEmulator
) -> None:
    """The reply says that the secret is saved and how to end the pause; without a pause it says nothing."""
    rest.request("POST", "connectors/leavers", secret="emulator-only-wrong")
    with Input(python, home, searches.splunkd):
        searches.run(HEADER + ROW, args=("profile=leavers", "wait=60"))
    with (home.outbox / f"emulator-{JOB}" / "sender.lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = rest.request("POST", "connectors/leavers", secret=SECRET)
    assert (answer.status, answer.document["secret_saved"]) == (200, True)
    assert answer.document["next_step"].startswith("The secret is saved, but the pause was not ended (")
    assert answer.document["next_step"].endswith("). Send `POST irmexport/connectors/NAME/resume`.")
    assert searches.splunkd.state.passwords["irmexport:leavers:"].endswith(f":{SECRET}")
    assert rest.request("POST", "connectors/leavers/resume").document["resumed"] == 1
    with (home.outbox / f"emulator-{JOB}" / "sender.lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = rest.request("POST", "connectors/leavers", secret=SECRET)
    assert (answer.status, "next_step" in answer.document) == (200, False)


@pytest.mark.needs("root")
def test_an_outbox_directory_of_another_user_is_refused(rest: RestHandler, home: SplunkHome) -> None:
    """Its owner could put files there that decide where rows go."""
    assert rest.request("GET", "queue").status == 200
    os.chown(home.outbox, 65534, -1)
    answer = rest.request("GET", "queue")
    assert answer.status == 400
    assert "the outbox directory belongs to another user (uid 65534)" in answer.document["error"]


def test_the_bulletin_stays_while_a_batch_is_held(
    rest: RestHandler, searches: Searches, python: str, home: SplunkHome, emulator: PurviewEmulator
) -> None:
    """The message about a held batch stays while others are sent, and goes when the batch is resolved."""
    emulator.faults.next(Fault(reset_after_last_byte=True))
    args = ("profile=leavers", "wait=60", "output=summary")
    messages = searches.splunkd.state.messages
    with Input(python, home, searches.splunkd):
        replies, _ = searches.run(HEADER + ROW, args=args)
        assert summary(replies[-1].body)["state"] == "held"
        assert _within(10, lambda: bool(messages))
        replies, _ = searches.run(HEADER + ROW.replace(b"sarad", b"bradh"), args=args)
        assert summary(replies[-1].body)["state"] == "sent"
        (held,) = rest.request("GET", "held").document["batches"]
        assert not _within(2, lambda: not messages)
        assert (
            rest.request("POST", f"batches/{held['id']}/resolve", outcome="sent", why="the log").status == 200
        )
        assert _within(20, lambda: not messages)


def _within(seconds: float, happens: Callable[[], bool]) -> bool:
    """Whether something happens within this time."""
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_a_profile_is_checked_as_it_is_typed(rest: RestHandler, home: SplunkHome) -> None:
    """A valid one returns its columns, an invalid one line, key and next step; neither is logged."""
    shipped = rest.request("GET", "profiles").document["shipped"]
    assert {one["name"]: one["text"] for one in shipped} == {n: shipped_text(n) for n in shipped_names()}
    (first,) = (one for one in shipped if one["name"] == "leaver-prediction")
    good = rest.request("POST", "profiles/check", profile_yaml=first["text"]).document
    assert (good["good"], good["trouble"]) == (True, None)
    assert [column["header"] for column in good["columns"]] == list(COLUMNS)

    wrong = rest.request(
        "POST", "profiles/check", profile_yaml=first["text"].replace("type: number", "typ: number")
    )
    assert (wrong.status, wrong.document["good"]) == (200, False)
    assert re.fullmatch(r"profile:[0-9]+", wrong.document["trouble"]["where"])
    assert "type" in wrong.document["trouble"]["next_step"]
    assert rest.request("POST", "profiles/check", profile="leaver-prediction").status == 400
    assert not home.log.exists()


def test_profiles_tell_of_published_limits(rest: RestHandler) -> None:
    """A profile alone when it is checked, and all enabled connectors together in their list."""
    text = shipped_text("daily-activities")
    alone = rest.request("POST", "profiles/check", profile_yaml=text).document["limits"]
    assert [(one["text"][:47], one["passed"]) for one in alone] == [
        ("daily-activities: 10 of at most 10 custom indic", False),
        ("Box, Dropbox: if the tenant uses Microsoft's ow", False),
    ]
    more = text.replace("      - UsbCopy\n", "      - UsbCopy\n      - Print\n")
    passed = rest.request("POST", "profiles/check", profile_yaml=more).document["limits"]
    assert ("11 of at most 10" in passed[0]["text"], passed[0]["passed"]) == (True, True)
    for name, profile in (("access", "daily-access"), ("cloud", "daily-cloud")):
        form = {"job_id": f"{'1' if name == 'cloud' else '2'}1111111-1111-4111-8111-111111111111"}
        form |= {"tenant_id": form["job_id"], "app_id": form["job_id"]}
        assert rest.request("POST", "connectors", name=name, profile=profile, **form).status in (200, 201)
    together = rest.request("GET", "connectors").document["limits"]
    assert "of at most 10 custom indicators of a tenant (https://learn.microsoft.com" in together[0]["text"]
    assert "read on 2026-11-30" in together[0]["text"]
    assert together[0]["passed"]


SAMPLES = {
    "csv": """\
UserPrincipalName,PredictionTime,PredictionScore,ModelInfo
SaraD@contoso.com,2023-04-24T05:52:56Z,9,M1
bradh,2023-04-24T05:52:57Z,3,M1
""",
    "json": """\
{"UserPrincipalName": "SaraD@contoso.com", "PredictionTime": "2023-04-24T05:52:56Z", "PredictionScore": 9, \
"ModelInfo": "M1"}
{"UserPrincipalName": "bradh", "PredictionTime": "2023-04-24T05:52:57Z", "PredictionScore": 3, \
"ModelInfo": "M1"}
""",
}


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_a_sample_is_shown_as_it_would_be_sent(rest: RestHandler, home: SplunkHome, sample: str) -> None:
    """Shaped rows and refused ones are returned; no row is stored, queued or logged."""
    text = shipped_text("leaver-prediction")
    shown = rest.request("POST", "profiles/check", profile_yaml=text, sample=sample).document["preview"]
    assert shown["header"] == list(COLUMNS)
    ((user, time, score, model),) = shown["rows"]
    assert (user, time[:19], score, model) == ("sarad@contoso.com", "2023-04-24T05:52:56", "9", "M1")
    ((line, column, reason),) = [(bad["line"], bad["column"], bad["reason"]) for bad in shown["refused"]]
    assert (column, reason) == ("UserPrincipalName", "upn-without-domain")
    assert line == (3 if sample.startswith("User") else 2)
    assert shown["counts"] == {"read": 2, "shaped": 1, "merged": 0, "skipped": 0, "rejected": 1}
    assert b"contoso" not in home.everything_written()


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("UserPrincipalName\nsarad@contoso.com\n", "PredictionTime"),
        ('UserPrincipalName,"Pred\n', "header line"),
    ],
)
def test_an_unreadable_sample_is_reported(rest: RestHandler, sample: str, expected: str) -> None:
    """With a missing column or an open quote the profile is still valid, and the error is the sample's."""
    text = shipped_text("leaver-prediction")
    answer = rest.request("POST", "profiles/check", profile_yaml=text, sample=sample).document
    assert (answer["good"], answer["preview"]) == (True, None)
    assert expected in answer["trouble"]["error"] + answer["trouble"]["next_step"]


def test_a_sample_that_is_too_long_is_refused(rest: RestHandler) -> None:
    """A preview of only its beginning would hide errors in the rest."""
    text = shipped_text("leaver-prediction")
    answer = rest.request("POST", "profiles/check", profile_yaml=text, sample="x" * (64 * 1024 + 1))
    assert answer.status == 400
    assert "64 KiB" in answer.document["next_step"]


def test_an_unknown_endpoint_is_a_404(rest: RestHandler, splunkd: SplunkdRest) -> None:
    """The method does not matter; a request without the name of its connector or batch is unknown too."""
    splunkd.sign_in("second-session", "eve", "irmexport_release")
    own = ["GET x", "DELETE connectors", "GET batches", "POST batches//resolve", "POST person", "POST queue"]
    for text in (*own, "PUT queue", "GET connectors/leavers/test", "POST release_irmexport/batches"):
        method, path = text.split()
        key = "second-session" if path.startswith("release") else "admin-session"
        answer = rest.request(method, path, key=key, outcome="release", why="x")
        assert (answer.status, answer.document["error"]) == (404, "there is no such endpoint"), text
