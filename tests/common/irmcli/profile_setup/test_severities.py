"""Words of severity: the values of a sample and the map that is proposed."""

from __future__ import annotations

import pytest
from irmcli.profile_setup.severities import SCALE, is_number_scale, severity_map


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


def test_a_scale_of_numbers() -> None:
    """1 to 5, of which nobody knows the worst."""
    assert is_number_scale({"1", "5"})
    assert not is_number_scale({"0"})
    assert not is_number_scale({"10"})
    assert not is_number_scale(set())
