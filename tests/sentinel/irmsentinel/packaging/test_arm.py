import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from irmsentinel.content import aggregations, transforms
from irmsentinel.content import artefacts as content
from irmsentinel.packaging import arm, arm_collection

SCHEMAS = Path(__file__).parents[2] / "arm_schemas"
PROVIDER = "https://schema.management.azure.com/schemas/2025-07-01/Microsoft.OperationalInsights.json"
TEMPLATE = arm.template(content.load())
SUMMARY_RULES = arm.summary_rules(aggregations.summary_rules().values())
RULES = "https://schema.management.azure.com/schemas/2024-03-11/Microsoft.Insights.json"
COLLECTION = arm_collection.template(content.load())


def registry() -> referencing.Registry[Any]:
    """Azure's schemas by their public IDs; nothing is fetched."""
    documents = [json.loads(file.read_text(encoding="utf-8")) for file in SCHEMAS.glob("*.json")]
    draft4 = referencing.jsonschema.DRAFT4
    known = [(document["id"].rstrip("#"), draft4.create_resource(document)) for document in documents]
    empty: referencing.Registry[Any] = referencing.Registry()
    return empty.with_resources(known)


def wrong(document: object, schema: dict[str, Any]) -> list[str]:
    """The violations of a schema."""
    validator = jsonschema.Draft4Validator(schema, registry=registry())
    return [error.message for error in validator.iter_errors(document)]


@pytest.mark.parametrize(
    "template", [TEMPLATE, SUMMARY_RULES, COLLECTION], ids=["functions", "summary rules", "collection"]
)
def test_the_frame_is_a_deployment_template(template: dict[str, Any]) -> None:
    """By Azure's schema, without its list of every provider's resources."""
    frame = json.loads((SCHEMAS / "deploymentTemplate.json").read_text(encoding="utf-8"))
    frame["properties"]["resources"] = {"type": "array"}
    del frame["id"]  # its references are to itself
    assert wrong(template, frame) == []
    assert wrong({**template, "contentVersion": "1"}, frame) != []


@pytest.mark.parametrize("resource", TEMPLATE["resources"], ids=lambda r: r["properties"]["functionAlias"])
def test_each_function_is_a_valid_saved_search(resource: dict[str, Any]) -> None:
    """By the provider's schema, which also rejects an invalid one."""
    schema = {"$ref": f"{PROVIDER}#/resourceDefinitions/workspaces_savedSearches"}
    assert wrong(resource, schema) == []
    assert wrong({**resource, "properties": {"query": 7}}, schema) != []


def test_every_function_is_in_it_with_its_signature_and_text() -> None:
    """The text is that of the KQL file. The published queries are not deployed."""
    loaded = content.load()
    in_template = {r["properties"]["functionAlias"]: r["properties"] for r in TEMPLATE["resources"]}
    assert in_template.keys() == {function.name for function in loaded.functions}
    for function in loaded.functions:
        assert in_template[function.name]["functionParameters"] == function.signature
        assert in_template[function.name]["query"].endswith(f"{function.body}\n")


@pytest.mark.parametrize("resource", SUMMARY_RULES["resources"], ids=lambda r: r["properties"]["displayName"])
def test_each_summary_rule_is_a_valid_one(resource: dict[str, Any]) -> None:
    """By the provider's schema; the service knows the bin, and the query is the file's."""
    schema = {"$ref": f"{PROVIDER}#/resourceDefinitions/workspaces_summaryLogs"}
    # The schema's pattern for a name has no anchors, so that any expression fits both of its alternatives.
    resource = {**resource, "name": resource["properties"]["displayName"]}
    assert wrong(resource, schema) == []
    definition = resource["properties"]["ruleDefinition"]
    bad = {**definition, "timeSelector": "EventTime"}
    assert wrong({**resource, "properties": {"ruleDefinition": bad}}, schema) != []
    assert definition["binSize"] in aggregations.BINS
    assert definition["binSize"] == 60  # minutes
    assert definition["query"].lstrip().startswith("CommonSecurityLog")


@pytest.mark.parametrize("rule", aggregations.summary_rules().values(), ids=lambda rule: rule.name)
def test_a_delay_is_right_in_seconds_and_in_minutes(rule: aggregations.SummaryRule) -> None:
    """The API says seconds, and bins are in minutes: the aggregation that reads the table waits for both."""
    (made,) = [
        resource["properties"]["ruleDefinition"]
        for resource in SUMMARY_RULES["resources"]
        if resource["properties"]["displayName"] == f"irmexport-{rule.name}"
    ]
    readers = [one for one in aggregations.load().values() if rule.destination in one.tables]
    assert readers
    assert made["binDelay"] >= 300
    for reader in readers:
        assert timedelta(minutes=made["binDelay"]) < reader.delay


def test_every_summary_rule_is_in_it() -> None:
    """No rule is missing."""
    names = {resource["properties"]["displayName"] for resource in SUMMARY_RULES["resources"]}
    assert names == {f"irmexport-{name}" for name in aggregations.summary_rules()}


def of_type(ending: str) -> list[dict[str, Any]]:
    """The collection template's resources of a type."""
    return [resource for resource in COLLECTION["resources"] if resource["type"].endswith(ending)]


@pytest.mark.parametrize("resource", of_type("/tables"), ids=lambda r: r["properties"]["schema"]["name"])
def test_each_table_is_valid_and_has_the_columns_of_its_file(resource: dict[str, Any]) -> None:
    """By the provider's schema, which also rejects an invalid one."""
    schema = {"$ref": f"{PROVIDER}#/resourceDefinitions/workspaces_tables"}
    assert wrong(resource, schema) == []
    assert wrong({**resource, "properties": {"plan": "None"}}, schema) != []
    made = resource["properties"]["schema"]
    file = content.root() / "tables" / f"{made['name']}.json"
    described = json.loads(file.read_text(encoding="utf-8"))["Properties"]
    in_template = {"bool": "boolean"}  # the provider's name of a type
    assert [(c["name"], c["type"].lower()) for c in made["columns"]] == [
        (c["Name"], in_template.get(c["Type"].lower(), c["Type"].lower())) for c in described
    ]


@pytest.mark.parametrize("resource", of_type("/dataCollectionRules"), ids=lambda r: r["name"])
def test_each_rule_is_valid_and_declares_what_the_collector_sends(resource: dict[str, Any]) -> None:
    """By the provider's schema, two words aside that Microsoft's own documents ask for and it does not list.

    It knows the kinds Linux and Windows, not Direct, and the streams of agents, not Custom-….
    """
    schema = {"$ref": f"{RULES}#/resourceDefinitions/dataCollectionRules"}
    assert resource["kind"] == "Direct"
    plain = json.loads(json.dumps({name: value for name, value in resource.items() if name != "kind"}))
    plain["properties"]["dataFlows"][0]["streams"] = ["Microsoft-Event"]
    assert wrong(plain, schema) == []
    assert len(wrong({**plain, "kind": "Direct"}, schema)) == 1
    assert wrong({**plain, "properties": {"dataFlows": 7}}, schema) != []
    (flow,) = resource["properties"]["dataFlows"]
    ((stream, declared),) = resource["properties"]["streamDeclarations"].items()
    assert flow["streams"] == [flow["outputStream"]] == [stream]
    names = {column["name"] for column in declared["columns"]}
    (transform,) = [one for one in transforms.load(content.root()) if one.stream == stream]
    assert names == {column.name for column in transform.columns}
    assert flow["transformKql"] == transform.kql


def test_the_outputs_are_what_the_settings_need() -> None:
    """An immutable ID and an endpoint for each rule."""
    assert sorted(COLLECTION["outputs"]) == [
        "Compliance_IRM_AuditGeneral_CL_endpoint",
        "Compliance_IRM_AuditGeneral_CL_rule_id",
        "IRMAlertsGraph_CL_endpoint",
        "IRMAlertsGraph_CL_rule_id",
        "IRMDataSecurityBehaviors_CL_endpoint",
        "IRMDataSecurityBehaviors_CL_rule_id",
        "IRMDataSecurityEvents_CL_endpoint",
        "IRMDataSecurityEvents_CL_rule_id",
        "IRMExportHealth_CL_endpoint",
        "IRMExportHealth_CL_rule_id",
    ]
