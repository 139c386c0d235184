import pytest
from irmsentinel.content import rules

from tests.sentinel.fixtures import HERE, Case, Query, cases, holds, key_of, our_content, queries, run

CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=[f"{case.file.stem}: {case.what}" for case in CASES])
def test_a_query_gives_these_rows(case: Case) -> None:
    """Run on the local engine, a query gives exactly the literal rows, in any order unless it sorts."""
    given = run(case)
    assert holds(case, given), given


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.key)
def test_every_query_has_a_fixture(query: Query) -> None:
    """Literal rows show the result of each function, rule, export, summary rule and part of a workbook."""
    assert query.key in {key_of(case) for case in CASES}, f"copy a neighbour to {HERE}/{query.key}.yaml"


@pytest.mark.parametrize("folder", [rules.ANALYTIC, rules.HUNTING])
def test_each_column_of_a_rule_or_hunt_is_compared(folder: str) -> None:
    """Some firing case of its fixture has a value for every column that the query returns."""
    compared = {
        (case.file.stem, column)
        for case in CASES
        if case.rows and case.file.parent.name == folder
        for column in case.columns
    }
    returned = {
        (artefact.name, column.name)
        for artefact in our_content().artefacts
        if artefact.path.parent.name == folder
        for column in artefact.returns
    }
    assert not returned - compared
