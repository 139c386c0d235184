import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from irmsentinel import arm, content

SCHEMAS = Path(__file__).parents[1] / "arm_schemas"
PROVIDER = "https://schema.management.azure.com/schemas/2025-07-01/Microsoft.OperationalInsights.json"
TEMPLATE = arm.template(content.load())


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


def test_the_frame_is_a_deployment_template() -> None:
    """By Azure's schema, without its list of every provider's resources."""
    frame = json.loads((SCHEMAS / "deploymentTemplate.json").read_text(encoding="utf-8"))
    frame["properties"]["resources"] = {"type": "array"}
    del frame["id"]  # its references are to itself
    assert wrong(TEMPLATE, frame) == []
    assert wrong({**TEMPLATE, "contentVersion": "1"}, frame) != []


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
