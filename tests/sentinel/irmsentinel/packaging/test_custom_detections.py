"""Defender's files: the form of the Azure-Sentinel repository's `XDR Detections`, and Graph's limits."""

import json
import re
from typing import Any

import pytest
import yaml
from irmsentinel.content import artefacts, rules
from irmsentinel.content.defender import Defender
from irmsentinel.packaging import custom_detections
from irmsentinel.packaging.package_files import package_files

from tests.sentinel.test_rules import TECHNIQUES

LOADED = artefacts.load()
DEFENDER = Defender.of(LOADED)
RULES = {rule.name: rule for rule in rules.load() if DEFENDER.why_not(rule) is None}
FILES = package_files(LOADED, "1.2.3")
BASE = "Solutions/irmexport"
DETECTIONS: dict[str, dict[str, Any]] = {
    name.removesuffix(".yaml"): yaml.safe_load(text) for name, text in custom_detections.detections(LOADED)
}
#: The entities in use here, and the columns by which Defender finds one (Graph's …EntityMapping).
ENTITIES = {"accounts": {"upnColumn", "aadUserIdColumn"}, "ips": {"addressColumn"}}


def test_every_rule_and_query_that_defender_can_run_is_packaged() -> None:
    """A rule as YAML for the repository and as a body for Graph, both the same; a hunting query as KQL."""
    listed = json.loads(FILES[f"{BASE}/Data/Solution_irmexport.json"])["XDR Detections"]
    assert listed == [f"XDR Detections/{name}.yaml" for name in DETECTIONS]
    assert {name for name in FILES if name.startswith("defender/")} == {
        f"defender/detections/{name}.json"
        if rule.folder == rules.ANALYTIC
        else f"defender/hunting/{name}.kql"
        for name, rule in RULES.items()
    }
    for name, detection in DETECTIONS.items():
        assert yaml.safe_load(FILES[f"{BASE}/XDR Detections/{name}.yaml"]) == detection
        assert json.loads(FILES[f"defender/detections/{name}.json"]) == detection["properties"]


@pytest.mark.parametrize("name", DETECTIONS)
def test_a_detection_has_the_repositorys_form(name: str) -> None:
    """The keys of that folder's files; it is disabled, runs daily, and names the rule that it is made of."""
    detection, rule = DETECTIONS[name], RULES[name]
    assert list(detection) == [
        *("schemaVersion", "version", "kind", "resourceType", "apiVersion", "contentProvenance", "properties")
    ]
    assert (detection["schemaVersion"], detection["kind"]) == ("1.0.0", "CustomDetection")
    assert detection["resourceType"] == "Microsoft.Security/detectionRules"
    source = detection["contentProvenance"]["source"]
    assert source["id"] == rule.fields["id"]
    assert f"{BASE}/{source['path']}" in FILES
    properties = detection["properties"]
    assert list(properties) == [
        *("id", "displayName", "description", "status", "queryCondition", "schedule", "detectionAction")
    ]
    assert (properties["status"], properties["schedule"]) == ("disabled", {"frequency": "P1D"})
    assert not re.search(r"PerhapsSameAs|SecurityAlert|hour that ended", properties["description"])


@pytest.mark.parametrize("name", DETECTIONS)
def test_what_an_alert_shows_is_a_column(name: str) -> None:
    """Its title, details and entities name columns of the query, within Defender's limits."""
    columns = set(DEFENDER.edition(RULES[name]).columns)
    template = DETECTIONS[name]["properties"]["detectionAction"]["alertTemplate"]
    for text in (template["title"], template["description"]):
        used = re.findall(r"\{\{(\w+)\}\}", text)
        assert len(used) <= 3
        assert set(used) <= columns
    assert 1 <= len(template["customDetails"]) <= 20
    assert set(template["customDetails"].values()) <= columns
    assert "accounts" in template["entityMappings"]
    for kind, mapped in template["entityMappings"].items():
        (entity,) = mapped
        assert entity.keys() - {"id"} == ENTITIES[kind]
        assert {entity[key] for key in ENTITIES[kind]} <= columns
    (tactic,) = template["tactics"]
    assert all(tactic["tactic"] in TECHNIQUES[each["technique"]] for each in tactic["techniques"])
    assert template["severity"] in {"low", "medium", "high"}
    assert template["recommendedActions"]


def test_a_hunting_query_says_what_it_does_not_read() -> None:
    """Its comment names the tables that the workspace's query reads as well."""
    text = FILES["defender/hunting/IRMMassDeletionAroundAlert.kql"]
    head = " ".join(line.removeprefix("// ") for line in text.splitlines() if line.startswith("//"))
    assert head.startswith("IRM - Mass deletion around an alert. Days on which")
    assert "Not read here: AzureActivity." in head
