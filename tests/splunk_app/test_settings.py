"""The app's conf files, as far as AppInspect does not check them."""

from __future__ import annotations

import ast
import configparser
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from irmcore.errors import ConfigurationError
from irmcore.profile import parse, shipped_text
from irmsplunk.export.fields import with_fields
from irmsplunk.search.alert_payload import DEFAULT_WAIT, LONGEST_WAIT, PARAMS, export_request
from irmsplunk.search.search_job import DEFAULT_MAX_RESULTS
from irmsplunk.splunk.kv_store import COLLECTION

ROOT = Path(__file__).parent.parent.parent
APP = ROOT / "splunk_app"
GLUE = APP / "bin" / "irmsplunk"
CONFS = sorted(APP.glob("default/*.conf"))


def conf(path: Path) -> configparser.ConfigParser:
    """The stanzas of a conf file."""
    parser = configparser.ConfigParser(
        interpolation=None, strict=True, delimiters=("=",), default_section="-"
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    parser.read_string(re.sub(r"^\[\]$", "[everything]", text, flags=re.MULTILINE), str(path))
    return parser


@pytest.mark.parametrize("path", CONFS, ids=lambda path: path.name)
def test_each_conf_file_can_be_read(path: Path) -> None:
    """It parses, with no duplicate stanza or key."""
    assert conf(path).sections()


def test_our_conf_is_declared_reloaded_and_replicated() -> None:
    """A search head cluster replicates the connectors, and saving one needs no restart."""
    name = "irmexport_connectors"
    assert (APP / "README" / f"{name}.conf.spec").exists()
    assert conf(APP / "default" / "app.conf")["triggers"][f"reload.{name}"] == "simple"
    cluster = conf(APP / "default" / "server.conf")["shclustering"]
    assert cluster[f"conf_replication_include.{name}"] == "true"


def test_the_spec_has_exactly_the_settings_of_the_code() -> None:
    """None is missing, and none is left over."""
    source = ast.parse((GLUE / "splunk" / "connectors.py").read_text(encoding="utf-8"))
    settings = next(
        ast.literal_eval(node.value)
        for node in source.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SETTINGS"
    )
    spec = (APP / "README" / "irmexport_connectors.conf.spec").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+) = <|^(\w+) = [a-z]", spec, re.MULTILINE)) == {
        pair
        for key in (*settings, "disabled")
        for pair in [(key, "") if re.search(rf"^{key} = <", spec, re.MULTILINE) else ("", key)]
    }


def test_the_command_is_risky_and_runs_in_no_preview() -> None:
    """It sends data out of Splunk: links and dashboards must ask first, and a preview must not send."""
    command = conf(APP / "default" / "commands.conf")["irmexport"]
    assert command["chunked"] == "true"
    assert command["is_risky"] == "true"
    assert command["run_in_preview"] == "false"


def test_the_rest_endpoint_asks_for_sign_in_and_capability() -> None:
    """Only users with the capability reach the code that gets the system's session key."""
    stanza = conf(APP / "default" / "restmap.conf")["script:irmexport"]
    assert stanza["requireAuthentication"] == "true"
    assert stanza["capability"] == "irmexport_configure"
    assert stanza["passSystemAuth"] == "true"


def test_every_entry_point_names_the_pythons() -> None:
    """Splunk 10 requires python.required; older versions need it declared in the spec files."""
    for name, stanza in (
        ("commands", "irmexport"),
        ("restmap", "script:irmexport"),
        ("inputs", "irmexport"),
        ("inputs", "irmexport_alerts"),
        ("alert_actions", "irmexport"),
    ):
        settings = conf(APP / "default" / f"{name}.conf")[stanza]
        assert settings["python.required"] == "3.9,3.13"
        assert settings["python.version"] == "python3"
        spec = (APP / "README" / f"{name}.conf.spec").read_text(encoding="utf-8")
        assert "python.required = " in spec


def test_the_alert_action_is_bounded_and_gets_all_rows_it_may() -> None:
    """The conf file matches the code: maxresults, the default wait, and time for the longest wait."""
    action = conf(APP / "default" / "alert_actions.conf")["irmexport"]
    assert (action["is_custom"], action["payload_format"]) == ("1", "json")
    assert int(action["maxresults"]) == DEFAULT_MAX_RESULTS
    minutes = re.fullmatch(r"(\d+)m", action["maxtime"])
    assert minutes
    assert int(minutes[1]) * 60 >= 2 * LONGEST_WAIT
    assert int(action["param.wait"]) == DEFAULT_WAIT
    assert not [key for key in action if key.startswith("alert.execute")]  # splunkd starts bin/irmexport.py


#: The keys of `param._cam` (Common Information Model Add-on Manual, custom alert action with an adaptive
#: response).
CAM = {
    *("category", "task", "subject", "technology", "supports_adhoc", "supports_cloud", "drilldown_uri"),
    *("field_name_params", "required_params"),
}


def test_the_action_is_described_to_enterprise_security() -> None:
    """`param._cam` is one line of JSON with known keys, and offers the action for single findings too."""
    text = conf(APP / "default" / "alert_actions.conf")["irmexport"]["param._cam"]
    cam = json.loads(text)
    assert set(cam) == CAM
    assert cam["supports_adhoc"] is cam["supports_cloud"] is True
    assert cam["drilldown_uri"]  # a blank one is worse than none
    for key in ("category", "task", "subject"):
        assert cam[key]
        assert all(isinstance(value, str) and value for value in cam[key])
    assert all({"vendor", "product", "version"} == set(technology) for technology in cam["technology"])
    for param in cam["required_params"]:
        with pytest.raises(ConfigurationError):
            export_request({**dict.fromkeys(PARAMS, ""), param: ""})
    assert set(cam["required_params"]) | set(cam["field_name_params"]) <= set(PARAMS)


def test_each_parameter_is_in_form_spec_and_validation() -> None:
    """The form has the parameters of the action, and splunkd validates each when a search is saved."""
    form = (APP / "default" / "data" / "ui" / "alerts" / "irmexport.html").read_text(encoding="utf-8")
    spec = (APP / "README" / "savedsearches.conf.spec").read_text(encoding="utf-8")
    own = (APP / "README" / "alert_actions.conf.spec").read_text(encoding="utf-8")
    checked = conf(APP / "default" / "restmap.conf")["validation:savedsearch"]
    assert set(re.findall(r'name="action\.irmexport\.param\.(\w+)"', form)) == set(PARAMS)
    assert set(re.findall(r"^action\.irmexport\.param\.(\w+) = ", spec, re.MULTILINE)) == set(PARAMS)
    assert set(re.findall(r"^param\.([a-z]\w*) = ", own, re.MULTILINE)) == set(PARAMS)
    assert {key.rpartition(".")[2] for key in checked} == set(PARAMS)
    ElementTree.fromstring(form)  # noqa: S314 - our own


VALUES = (
    *("", "0", "1", "30", "300", "301", "-1", "x", "leavers", "Leavers", "default"),
    *("A=b", "A=b, C=d", "A=", "a b"),
)


@pytest.mark.parametrize("param", PARAMS)
def test_splunkd_refuses_what_the_action_would_refuse(param: str) -> None:
    """The expression for each parameter accepts exactly what the action accepts."""
    rule = conf(APP / "default" / "restmap.conf")["validation:savedsearch"][f"action.irmexport.param.{param}"]
    found = re.fullmatch(r"validate\( match\('([\w.]+)', \"([^\"]+)\"\), \"irmexport: [^\"]+\.\"\)", rule)
    assert found
    assert found[1] == f"action.irmexport.param.{param}"
    profile = parse(shipped_text("leaver-prediction"), "it")
    for value in VALUES:
        try:
            request, _ = export_request({"profile": "leavers", param: value})
            with_fields(profile, request.fields, ())
            valid = True
        except ConfigurationError as error:
            valid = "has no column" in str(error)
        assert bool(re.search(found[2], value)) == valid, value


def test_splunks_own_names_are_nobodys_in_hr_data() -> None:
    """CIM's `user` and `src_user` may be the HR user or the manager; the employee is the column of that name.

    CIM, Change: `user` made the change, except in account changes, where `user` was changed by `src_user`.
    """
    header = ("user", "src_user", "_time", "EmailAddress", "EffectiveDate", "OldLevel", "NewLevel")
    profile = parse(shipped_text("hr-job-level-changes"), "it")
    assert with_fields(profile, "", header) == (profile, {})
    assert with_fields(profile, "", header[:3]) == (profile, {})  # then the header lacks a field
    named, _ = with_fields(profile, "EmailAddress=employee", (*header[:3], "employee"))
    assert named.columns[0].field == "employee"


def test_every_search_head_sends() -> None:
    """Each has its own outbox, and a cluster does not replicate inputs.conf, so the input ships enabled."""
    inputs = conf(APP / "default" / "inputs.conf")
    assert inputs["irmexport"]["run_only_one"] == "false"
    assert inputs["irmexport://main"]["disabled"] == "0"
    assert inputs["irmexport_alerts://main"]["disabled"] == "1"


def test_no_role_of_splunk_but_administrators_gets_anything() -> None:
    """The app grants two capabilities to administrators, and one each to the roles that it ships."""
    roles = conf(APP / "default" / "authorize.conf")
    ours = {"irmexport_run", "irmexport_configure"}
    granted = {name: set(roles[name]) for name in roles.sections() if name.startswith("role_")}
    assert granted == {
        "role_admin": ours,
        "role_sc_admin": ours,
        "role_irmexport_user": {"irmexport_run"},
        "role_irmexport_releaser": {"irmexport_release"},
    }
    capabilities = {name[12:] for name in roles.sections() if name.startswith("capability::")}
    assert capabilities == {*ours, "irmexport_release"}


def test_permissions_and_exports() -> None:
    """Only administrators write, and only the system user reads or writes queued rows.

    What searches of other apps may use is exported, and the capabilities.
    """
    meta = conf(APP / "metadata" / "default.meta")
    access = {name: stanza["access"] for name, stanza in meta.items() if "access" in stanza}
    system = "read : [ splunk-system-role ], write : [ splunk-system-role ]"
    assert access.pop(f"collections/{COLLECTION}") == system
    assert all("write : [ admin, sc_admin ]" in rights for rights in access.values())
    exported = {name for name, stanza in meta.items() if stanza.get("export") == "system"}
    searches = {"commands", "searchbnf", "alert_actions", "alerts", "macros", "transforms", "lookups"}
    assert exported == searches | {"authorize", "props", "eventtypes", "tags"}


def test_the_collection_keeps_queued_rows_on_the_search_heads() -> None:
    """Indexers get no copy, and a field of another type is refused."""
    assert dict(conf(APP / "default" / "collections.conf")[COLLECTION]) == {
        "enforceTypes": "true",
        "field.value": "string",
        "replicate": "false",
    }


def test_connectors_are_read_only_by_roles_of_the_app() -> None:
    """Neither is the secret, by a role that may list passwords but does not administrate."""
    meta = conf(APP / "metadata" / "default.meta")
    readers = {name: re.findall(r"read : \[ (.*?) \]", s.get("access", "")) for name, s in meta.items()}
    assert readers["irmexport_connectors"] == ["admin, sc_admin, irmexport_user"]
    assert readers["passwords"] == ["admin, sc_admin"]


def test_searches_reach_only_the_endpoint_that_sends() -> None:
    """It has a capability and an address of its own, and Splunk Web does not expose it to browsers."""
    stanza = conf(APP / "default" / "restmap.conf")["script:send_irmexport"]
    assert (stanza["match"], stanza["capability"]) == ("/send_irmexport", "irmexport_run")
    assert stanza["requireAuthentication"] == "true"
    web = conf(APP / "default" / "web.conf")
    exposed = {stanza["pattern"] for name, stanza in web.items() if ":" in name}
    assert exposed == {"irmexport/**", "release_irmexport/**"}


def test_a_second_person_reaches_only_the_endpoint_for_releases() -> None:
    """It has a capability of its own, which no role of an administrator has."""
    stanza = conf(APP / "default" / "restmap.conf")["script:release_irmexport"]
    assert (stanza["match"], stanza["capability"]) == ("/release_irmexport", "irmexport_release")
    assert stanza["requireAuthentication"] == "true"
    assert conf(APP / "default" / "web.conf")["expose:release_irmexport"]["methods"] == "GET,POST"


def test_the_peoples_names_stay_on_the_search_head() -> None:
    """The lookups are not sent to the search peers."""
    denied = conf(APP / "default" / "distsearch.conf")["replicationDenylist"]
    assert "lookups" in denied["irmexport_lookups"]


def imports(path: Path, seen: set[str]) -> set[str]:
    """Every module of irmsplunk that a module imports, directly or indirectly."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("irmsplunk"):
            base = (node.module or "").partition(".")[2]
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            file = GLUE / f"{name.replace('.', '/')}.py"
            if file.exists() and name not in seen:
                seen.add(name)
                imports(file, seen)
    return seen


def test_the_analysts_process_imports_no_access_to_passwords() -> None:
    """Command and alert action import nothing that reads storage/passwords, not even indirectly."""
    found = imports(APP / "bin" / "irmexport_command.py", set()) | imports(
        GLUE / "search" / "alert_action.py", set()
    )
    assert {
        *("search.command", "search.results_file"),
        *("export.queueing", "splunk.connectors", "splunk.splunkd"),
    } <= found
    assert not found & {"splunk.passwords", "sender.sender", "rest.handler", "rest.connectors"}
    for name in found:
        assert "storage/passwords" not in (GLUE / f"{name.replace('.', '/')}.py").read_text(
            encoding="utf-8"
        ).replace("in storage/passwords, under", "")


@pytest.mark.parametrize(
    "script",
    [
        "irmexport.py",
        "irmexport_alerts.py",
        "irmexport_command.py",
        "irmexport_rest.py",
        "irmsplunk/__init__.py",
        "irmsplunk/supported.py",
    ],
)
def test_the_entry_scripts_parse_on_older_pythons(script: str) -> None:
    """A Splunk with Python 3.7 shows one clear message instead of a syntax error."""
    ast.parse((APP / "bin" / script).read_text(encoding="utf-8"), feature_version=(3, 7))
