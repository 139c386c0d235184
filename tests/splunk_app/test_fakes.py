"""The fakes of splunkd are strict: they do not accept what splunkd would not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from irmsplunk.splunk.splunkd import Splunkd, SplunkdRefused, current_user

from tests.fakes.splunk_cluster import replicate
from tests.fakes.splunk_conf import read_conf
from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_alert import Alert
from tests.fakes.splunkd_rest import Cut, SplunkdRest
from tests.fakes.splunkd_search import ProtocolBroken, SearchProcess, SearchSettings, run

READ = """
import sys
i, o = sys.stdin.buffer, sys.stdout.buffer
def request():
    head = i.readline()
    if not head: return None
    a, b = map(int, head.split(b",")[1:])
    return i.read(a), i.read(b)
def reply(body=b"", m=b"{}"):
    o.write(b"chunked 1.0,%d,%d\\n" % (len(m), len(body)) + m + body); o.flush()
"""
ECHO = READ + "while True:\n r = request()\n if r is None: break\n reply(r[1])\n"


def process(source: str, tmp_path: Path) -> SearchProcess:
    """A command of a few lines of Python."""
    return SearchProcess([sys.executable, "-c", source], SearchSettings((), tmp_path), {})


def test_a_well_behaved_command_passes(tmp_path: Path) -> None:
    """It echoes every body."""
    _, replies, code = run(process(ECHO, tmp_path), [b"a\n1\n" * 50_000, b""], last=b"x")
    assert [reply.body for reply in replies] == [b"a\n1\n" * 50_000, b"", b"x"]
    assert code == 0


BROKEN = {
    "answers before it has read": READ
    + "request(); reply()\ni.readline(); reply()\nimport time; time.sleep(30)\n",
    "answers twice": READ
    + "request(); reply(); request(); o.write(b'chunked 1.0,2,0\\n{}' * 2); o.flush()\n",
    "writes no head": READ + "request(); o.write(b'hello\\n'); o.flush()\n",
    "ends without an answer": READ + "request()\n",
    "says something at the end": READ + "request(); reply(); request(); reply(); i.read(); o.write(b'x')\n",
}


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN.keys())
def test_a_command_that_breaks_the_protocol_fails_the_test(source: str, tmp_path: Path) -> None:
    """Each violation raises."""
    command = process(source, tmp_path)
    try:
        with pytest.raises((ProtocolBroken, BrokenPipeError)):
            run(command, [], last=b"user\n" * 200_000)
    finally:
        command.kill()


SECRETS = "/servicesNS/nobody/irmexport/storage/passwords"
CONNECTORS = "/servicesNS/nobody/irmexport/configs/conf-irmexport_connectors"


@pytest.mark.parametrize(
    ("key", "method", "path", "status"),
    [
        ("unknown", "get", CONNECTORS, 401),
        ("analyst-session", "get", CONNECTORS, 200),
        ("analyst-session", "post", CONNECTORS, 403),
        ("analyst-session", "get", SECRETS, 403),
        ("analyst-session", "post", SECRETS, 403),
        ("system-session", "get", SECRETS, 200),
        ("system-session", "get", f"{CONNECTORS}/none", 404),
        ("analyst-session", "post", "/servicesNS/nobody/irmexport/data/inputs/irmexport/main/enable", 403),
        ("analyst-session", "get", "/services/elsewhere", 404),
    ],
)
def test_splunkd_checks_the_capabilities_of_a_user(
    splunkd: SplunkdRest, key: str, method: str, path: str, status: int
) -> None:
    """Secrets, conf files and inputs require their capabilities; an unknown session may do nothing."""
    client = Splunkd(splunkd.uri, key)
    form = {"name": "x", "password": "y"}
    message = ""
    try:
        _ = client.get(path) if method == "get" else client.post(path, form)
        answered = 200
    except SplunkdRefused as refused:
        answered, message = refused.status, str(refused)
    assert answered == status
    assert key not in message


@pytest.mark.parametrize(("cut", "created"), [(Cut.BEFORE, []), (Cut.AFTER, ["x"])])
def test_a_connection_can_be_lost(splunkd: SplunkdRest, cut: Cut, created: list[str]) -> None:
    """Before the request was served, or after it."""
    splunkd.state.cut = lambda method, _: cut if method == "POST" else Cut.NEVER
    client = Splunkd(splunkd.uri, "system-session")
    with pytest.raises(SplunkdRefused, match="cannot be reached"):
        client.post(CONNECTORS, {"name": "x"})
    names = [entry["name"] for entry in client.get(CONNECTORS)["entry"]]
    assert [name for name in names if name == "x"] == created


def test_only_its_owner_sees_a_search(splunkd: SplunkdRest) -> None:
    """For others, neither its job nor its settings exist."""
    splunkd.state.jobs["1.2"] = {"owner": "ana", "resultCount": 3}
    splunkd.state.searches["mine"] = {"owner": "ana", "cron_schedule": "* * * * *"}
    for path in ("/services/search/jobs/1.2", "/servicesNS/ana/search/saved/searches/mine"):
        (entry,) = Splunkd(splunkd.uri, "analyst-session").get(path)["entry"]
        assert "owner" not in entry["content"]
        with pytest.raises(SplunkdRefused, match="no object of this name"):
            Splunkd(splunkd.uri, "guest-session").get(path)


@pytest.mark.parametrize("line", ["print('hello')", "sys.stderr.write('no level\\n')"])
def test_an_alert_action_with_invalid_output_fails_the_test(
    splunkd: SplunkdRest, tmp_path: Path, line: str
) -> None:
    """Output on standard output, or a line without a level on standard error, raises."""
    home = SplunkHome(tmp_path)
    home.bin.mkdir(parents=True)
    (home.bin / "irmexport.py").write_text(f"import sys\nsys.stdin.read()\n{line}\n")
    with pytest.raises(AssertionError):
        Alert(sys.executable, home, splunkd).fire(b"a\n1\n")
    (home.bin / "irmexport.py").write_text("import sys\nsys.stderr.write('WARN it is so\\n')\nsys.exit(3)\n")
    ended = Alert(sys.executable, home, splunkd).fire(b"a\n1\n")
    assert (ended.code, ended.messages) == (3, [("WARN", "it is so")])


def test_splunkd_reports_the_user_of_a_session(splunkd: SplunkdRest) -> None:
    """The app relies on the name and the capabilities."""
    assert current_user(Splunkd(splunkd.uri, "analyst-session")) == (
        "ana",
        frozenset({"search", "irmexport_run"}),
    )


def test_a_certificate_is_verified_except_on_loopback() -> None:
    """A session key is not sent to a host that cannot prove its name."""
    remote = Splunkd("https://splunk.example:8089", "key")._connection()  # noqa: SLF001 - no server is needed
    context = remote._context  # type: ignore[attr-defined]  # noqa: SLF001
    assert context.check_hostname
    assert "key" not in repr(Splunkd("https://splunk.example:8089", "key"))


def test_a_conf_file_is_read_as_splunkd_reads_it(tmp_path: Path) -> None:
    """Continued lines, settings before the first stanza, `=` in a value; a repetition is an error."""
    file = tmp_path / "x.conf"
    file.write_text("# note\nfirst = 1\n[a]\nsearch = x=1 \\\n| y\nempty =\n[]\nz = 2\n")
    assert read_conf(file) == {
        "default": {"first": "1"},
        "a": {"search": "x=1 \n| y", "empty": ""},
        "": {"z": "2"},
    }
    for text in ("[a]\nb = 1\nb = 2\n", "[a]\n[a]\n", "[a]\nno setting\n"):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"x\.conf: \[a\]"):
            read_conf(file)


def test_roles_read_what_the_metadata_lets_them(splunkd: SplunkdRest) -> None:
    """Of local.meta for an object before the app's for its kind; what may not be read does not exist."""
    analyst, guest = (Splunkd(splunkd.uri, f"{name}-session") for name in ("analyst", "guest"))
    assert len(analyst.get(CONNECTORS)["entry"]) == 1
    assert guest.get(CONNECTORS)["entry"] == []
    with pytest.raises(SplunkdRefused, match="no object of this name"):
        guest.get(f"{CONNECTORS}/leavers")
    splunkd.state.local_meta["irmexport_connectors/leavers"] = ("user",)
    assert guest.get(f"{CONNECTORS}/leavers")["entry"]
    splunkd.state.local_meta["irmexport_connectors/leavers"] = ("admin",)
    assert analyst.get(CONNECTORS)["entry"] == []


@pytest.mark.parametrize("version", ["9.3.2", "10.2.3"])
def test_a_cluster_replicates_what_splunk_does_and_nothing_else(
    splunkd: SplunkdRest, tmp_path: Path, version: str
) -> None:
    """Connectors and passwords arrive; inputs, other settings of the machine, messages and jobs do not."""
    (tmp_path / "member").mkdir()
    member = SplunkdRest(tmp_path / "member")
    for name in ("inputs", "server", "web", "restmap", "app", "distsearch"):
        splunkd.state.confs[name] = {"x": {"y": "z"}}
    splunkd.state.local_inputs["irmexport://main"] = {"disabled": "1"}
    splunkd.state.messages["m"] = splunkd.state.jobs["1.2"] = {}  # type: ignore[assignment]
    replicate(splunkd, [member], version)
    assert set(member.state.confs) == {"irmexport_connectors"}
    assert member.state.passwords == splunkd.state.passwords
    assert (member.state.messages, member.state.jobs) == ({}, {})
    assert member.state.enabled_inputs == {"irmexport://main"}
    assert splunkd.state.enabled_inputs == set()


def test_an_own_endpoint_requires_its_capability(splunkd: SplunkdRest) -> None:
    """As the app's restmap.conf says; without a process behind it, the answer is an error."""
    for key, status in (("guest-session", 403), ("analyst-session", 500)):
        with pytest.raises(SplunkdRefused) as raised:
            Splunkd(splunkd.uri, key).post("/services/send_irmexport", {})
        assert raised.value.status == status
