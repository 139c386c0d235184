"""The app's conf files: what AppInspect does not look at."""

from __future__ import annotations

import ast
import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
APP = ROOT / "splunk_app"
GLUE = APP / "bin" / "irmsplunk"
CONFS = sorted(APP.glob("default/*.conf"))


def conf(path: Path) -> configparser.ConfigParser:
    """A conf file's stanzas."""
    parser = configparser.ConfigParser(
        interpolation=None, strict=True, delimiters=("=",), default_section="-"
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    parser.read_string(re.sub(r"^\[\]$", "[everything]", text, flags=re.MULTILINE), str(path))
    return parser


@pytest.mark.parametrize("path", CONFS, ids=lambda path: path.name)
def test_each_conf_file_can_be_read(path: Path) -> None:
    """No stanza and no key stands twice; a conf of ours has its spec, reload trigger and replication."""
    assert conf(path).sections()


def test_our_conf_is_declared_reloaded_and_replicated() -> None:
    """A search head cluster gets the connectors, and saving one needs no restart."""
    name = "irmexport_connectors"
    assert (APP / "README" / f"{name}.conf.spec").exists()
    assert conf(APP / "default" / "app.conf")["triggers"][f"reload.{name}"] == "simple"
    cluster = conf(APP / "default" / "server.conf")["shclustering"]
    assert cluster[f"conf_replication_include.{name}"] == "true"


def test_the_spec_has_every_setting_the_code_knows() -> None:
    """And no other."""
    source = ast.parse((GLUE / "connectors.py").read_text(encoding="utf-8"))
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
    """It sends data out: links and dashboards must ask, and a preview must not send."""
    command = conf(APP / "default" / "commands.conf")["irmexport"]
    assert command["chunked"] == "true"
    assert command["is_risky"] == "true"
    assert command["run_in_preview"] == "false"


def test_the_rest_endpoint_asks_for_sign_in_and_capability() -> None:
    """The system's session key is passed to code that only a holder of the capability reaches."""
    stanza = conf(APP / "default" / "restmap.conf")["script:irmexport"]
    assert stanza["requireAuthentication"] == "true"
    assert stanza["capability"] == "irmexport_configure"
    assert stanza["passSystemAuth"] == "true"


def test_every_entry_point_names_the_pythons() -> None:
    """Splunk 10 wants python.required; older Splunks want it declared in the spec files."""
    for name, stanza in (
        ("commands", "irmexport"),
        ("restmap", "script:irmexport"),
        ("inputs", "irmexport"),
    ):
        said = conf(APP / "default" / f"{name}.conf")[stanza]
        assert said["python.required"] == "3.9,3.13"
        assert said["python.version"] == "python3"
        spec = (APP / "README" / f"{name}.conf.spec").read_text(encoding="utf-8")
        assert "python.required = " in spec


def test_every_member_of_a_cluster_sends() -> None:
    """Each has an outbox of its own; the input is off until the first connector is saved."""
    inputs = conf(APP / "default" / "inputs.conf")
    assert inputs["irmexport"]["run_only_one"] == "false"
    assert inputs["irmexport://main"]["disabled"] == "1"


def test_no_role_but_administrators_gets_anything() -> None:
    """The app grants its own two capabilities to administrators, and no other capability to anybody."""
    roles = conf(APP / "default" / "authorize.conf")
    ours = {"irmexport_run", "irmexport_configure"}
    assert {name for name in roles.sections() if name.startswith("role_")} == {"role_admin", "role_sc_admin"}
    assert {name[12:] for name in roles.sections() if name.startswith("capability::")} == ours
    for role in ("role_admin", "role_sc_admin"):
        assert set(roles[role]) == ours


def test_what_others_may_see_and_change() -> None:
    """Only administrators write; only the command, its help and its capabilities are everybody's."""
    meta = conf(APP / "metadata" / "default.meta")
    assert all("write : [ admin, sc_admin ]" in s["access"] for s in meta.values() if "access" in s)
    exported = {name for name, stanza in meta.items() if stanza.get("export") == "system"}
    assert exported == {"commands", "searchbnf", "authorize"}


def imports(path: Path, seen: set[str]) -> set[str]:
    """Every module of the glue that a module imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("irmsplunk"):
            names = [(node.module or "").partition(".")[2], *(alias.name for alias in node.names)]
        for name in names:
            file = GLUE / f"{name}.py"
            if file.exists() and name not in seen:
                seen.add(name)
                imports(file, seen)
    return seen


def test_the_analysts_path_knows_no_vault() -> None:
    """The command imports nothing that reads storage/passwords, at no depth."""
    found = imports(APP / "bin" / "irmexport_command.py", set())
    assert {"command", "handover", "connectors", "splunkd"} <= found
    assert not found & {"vault", "sender", "rest", "connector_routes"}
    for name in found:
        assert "storage/passwords" not in (GLUE / f"{name}.py").read_text(encoding="utf-8").replace(
            "in storage/passwords, under", ""
        )


@pytest.mark.parametrize("script", ["irmexport.py", "irmexport_command.py", "irmexport_rest.py"])
def test_the_entry_scripts_parse_on_older_pythons(script: str) -> None:
    """So that Splunk with Python 3.7 gets one clear message instead of a syntax error."""
    ast.parse((APP / "bin" / script).read_text(encoding="utf-8"), feature_version=(3, 7))
