import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from irmsentinel import aggregations, arm, content

SCHEMAS = Path(__file__).parents[1] / "arm_schemas"
PROVIDER = "https://schema.management.azure.com/schemas/2025-07-01/Microsoft.OperationalInsights.json"
TEMPLATE = arm.template(content.load())
SUMMARY_RULES = arm.summary_rules(aggregations.summary_rules().values())


def registry() -> referencing.Registry[Any]:
    """Azure's schemas by their public ids; nothing is fetched."""
    documents = [json.loads(file.read_text(encoding="utf-8")) for file in SCHEMAS.glob("*.json")]
    draft4 = referencing.jsonschema.DRAFT4
    known = [(document["id"].rstrip("#"), draft4.create_resource(document)) for document in documents]
    empty: referencing.Registry[Any] = referencing.Registry()
    return empty.with_resources(known)


def wrong(document: object, schema: dict[str, Any]) -> list[str]:
    """What the schema does not like."""
    validator = jsonschema.Draft4Validator(schema, registry=registry())
    return [error.message for error in validator.iter_errors(document)]


@pytest.mark.parametrize("template", [TEMPLATE, SUMMARY_RULES], ids=["functions", "summary rules"])
def test_the_frame_is_a_deployment_template(template: dict[str, Any]) -> None:
    """By Azure's schema, without its list of every provider's resources."""
    frame = json.loads((SCHEMAS / "deploymentTemplate.json").read_text(encoding="utf-8"))
    frame["properties"]["resources"] = {"type": "array"}
    del frame["id"]  # its references are to itself
    assert wrong(template, frame) == []
    assert wrong({**template, "contentVersion": "1"}, frame) != []


@pytest.mark.parametrize("resource", TEMPLATE["resources"], ids=lambda r: r["properties"]["functionAlias"])
def test_each_function_is_a_valid_saved_search(resource: dict[str, Any]) -> None:
    """By the provider's schema; and the schema does refuse what is wrong."""
    schema = {"$ref": f"{PROVIDER}#/resourceDefinitions/workspaces_savedSearches"}
    assert wrong(resource, schema) == []
    assert wrong({**resource, "properties": {"query": 7}}, schema) != []


def test_every_function_is_in_it_with_its_signature_and_text() -> None:
    """Nothing but what the KQL files say; queries as published are not deployed."""
    loaded = content.load()
    in_template = {r["properties"]["functionAlias"]: r["properties"] for r in TEMPLATE["resources"]}
    assert in_template.keys() == {function.name for function in loaded.functions}
    for function in loaded.functions:
        assert in_template[function.name]["functionParameters"] == function.signature
        assert in_template[function.name]["query"].endswith(f"{function.body}\n")


@pytest.mark.parametrize("resource", SUMMARY_RULES["resources"], ids=lambda r: r["properties"]["displayName"])
def test_each_summary_rule_is_a_valid_one(resource: dict[str, Any]) -> None:
    """By the provider's schema; the bin is one that the service knows, and the query is the file's."""
    schema = {"$ref": f"{PROVIDER}#/resourceDefinitions/workspaces_summaryLogs"}
    # The schema's pattern for a name has no anchors, so that any expression fits both of its alternatives.
    resource = {**resource, "name": resource["properties"]["displayName"]}
    assert wrong(resource, schema) == []
    definition = resource["properties"]["ruleDefinition"]
    bad = {**definition, "timeSelector": "EventTime"}
    assert wrong({**resource, "properties": {"ruleDefinition": bad}}, schema) != []
    assert definition["binSize"] in aggregations.BINS
    assert (definition["binSize"], definition["binDelay"]) == (60, 3600)  # minutes and seconds
    assert definition["query"].lstrip().startswith("CommonSecurityLog")


def test_every_summary_rule_is_in_it() -> None:
    """Nothing is left out."""
    names = {resource["properties"]["displayName"] for resource in SUMMARY_RULES["resources"]}
    assert names == {f"irmexport-{name}" for name in aggregations.summary_rules()}
