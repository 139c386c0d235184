from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from irmcore.errors import ConfigurationError
from irmsentinel.content import aggregations, rules, samples
from irmsentinel.content import artefacts as content
from irmsentinel.content.aggregations import Span
from irmsentinel.kql import calls, local
from irmsentinel.kql.engine import Engine

KNOWN = samples.answers(content.root())


@pytest.mark.parametrize("seed", [1, 2])
def test_the_functions_give_the_known_answers(tmp_path: Path, seed: int) -> None:
    """The results do not depend on the seed, because the other people have no alerts."""
    loaded = content.load()
    samples.write(loaded.root, tmp_path, seed=seed, people=5)
    engine, now = local.open_folder(loaded, tmp_path)
    with engine:
        for name, answer in KNOWN.items():
            picked = f"{calls.text(loaded.named(name), {})} | project {', '.join(answer.columns)}"
            rows = engine.run(picked, now=now).rows
            assert sorted(map(repr, map(list, rows))) == sorted(map(repr, answer.rows)), name


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """Another seed gives other people."""
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        samples.write(content.root(), tmp_path / name, seed=seed, people=3)
    text = {name: (tmp_path / name / "SigninLogs.jsonl").read_bytes() for name in "abc"}
    assert text["a"] == text["b"] != text["c"]


def test_existing_tables_are_not_overwritten(tmp_path: Path) -> None:
    """They may be the user's own."""
    (tmp_path / "AuditLogs.jsonl").write_text("{}\n")
    with pytest.raises(ConfigurationError, match="already has tables"):
        samples.write(content.root(), tmp_path, seed=1, people=1)


STORY = samples.story(content.root())
MONTH = Span(datetime(2026, 10, 21, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC))


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The sample tables, loaded once: no query changes them."""
    loaded, folder = content.load(), tmp_path_factory.mktemp("month")
    samples.write(loaded.root, folder, seed=1, people=2)
    engine, _ = local.open_folder(loaded, folder)
    with engine:
        yield engine


def test_everything_has_a_part_in_the_story() -> None:
    """A new rule, hunting query or aggregation needs somebody whom it finds."""
    assert set(STORY) == {rule.name for rule in rules.load()} | set(aggregations.load())


@pytest.mark.parametrize("name", STORY)
def test_each_finds_the_right_people_and_nobody_else(name: str, month: Engine) -> None:
    """Run at the story's time, a query finds exactly the people or hosts of its part."""
    known = aggregations.load()
    query = known[name].kql(MONTH) if name in known else rules.with_rules(content.load()).named(name).body
    assert samples.people(month.run(query, now=STORY[name].at)) == STORY[name].who
