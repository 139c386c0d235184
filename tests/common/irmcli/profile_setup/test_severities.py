"""Words of severity: the values of a sample and the map that is proposed."""

from __future__ import annotations

import pytest
from irmcli.profile_setup.severities import SCALE, hint, severity_map


@pytest.mark.parametrize(
    ("values", "some"),
    [
        ({"hoch", "mittel"}, {"hoch": "High", "mittel": "Medium", "niedrig": "Low", "kritisch": "Critical"}),
        ({"Hoch"}, {"Hoch": "High", "Niedrig": "Low"}),
        ({"HIGH", "LOW"}, {"HIGH": "High", "MEDIUM": "Medium", "CRITICAL": "Critical"}),
        ({"high", "informational"}, {"high": "High", "info": "Informational"}),
        ({"High", "Low"}, {"Moderate": "Medium"}),
        ({"élevé", "faible"}, {"élevé": "High", "moyen": "Medium"}),
        ({"high", "HIGH"}, {"high": "High", "HIGH": "High"}),
    ],
    ids=["german", "title", "upper", "lower", "as they are", "french", "mixed"],
)
def test_a_map_has_the_values_and_the_rest_of_their_language(values: set[str], some: dict[str, str]) -> None:
    """In the spelling of the values, because keys match exactly."""
    found = severity_map(values)
    assert found is not None
    assert found.items() >= some.items()
    assert {value for value in values if value not in found} <= set(SCALE)


@pytest.mark.parametrize(
    "values", [{"high", "hoch"}, {"WARN"}, {"5"}, set()], ids=["two", "other", "5", "none"]
)
def test_other_words_are_not_mapped(values: set[str]) -> None:
    """Nothing is guessed about them."""
    assert severity_map(values) is None


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ({"1", "5"}, 'map: {"1": Informational, "2": Low, "3": Medium, "4": High, "5": Critical}'),
        (
            {"0", "10", "7"},
            '"3": Low, "4": Medium, "5": Medium, "6": Medium, "7": High, "8": High, "9": Critical',
        ),
        ({"P1", "P4"}, 'map: {"P1": Critical, "P2": High, "P3": Medium, "P4": Low, "P5": Informational}'),
        ({"SEV0", "SEV2"}, 'map: {"SEV0": Critical, "SEV1": High'),
        ({"9.8", "3", "7.5"}, "--threshold 'Base score'"),
        ({"severe", "minor"}, 'map: {"WORD": High, "ANOTHER WORD": Low}'),
    ],
    ids=["1 to 5", "0 to 10", "P1", "SEV0", "CVSS", "words"],
)
def test_other_severities_have_a_hint(values: set[str], written: str) -> None:
    """It proposes a map or says what to write, and names no word of the sample."""
    said = "\n".join(hint("Base score", values))
    assert written in said
    assert "severe" not in said.replace("severities", "")


def test_no_values_have_no_hint() -> None:
    """An empty column is not called a severity."""
    assert hint("severity", set()) == ()
