import pytest
from irmsentinel.content import artefacts as content

LOADED = content.load()


@pytest.mark.parametrize("twin", LOADED.twins, ids=lambda twin: twin.name)
def test_a_twin_promises_what_its_original_does(twin: content.Artefact) -> None:
    """What runs on this machine takes the same and gives the same columns."""
    original = LOADED.named(twin.name)
    assert original.has_twin
    assert (twin.parameters, twin.returns) == (original.parameters, original.returns)


def test_only_what_has_a_twin_is_not_run_itself() -> None:
    """A header that speaks of a twin has one; every other body runs on this machine as it is."""
    twins = {twin.name for twin in LOADED.twins}
    assert twins == {artefact.name for artefact in LOADED.artefacts if artefact.has_twin}
    own = [function for function in LOADED.on_this_machine() if function.name not in twins]
    assert own == [function for function in LOADED.functions if function.name not in twins]
