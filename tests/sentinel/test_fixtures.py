import pytest
from irmsentinel.content import aggregations, rules
from irmsentinel.content import artefacts as content

from tests.sentinel.fixtures import HERE, Case, cases, holds, run

CASES = list(cases())


@pytest.mark.parametrize("case", CASES, ids=[f"{case.file.stem}: {case.what}" for case in CASES])
def test_a_query_gives_these_rows(case: Case) -> None:
    """Run on the local engine, a query gives exactly the literal rows, in any order unless it sorts."""
    given = run(case)
    assert holds(case, given), given


@pytest.mark.parametrize(
    "artefact", rules.with_rules(content.load()).artefacts, ids=lambda artefact: artefact.name
)
def test_every_query_has_a_fixture(artefact: content.Artefact) -> None:
    """Every KQL file has literal rows that show its result."""
    fixture = HERE / artefact.path.parent.name / f"{artefact.name}.yaml"
    assert fixture.is_file(), f"copy a neighbour to {fixture}"


@pytest.mark.parametrize("name", aggregations.load())
def test_every_aggregation_has_a_fixture(name: str) -> None:
    """Every aggregation has literal rows that show its result."""
    fixture = HERE / "aggregations" / f"{name}.yaml"
    assert fixture.is_file(), f"copy a neighbour to {fixture}"
