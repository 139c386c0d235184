"""A client secret is used only for the destination that it was entered for, and changes are logged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from irmcore.errors import ConfigurationError, CredentialError
from irmcore.profile import shipped_text
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import App, Job
from irmsplunk.splunk import connectors, passwords
from irmsplunk.splunk.splunkd import Splunkd

from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_handler import RestHandler
from tests.fakes.splunkd_input import Input
from tests.fakes.splunkd_rest import SplunkdRest
from tests.needs import find_python
from tests.splunk_app.conftest import APP_ID, COLUMNS, JOB, SECRET, TENANT, Searches, save_secret
from tests.splunk_app.test_command import HEADER, ROW
from tests.splunk_app.test_end_to_end import events, summary

pytestmark = pytest.mark.needs("python3.13")
OTHER = "99999999-9999-9999-9999-999999999999"
#: Each setting that decides where the secret or its tokens go, with another value.
ELSEWHERE = {
    "cloud": "gcc-high",
    "tenant_id": OTHER,
    "app_id": OTHER,
    "proxy": "http://127.0.0.1:3128",
    "ca_file": "local/theirs.pem",
    "emulator": "https://127.0.0.1:4443",
    "emulator_ca": "/tmp/theirs.pem",  # noqa: S108 - never read
    "profile_yaml": shipped_text("leaver-prediction").replace(
        "connector:\n", "connector:\n  proxy: http://127.0.0.1:3128\n"
    ),
}


@pytest.fixture
def rest(home: SplunkHome, splunkd: SplunkdRest) -> Iterator[RestHandler]:
    """The handler on the newer Python; the other tests of the endpoint run on both."""
    handler = RestHandler(find_python("3.13") or "", home, splunkd)
    yield handler
    assert not handler.end()


@pytest.fixture
def thief(tmp_path: Path) -> Iterator[PurviewEmulator]:
    """A service under an attacker's control that accepts the connector's IDs."""
    apps, jobs = [App(TENANT, APP_ID, SECRET)], [Job(JOB, APP_ID, "leavers", columns=COLUMNS)]
    with PurviewEmulator(apps, jobs, directory=tmp_path / "thief", lifetime=300) as running:
        yield running
        assert running.entra.token_requests == 0


@pytest.mark.parametrize("key", ELSEWHERE)
def test_another_destination_needs_the_secret_again(
    rest: RestHandler, splunkd: SplunkdRest, key: str
) -> None:
    """Without the secret the change is refused and not saved; with it, the secret is bound to the new one."""
    before = dict(splunkd.state.confs["irmexport_connectors"]["leavers"])
    form = {key: ELSEWHERE[key], **({"profile": ""} if key == "profile_yaml" else {})}
    refused = rest.request("POST", "connectors/leavers", **form)
    assert (refused.status, refused.document["field"]) == (400, "secret")
    assert key in refused.document["error"]
    assert splunkd.state.confs["irmexport_connectors"]["leavers"] == before
    saved = rest.request("POST", "connectors/leavers", secret="mine", **form)
    assert (saved.status, saved.document["secret_saved"]) == (200, True)
    assert splunkd.state.passwords["irmexport:leavers:"].endswith(":mine")


def test_what_sends_the_secret_nowhere_else_needs_no_secret(rest: RestHandler) -> None:
    """Another job, another policy, the same IDs in capital letters."""
    for form in ({"job_id": OTHER}, {"in_doubt": "resend"}, {"tenant_id": TENANT.upper()}, {"disabled": "1"}):
        changed = rest.request("POST", "connectors/leavers", **form)
        assert (changed.status, changed.document["secret_saved"]) == (200, True), form


#: Ways round the endpoint: a stanza edited with splunkd's own REST API, or by hand.
EDITS: dict[str, Callable[[dict[str, dict[str, str]], str, str], str]] = {
    "edited": lambda confs, url, ca: confs["leavers"].update(emulator=url, emulator_ca=ca) or "leavers",
    "upper case": lambda confs, url, ca: (
        confs["leavers"].update(emulator=url.upper().replace("HTTPS", "https"), emulator_ca=ca) or "leavers"
    ),
    "cloned": lambda confs, url, ca: (
        confs.update(evil={**confs["leavers"], "job_id": OTHER, "emulator": url, "emulator_ca": ca}) or "evil"
    ),
    "profile names the other's secret": lambda confs, url, ca: (
        confs.update(
            evil={
                "profile_yaml": shipped_text("leaver-prediction").replace(
                    "secret_file:", "secret_env: irmexport:leavers:  #"
                ),
                "job_id": OTHER,
                "tenant_id": TENANT,
                "app_id": APP_ID,
                "emulator": url,
                "emulator_ca": ca,
            }
        )
        or "evil"
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_neither_test_nor_sender_gives_the_secret_to_another_service(
    rest: RestHandler, splunkd: SplunkdRest, thief: PurviewEmulator, on_3_13: Searches, edit: str
) -> None:
    """After an edit that bypasses the endpoint, no token is requested, and the reply says what to do."""
    confs = splunkd.state.confs["irmexport_connectors"]
    name = EDITS[edit](confs, thief.url, str(thief.ca_file))
    tested = rest.request("POST", f"connectors/{name}/test")
    assert tested.document["good"] is False
    expected = "another destination" if name == "leavers" else "no client secret is saved"
    assert expected in tested.text
    assert SECRET not in tested.text
    assert rest.request("GET", f"connectors/{name}").document["secret_saved"] is False
    with Input(find_python("3.13") or "", on_3_13.home, splunkd):
        replies, _ = on_3_13.run(HEADER + ROW, args=(f"profile={name}", "output=summary", "wait=60"))
    assert summary(replies[-1].body)["state"] == "paused"
    assert SECRET.encode() not in on_3_13.home.everything_written()


def test_a_secret_that_is_moved_to_another_connector_is_refused(splunkd: SplunkdRest) -> None:
    """The name is a part of the destination, so a copied entry of storage/passwords is of no use."""
    confs, saved = splunkd.state.confs["irmexport_connectors"], splunkd.state.passwords
    confs["evil"] = dict(confs["leavers"])
    saved["irmexport:evil:"] = saved["irmexport:leavers:"]
    system = Splunkd(splunkd.uri, "system-session")
    own = connectors.of_stanza("leavers", confs["leavers"]).connection
    assert passwords.read(system, own).reveal() == SECRET
    with pytest.raises(CredentialError, match="another destination"):
        passwords.read(system, connectors.of_stanza("evil", confs["evil"]).connection)


def test_a_secret_without_a_destination_is_not_used(splunkd: SplunkdRest) -> None:
    """One saved by an earlier version, or by hand."""
    splunkd.state.passwords["irmexport:leavers:"] = SECRET
    content = splunkd.state.confs["irmexport_connectors"]["leavers"]
    with pytest.raises(CredentialError, match="another destination") as raised:
        passwords.read(
            Splunkd(splunkd.uri, "system-session"), connectors.of_stanza("leavers", content).connection
        )
    assert "enter the secret again" in raised.value.next_step


@pytest.mark.parametrize(
    "ca_file",
    [
        "/etc/ssl/certs/ca.pem",
        "../../../../etc/passwd",
        "lookups/theirs.csv",
        "local/../lookups/theirs.csv",
        ".",
    ],
)
def test_a_ca_file_outside_the_apps_folder_is_refused(ca_file: str) -> None:
    """Nor from the folder of lookups, which users may upload to."""
    stanza = {"profile": "leaver-prediction", "ca_file": ca_file}
    with pytest.raises(ConfigurationError, match="app's own folder"):
        connectors.of_stanza("leavers", stanza)


def test_a_ca_file_in_a_profile_is_bound_to_the_folder_too() -> None:
    """It is the profile's text that names it, not a setting of the stanza."""
    text = shipped_text("leaver-prediction").replace("connector:\n", "connector:\n  ca_file: /etc/ca.pem\n")
    with pytest.raises(ConfigurationError, match="app's own folder"):
        connectors.of_stanza("leavers", {"profile_yaml": text})


@pytest.mark.parametrize("folder", ["/etc/", "../../other/lookups/", "lookups/"])
@pytest.mark.parametrize(
    "text",
    [
        "identity: {{map: {}people.csv}}",
        "identity: {{directory: {}people.sqlite}}",
        "scope: {{include: {{list: {}people.csv}}}}",
        "scope: {{exclude: {{list: {}people.csv}}}}",
    ],
)
def test_a_profile_reads_no_file_outside_the_apps_folder(text: str, folder: str) -> None:
    """The app would read it with splunkd's rights."""
    profile = f"{shipped_text('leaver-prediction')}\n{text.format(folder)}\n"
    with pytest.raises(ConfigurationError, match="app's own folder"):
        connectors.of_stanza("leavers", {"profile_yaml": profile})
    mine = f"{shipped_text('leaver-prediction')}\n{text.format('local/')}\n"
    assert connectors.of_stanza("leavers", {"profile_yaml": mine})


def test_a_preview_says_nothing_of_a_file_outside_the_apps_folder(rest: RestHandler, tmp_path: Path) -> None:
    """Who is in another app's lookup would show in the counts."""
    (tmp_path / "list.csv").write_text("UserPrincipalName\nana@contoso.com\n")
    scope = f"scope: {{include: {{list: {tmp_path}/list.csv}}}}"
    profile = f"{shipped_text('leaver-prediction')}\n{scope}\n"
    sample = f"{','.join(COLUMNS)}\nana@contoso.com,2023-11-15T00:00:00Z,5,x\n"
    checked = rest.request("POST", "profiles/check", profile_yaml=profile, sample=sample).document
    assert (checked["good"], checked["preview"]) == (False, None)
    assert checked["trouble"]["error"] == "`list` is not in the app's own folder"


def test_a_link_out_of_the_apps_folder_is_refused(
    rest: RestHandler, home: SplunkHome, tmp_path: Path
) -> None:
    """The file itself must be in the folder."""
    local = home.bin.parent / "local"
    local.mkdir()
    (tmp_path / "theirs.pem").write_text("x")
    (local / "ca.pem").symlink_to(tmp_path / "theirs.pem")
    answer = rest.request("POST", "connectors/leavers", secret="x", ca_file="local/ca.pem")
    assert "app's own folder" in answer.document["error"]
    (local / "ca.pem").unlink()
    (local / "ca.pem").write_text("x")
    (local / "ca.pem").chmod(0o644)
    assert rest.request("POST", "connectors/leavers", secret="x", ca_file="local/ca.pem").status == 200


def test_a_ca_file_that_other_users_may_change_is_refused(rest: RestHandler, home: SplunkHome) -> None:
    """Whoever can write to it could read the secret on its way."""
    local = home.bin.parent / "local"
    local.mkdir()
    (local / "ca.pem").write_text("x")
    (local / "ca.pem").chmod(0o666)
    answer = rest.request("POST", "connectors/leavers", secret="x", ca_file="local/ca.pem")
    assert (answer.status, answer.document["field"]) == (400, "ca_file")
    assert "other users may change the `ca_file` (mode 0666)" in answer.document["error"]


def test_a_change_is_logged_with_old_and_new_values(rest: RestHandler, home: SplunkHome) -> None:
    """By whom, and every setting; the secret only as replaced, a long profile as its digest."""
    profile = shipped_text("leaver-prediction")
    rest.request("POST", "connectors/leavers", secret="new-secret", proxy="http://proxy:3128", cloud="gcc")
    rest.request("POST", "connectors/leavers", secret="new-secret", profile="", profile_yaml=profile)
    rest.request("POST", "connectors/leavers", secret="only-this")
    rest.request("DELETE", "connectors/leavers")
    first, second, third, removed = (line for line in events(home, "rest") if line["event"] == "changed")
    assert (first["user"], first["connector"], first["secret_replaced"]) == ("adm", "leavers", True)
    assert first["changes"] == {
        "proxy": {"old": "", "new": "http://proxy:3128"},
        "cloud": {"old": "", "new": "gcc"},
    }
    assert second["changes"]["profile"] == {"old": "leaver-prediction", "new": ""}  # type: ignore[index]
    assert "sha256" in second["changes"]["profile_yaml"]["new"]  # type: ignore[index]
    assert (third["changes"], third["secret_replaced"]) == ({}, True)
    assert removed["changes"]["tenant_id"] == {"old": TENANT, "new": ""}  # type: ignore[index]
    log = home.log.read_text()
    assert not [word for word in ("new-secret", "only-this", SECRET) if word in log]
    assert json.loads(log.splitlines()[0])


BREAKS = ("\n", "\r", "\x00", "\x0b", "\x85", "\u2028", "\u2029")


@pytest.mark.parametrize("key", [*ELSEWHERE, "profile", "job_id", "in_doubt", "disabled", "name", "secret"])
def test_no_setting_takes_a_line_break(rest: RestHandler, splunkd: SplunkdRest, key: str) -> None:
    """It could add a setting or a stanza to a conf file. A backslash at the end would join the next line."""
    if key == "profile_yaml":
        return  # saved as one line of JSON; test_rest.py has its test
    before = json.dumps([splunkd.state.confs, splunkd.state.passwords])
    for value in (*(f"a{character}b" for character in BREAKS), "a\\"):
        for path in ("connectors", "connectors/leavers"):
            form = {"name": "leavers", "profile": "leaver-prediction", key: value}
            answer = rest.request("POST", path, **form)
            assert answer.status == 400, (key, value)
    assert json.dumps([splunkd.state.confs, splunkd.state.passwords]) == before


def test_no_name_of_a_field_takes_a_line_break(rest: RestHandler, splunkd: SplunkdRest) -> None:
    """Its error shows it as one line."""
    answer = rest.request("POST", "connectors/leavers", **{"cloud\n[evil]": "x"})
    assert answer.status == 400
    assert "`cloud [evil]`" in answer.document["error"]
    assert set(splunkd.state.confs["irmexport_connectors"]) == {"leavers"}


def test_a_role_may_be_limited_to_one_connector(
    splunkd: SplunkdRest, on_3_13: Searches, home: SplunkHome
) -> None:
    """Users without a role of the app see no connector; one of a connector's own role sees that one."""
    confs = splunkd.state.confs["irmexport_connectors"]
    confs["badges"] = {**confs["leavers"], "job_id": OTHER}
    save_secret(splunkd, name="badges")
    splunkd.state.local_meta["irmexport_connectors/badges"] = ("admin", "facility")
    splunkd.sign_in("facility-session", "fay", "irmexport_run", roles=("user", "facility"))
    splunkd.sign_in("other-session", "oda", "irmexport_run", roles=("user",))
    allowed = {
        ("analyst-session", "leavers"): True,
        ("analyst-session", "badges"): False,
        ("facility-session", "badges"): True,
        ("facility-session", "leavers"): False,
        ("other-session", "leavers"): False,
    }
    for (key, name), may in allowed.items():
        replies, code = on_3_13.run(HEADER + ROW, args=(f"profile={name}", "wait=0"), session_key=key)
        assert (code == 0) == may, (key, name)
        if not may:
            assert "no connector of this name" in str(replies[-1].messages)
