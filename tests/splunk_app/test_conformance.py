"""Every conf, spec and meta file of the built app against what each supported Splunk knows.

splunkd ignores a setting that it does not know, with a line in a log that nobody reads. `conf_keys.json` has
the names of each version; it says where they come from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from irmsplunk.search.command import _REPLY_ROWS
from irmsplunk.search.search_job import DEFAULT_MAX_RESULTS

from tests.fakes.splunk_cluster import replicated_confs
from tests.fakes.splunk_conf import read_conf
from tests.fakes.splunk_home import SplunkHome

PUBLISHED = json.loads((Path(__file__).parent / "conf_keys.json").read_text(encoding="utf-8"))
VERSIONS = ("9.3.2", "9.4.3", "10.0.2", "10.2.3")
OWN = "irmexport_connectors"
#: Stanzas whose settings have names of one's own, by their spec files: distsearch.conf's
#: `<name> = <string>`, restmap.conf's `<field> = <validation-rule>`, authorize.conf's empty stanza,
#: tags.conf's `<tag1> = <enabled|disabled>`.
FREE = {
    "distsearch": "replicationDenylist",
    "restmap": "validation:<name>",
    "authorize": "capability::<name>",
    "tags": "<fieldname>=<value>",
}
#: A modular input takes the settings of a scripted one, under its scheme and under each input.
LIKE = {
    "inputs": dict.fromkeys(
        ("irmexport", "irmexport://<name>", "irmexport_alerts", "irmexport_alerts://<name>"), "script://<cmd>"
    )
}
#: What default.meta names besides conf files, and its settings (default.meta.conf.spec).
OBJECTS = {"", "alerts", "lookups", "nav", "views"}
META = {"access", "export", "owner"}


@pytest.fixture(scope="module")
def app(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built app, unpacked."""
    return SplunkHome.install(archive, tmp_path_factory.mktemp("conformance")).bin.parent


def matches(pattern: str, name: str) -> bool:
    """Whether a name of a spec file, with `<placeholders>`, stands for this name."""
    parts = re.split(r"<[^>]*>|\.\.\.$", pattern)
    return re.fullmatch(".+".join(map(re.escape, parts)), name, re.DOTALL) is not None


def known(conf: str, stanza: str, version: str) -> set[str] | None:
    """The settings that a version knows in a stanza, with placeholders; None if the stanza is unknown."""
    spec = PUBLISHED["keys"].get(conf, {})
    names = [name for name in spec if name != "default" and matches(name, stanza)]
    names += [like for name, like in LIKE.get(conf, {}).items() if matches(name, stanza)]
    every = spec.get("default", {})
    if not names and stanza != "default" and conf not in {"alert_actions", "searchbnf"}:
        return None  # in these two, `default` describes all stanzas
    found = [every, *(spec[name] for name in names)]
    return {key for keys in found for key, since in keys.items() if since == "all" or version in since}


def declared(app: Path, conf: str, stanza: str) -> set[str]:
    """The settings that the app's own spec file declares for a stanza."""
    path = app / "README" / f"{conf}.conf.spec"
    if not path.exists():
        return set()
    found: set[str] = set()
    applies = True  # before the first stanza: for all
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            applies = matches(line.strip()[1:-1], stanza)
        elif applies and (key := re.match(r"([^\s#*=]+) = ", line)):
            found.add(key[1])
    return found


def unknown(app: Path, conf: str, stanza: str, keys: set[str], version: str) -> Iterator[str]:
    """The stanza, or its settings, that a version does not know and the app does not declare."""
    own, names = declared(app, conf, stanza), known(conf, stanza, version)
    if matches(FREE.get(conf, "-"), stanza) or conf == OWN:
        names = keys if conf != OWN else set()
    if names is None and not own and stanza != "default":
        yield f"{conf}.conf [{stanza}] on {version}"
    for key in keys:
        if not any(matches(name, key) for name in (*(names or ()), *own)):
            yield f"{conf}.conf [{stanza}] {key} on {version}"


@pytest.mark.parametrize("version", VERSIONS)
def test_splunk_knows_every_stanza_and_setting(app: Path, version: str) -> None:
    """Or the app's spec files declare it. A capability that the app defines is a setting of its roles."""
    found = []
    for path in sorted(app.glob("default/*.conf")):
        stanzas = read_conf(path)
        capabilities = {name.partition("::")[2] for name in stanzas if name.startswith("capability::")}
        for stanza, settings in stanzas.items():
            keys = set(settings) - (capabilities if stanza.startswith("role_") else set())
            found += unknown(app, path.stem, stanza, keys, version)
    assert found == []


def test_an_unknown_name_is_found(app: Path) -> None:
    """A misspelt setting, a setting of a later version, a stanza of nobody."""
    assert list(unknown(app, "macros", "x", {"definitoin"}, "10.2.3"))
    assert list(unknown(app, "alert_actions", "other", {"python.required"}, "9.3.2"))
    assert not list(unknown(app, "alert_actions", "other", {"python.required"}, "10.2.3"))
    assert list(unknown(app, "server", "shclusterin", set(), "10.2.3"))
    assert list(unknown(app, OWN, "leavers", {"tenant"}, "10.2.3"))


def test_the_spec_files_declare_nothing_that_is_not_used(app: Path) -> None:
    """Each is for a conf file that the app ships or that gets its settings, and every line of it is read."""
    for path in app.glob("README/*.spec"):
        conf = path.name.partition(".")[0]
        assert conf == OWN or conf in PUBLISHED["keys"], path.name
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not line or re.match(r"\[.+\]$|\* |#|  |[^\s=]+ = \S", line), f"{path.name}: {line}"


def test_the_metadata_names_what_exists(app: Path) -> None:
    """Each stanza is a conf file or another kind of object, each setting one of default.meta."""
    for stanza, settings in read_conf(app / "metadata" / "default.meta").items():
        kind = stanza.partition("/")[0]
        assert kind in OBJECTS | {OWN} | set(PUBLISHED["keys"]) | set(FREE), stanza
        assert set(settings) <= META, stanza


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_cluster_replicates(version: str) -> None:
    """The app relies on it: connectors and secrets replicate, the sender's input does not."""
    confs = replicated_confs(version)
    assert {OWN, "passwords", "savedsearches", "macros", "lookups", "alert_actions", "commands"} <= confs
    assert not confs & {"inputs", "app", "server", "web", "restmap", "distsearch"}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_limits_that_the_code_relies_on(version: str) -> None:
    """An action gets at most 50,000 rows, and a reply of the command has no more."""
    limits = PUBLISHED["defaults"]["limits.conf [searchresults]"][version]
    assert f"maxresultrows = {DEFAULT_MAX_RESULTS}" in limits
    assert DEFAULT_MAX_RESULTS == _REPLY_ROWS
