import pytest
from irmsentinel.content import artefacts as content

LOADED = content.load()


@pytest.mark.parametrize("override", LOADED.overrides, ids=lambda override: override.name)
def test_a_local_override_has_the_interface_of_its_original(override: content.Artefact) -> None:
    """A local override takes the same parameters and returns the same columns."""
    original = LOADED.named(override.name)
    assert original.has_override
    assert (override.parameters, override.returns) == (original.parameters, original.returns)


def test_only_functions_with_an_override_are_replaced() -> None:
    """Each header that names an override has one; every other body runs locally unchanged."""
    overrides = {override.name for override in LOADED.overrides}
    assert overrides == {artefact.name for artefact in LOADED.artefacts if artefact.has_override}
    own = [function for function in LOADED.local_functions() if function.name not in overrides]
    assert own == [function for function in LOADED.functions if function.name not in overrides]
