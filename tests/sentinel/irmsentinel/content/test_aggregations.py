"""Aggregation files: the values filled in, what is refused, and that profile and query fit."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from irmcore import profile as profiles
from irmcore.errors import ConfigurationError
from irmsentinel.content import aggregations, tables
from irmsentinel.content import artefacts as content
from irmsentinel.content.aggregations import Aggregation, Span

ALL = aggregations.load()
GOOD = """description: One.
profile: sentinel-activity
window: 1d
delay: 6h
overlap: 2d
first: 7d
schedule: 1d
returns: A:string, B:long
query: |
  declare query_parameters(starttime:datetime, endtime:datetime, part:long, parts:long);
  T | project A, B
"""


@pytest.mark.parametrize("aggregation", ALL.values(), ids=lambda a: a.name)
def test_an_aggregation_gives_what_its_profile_takes(aggregation: Aggregation) -> None:
    """The query returns exactly the fields of the profile, in order."""
    profile = profiles.parse(profiles.shipped_text(aggregation.profile), aggregation.profile)
    assert [column.name for column in aggregation.returns] == [column.field for column in profile.columns]


@pytest.mark.parametrize("aggregation", ALL.values(), ids=lambda a: a.name)
def test_no_query_depends_on_the_current_time(aggregation: Aggregation) -> None:
    """The same events give the same rows whenever they are read."""
    assert "now(" not in aggregation.query
    assert "ago(" not in aggregation.query
    assert "1d)" in aggregation.query
    assert aggregation.delay >= timedelta(hours=2)


def test_parameters_replace_the_first_line() -> None:
    """They are typed literals on one line, so the other lines keep their numbers."""
    span = Span(datetime(2026, 11, 19, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC))
    first, _, rest = ALL["okta"].kql(span, 1, 4).partition("\n")
    assert first == (
        "declare query_parameters(starttime:datetime = datetime(2026-11-19T00:00:00Z), "
        "endtime:datetime = datetime(2026-11-20T00:00:00Z), part:long = 1, parts:long = 4);"
    )
    assert rest == ALL["okta"].query


@pytest.mark.parametrize(
    ("change", "line", "expected"),
    [
        (("window: 1d", "windw: 1d"), 3, "Did you mean `window`"),
        (("delay: 6h\n", ""), 1, "`delay` is missing from the aggregation"),
        (("delay: 6h", "delay: six"), 4, "30m, 6h or 7d"),
        (("window: 1d", "window: 7d"), 3, "`window` must be 1h or 1d"),
        (("overlap: 2d", "overlap: 36h"), 5, "a multiple of the window, 1d"),
        (("schedule: 1d", "schedule: 0d"), 7, "a multiple of the window, 1d"),
        (("returns: A:string, B:long", "returns: A"), 8, "Name:type"),
        (
            ("declare query_parameters(", "declare query_parameters( "),
            9,
            "first line of `query` must",
        ),
    ],
)
def test_an_invalid_aggregation_is_refused_with_its_line(
    tmp_path: Path, change: tuple[str, str], line: int, expected: str
) -> None:
    """The message says what is valid."""
    file = tmp_path / "one.yaml"
    file.write_text(GOOD.replace(*change))
    with pytest.raises(ConfigurationError, match=expected) as refused:
        aggregations.read(file)
    assert refused.value.where == f"{file}:{line}"


def test_an_unknown_name_gets_the_nearest_one() -> None:
    """The error for an aggregation that does not exist suggests a name."""
    with pytest.raises(ConfigurationError, match="Did you mean `salesforce`"):
        aggregations.named("salesfroce")


def test_the_table_of_a_summary_rule_is_the_one_that_is_read() -> None:
    """The table has the rule's columns with the same types, and an aggregation reads that table."""
    (rule,) = aggregations.summary_rules().values()
    (table,) = (t for t in tables.load(content.root() / "tables") if t.name == rule.destination)
    assert set(rule.returns) <= set(table.columns)
    assert rule.destination in ALL["web-proxy-summary"].query


def test_the_summary_rule_and_the_aggregation_know_the_same_sites() -> None:
    """Whoever changes from one to the other gets the same rows."""
    (rule,) = aggregations.summary_rules().values()
    sites = [
        query[query.index("  | where RequestMethod") : query.index("  | where isnotempty(Site)")]
        for query in (rule.query, ALL["web-proxy"].query)
    ]
    assert sites[0] == sites[1]


def test_the_tables_are_those_that_the_query_reads(tmp_path: Path) -> None:
    """Also in the functions it calls, but not what resolves its names, nor what a comment or a text names."""
    for part in ("tables", "parsers", aggregations.FOLDER):
        (tmp_path / part).mkdir()
    for name in ("A", "B", "C", "Identity"):
        (tmp_path / "tables" / f"{name}.json").write_text("{}")
    (tmp_path / "parsers" / "IRMFirst.kql").write_text("A | union (IRMSecond())")
    (tmp_path / "parsers" / "IRMSecond.kql").write_text('B | where X != "C" // C\n| union (IRMFirst())')
    (tmp_path / "parsers" / "IRMAccountNames.kql").write_text("Identity")
    file = tmp_path / aggregations.FOLDER / "one.yaml"
    file.write_text(GOOD.replace("T |", "IRMFirst() | join (IRMAccountNames()) on A |"))
    assert aggregations.read(file).tables == ("A", "B")
    assert all(aggregation.tables for aggregation in ALL.values())
