"""The published schema, checked by a library that the core does not use."""

import jsonschema
import pytest
from irmcore.profile import shipped_names, shipped_text
from irmcore.profile.load import PROFILE
from irmcore.settings import Source

from tests.common.irmcore.profile.test_load import ALL_KEYS, FORM, SENSE, TEXT, changed

#: jsonschema uses Python's `$`, which also matches before a final line break. ECMA 262, which the standard
#: prescribes, does not, and neither does fastjsonschema.
LAST_LINE_BREAK = 'name: "demo\\n"'


def valid(text: str) -> bool:
    """Whether the jsonschema package accepts a profile."""
    return jsonschema.Draft7Validator(PROFILE.schema).is_valid(Source(text, "p.yaml", PROFILE).value)


def test_the_schema_is_one() -> None:
    """The published file is valid under the draft that it names."""
    jsonschema.Draft7Validator.check_schema(PROFILE.schema)


@pytest.mark.parametrize("text", [TEXT, ALL_KEYS, *map(shipped_text, shipped_names())])
def test_a_right_profile_is_valid(text: str) -> None:
    """Both libraries accept what the core accepts."""
    assert valid(text)


@pytest.mark.parametrize(("old", "new"), [(old, new) for old, new, _ in FORM if new != LAST_LINE_BREAK])
def test_a_wrong_form_is_invalid(old: str, new: str) -> None:
    """Both libraries refuse what the core refuses because of the schema."""
    assert not valid(changed(old, new))


@pytest.mark.parametrize(("old", "new"), [(old, new) for old, new, _ in SENSE])
def test_what_makes_no_sense_has_a_valid_form(old: str, new: str) -> None:
    """The schema accepts what only the rules refuse, so the test cases are in the right table."""
    assert valid(changed(old, new))
