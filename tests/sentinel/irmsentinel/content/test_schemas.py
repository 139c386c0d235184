"""The published schemas of the Sentinel side's settings files."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from irmcore.settings import Kind
from irmsentinel.azure.identity import AUTHORITIES, KINDS
from irmsentinel.collector.settings import COLLECTOR
from irmsentinel.content.aggregations import AGGREGATION, SUMMARY_RULE
from irmsentinel.content.rules import RULE
from irmsentinel.export.plan import PLAN

ALL = (AGGREGATION, COLLECTOR, PLAN, RULE, SUMMARY_RULE)


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Each mapping inside a schema."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from nodes(inner)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_a_schema_is_valid_and_describes_each_key(kind: Kind) -> None:
    """An editor shows one sentence or more for each key, and a message uses them as the next step."""
    jsonschema.Draft7Validator.check_schema(kind.schema)
    for node in nodes(kind.schema):
        for key, inner in node.get("properties", {}).items():
            if isinstance(inner, dict):
                assert kind.resolved(inner)["description"].endswith("."), key


def test_the_plans_schema_agrees_with_the_code() -> None:
    """The values it allows are those that the code knows."""
    properties = PLAN.schema["properties"]
    assert set(properties["cloud"]["enum"]) == set(AUTHORITIES)
    assert tuple(properties["identity"]["properties"]["kind"]["enum"]) == KINDS
