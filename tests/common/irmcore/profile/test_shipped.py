"""Every shipped profile, and every key of the published schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from irmcore.profile import parse, shipped_names, shipped_text
from irmcore.profile.load import PROFILE


def test_the_shipped_profiles_by_name() -> None:
    """The names are those of the files, in order; any other name or a path is a KeyError."""
    names = (
        "daily-access",
        "daily-activities",
        "daily-cloud",
        "hr",
        "hr-employee-profiles",
        "hr-improvement-plans",
        "hr-job-level-changes",
        "hr-performance-reviews",
        "hr-resignations",
        "leaver-prediction",
        "leavers",
        "salesforce-dropbox",
        "sentinel-activity",
        "sentinel-alerts",
        "sentinel-exfiltration",
        "sentinel-incidents",
    )
    assert shipped_names() == names
    for name in ("none", "../model", "leaver-prediction.yaml", ""):
        with pytest.raises(KeyError):
            shipped_text(name)


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_profile_is_a_template(name: str) -> None:
    """A shipped profile is valid, is named like its file, and contains no real ID and no secret."""
    profile = parse(shipped_text(name), f"{name}.yaml")
    assert profile.name == name
    assert profile.connector.placeholders() == ("job_id", "tenant_id", "app_id")
    assert (profile.connector.credential.kind, profile.connector.credential.name) == (
        "env",
        "IRMEXPORT_SECRET",
    )


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        (
            "leaver-prediction",
            [
                ("UserPrincipalName", "user"),
                ("PredictionTime", "time"),
                ("PredictionScore", "threshold"),
                ("ModelInfo", "information"),
            ],
        ),
        (
            "salesforce-dropbox",
            [
                ("User_Principal_Name", "user"),
                ("Display_Name", "information"),
                ("Alert_Severity", "information"),
                ("Alert_Count", "threshold"),
                ("Aggregation_Date", "time"),
                ("Source_Workload", "source"),
                ("AdditionalInfo_Salesforce", "information"),
                ("AdditionalInfo_Dropbox", "information"),
            ],
        ),
    ],
)
def test_the_columns_of_microsofts_examples(name: str, columns: list[tuple[str, str]]) -> None:
    """The columns are those of the example on Microsoft's page, in the same order."""
    profile = parse(shipped_text(name), f"{name}.yaml")
    assert [(column.header, column.role) for column in profile.columns] == columns


def keys(definition: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each key of the schema, with its definition."""
    for key, sub in definition.get("properties", {}).items():
        yield f"{path}{key}", sub
        yield from keys(sub, f"{path}{key}.")
    for name, sub in definition.get("definitions", {}).items():
        yield from keys(sub, f"{path}{name}.")


@pytest.mark.parametrize(("path", "definition"), list(keys(PROFILE.schema)))
def test_each_key_of_the_schema_is_described(path: str, definition: dict[str, Any]) -> None:
    """Each key has a description for editors, its own or the one it refers to."""
    if "description" not in definition:
        definition = PROFILE.schema["definitions"][definition["$ref"].rsplit("/", 1)[1]]
    assert definition["description"].endswith(".")


def objects(definition: Any) -> Iterator[dict[str, Any]]:
    """Each definition of a mapping in the schema."""
    if isinstance(definition, dict):
        if "properties" in definition and isinstance(definition["properties"], dict):
            yield definition
        for sub in definition.values():
            yield from objects(sub)


def test_no_mapping_of_the_schema_takes_an_unknown_key() -> None:
    """Each mapping with named keys refuses other keys, and requires only keys that it names."""
    found = list(objects(PROFILE.schema))
    assert len(found) == 13
    for definition in found:
        assert definition["additionalProperties"] is False
        assert set(definition.get("required", ())) <= set(definition["properties"])
