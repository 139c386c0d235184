"""The published schema, read by another library than the one that the core uses."""

import jsonschema
import pytest
from irmcore.profile import shipped_names, shipped_text
from irmcore.profile.load import PROFILE
from irmcore.settings import Source

from tests.common.irmcore.profile.test_load import ALL_KEYS, FORM, SENSE, TEXT, changed

#: jsonschema takes Python's `$`, which passes over a last line break. The standard's (ECMA 262) does not,
#: nor does what the core uses.
LAST_LINE_BREAK = 'name: "demo\\n"'


def valid(text: str) -> bool:
    """What the jsonschema package says of a profile."""
    return jsonschema.Draft7Validator(PROFILE.schema).is_valid(Source(text, "p.yaml", PROFILE).value)


def test_the_schema_is_one() -> None:
    """The published file is a valid schema of the draft it names."""
    jsonschema.Draft7Validator.check_schema(PROFILE.schema)


@pytest.mark.parametrize("text", [TEXT, ALL_KEYS, *map(shipped_text, shipped_names())])
def test_a_right_profile_is_valid(text: str) -> None:
    """What the core takes, the schema takes, whoever reads it."""
    assert valid(text)


@pytest.mark.parametrize(("old", "new"), [(old, new) for old, new, _ in FORM if new != LAST_LINE_BREAK])
def test_a_wrong_form_is_invalid(old: str, new: str) -> None:
    """What the core refuses for its form, the schema refuses, whoever reads it."""
    assert not valid(changed(old, new))


@pytest.mark.parametrize(("old", "new"), [(old, new) for old, new, _ in SENSE])
def test_what_makes_no_sense_has_a_valid_form(old: str, new: str) -> None:
    """What the core checks on its own, a schema does not show: the table of tests is divided rightly."""
    assert valid(changed(old, new))
