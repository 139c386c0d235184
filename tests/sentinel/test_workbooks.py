"""Workbooks: their structure, their placeholders, and a workspace without tables. Fixtures test the rows."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from irmsentinel.content import artefacts as content
from irmsentinel.content import workbooks
from irmsentinel.kql.engine import Engine

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BOOKS = workbooks.load()
QUERIES = {f"{book.name}: {name}": query for book in BOOKS for name, query in book.queries.items()}
#: Item type → what it is (Azure Monitor's workbook files).
TEXT, QUERY, PARAMETERS, LINKS, GROUP = 1, 3, 9, 11, 12
#: What the portal draws of a Log Analytics query.
VISUALIZATIONS = {"tiles", "table", "barchart", "timechart", "piechart", "linechart", "areachart"}
#: The only forms of a placeholder: right whatever a reader chooses.
TIMES = {"TimeRange:startISO", "TimeRange:endISO"}


def items(document: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every item, also those in groups."""
    for item in document:
        yield item
        if item["type"] == GROUP:
            yield from items(item["content"]["items"])


def all_items(book: workbooks.Workbook) -> list[dict[str, Any]]:
    """Every item of a workbook."""
    return list(items(json.loads(book.text)["items"]))


def set_by(book: workbooks.Workbook) -> set[str]:
    """The parameters that a reader sets: by a field, by a tab, or by selecting a row."""
    found = set()
    for item in all_items(book):
        made = item["content"]
        found |= {each["name"] for each in made.get("parameters", ())}
        found |= {each["cellValue"] for each in made.get("links", ()) if each["linkTarget"] == "parameter"}
        found |= {made["exportParameterName"]} if "exportParameterName" in made else set()
    return found


def test_a_workspace_without_tables_shows_no_error() -> None:
    """Every query runs there: figures are 0, tables are said to be missing, everything else is empty."""
    with Engine(content.load().local_functions()) as empty:
        rows = {name: empty.run(workbooks.filled(query), now=NOW).rows for name, query in QUERIES.items()}
    assert {name for name, found in rows.items() if found} == {
        "IRMAlerts: figures",
        "IRMAlerts: sources",
        "IRMExportHealth: figures",
    }
    assert {value for name in rows if name.endswith("figures") for _, value in rows[name]} == {0}
    assert {state for _, state, *_ in rows["IRMAlerts: sources"]} == {"not in this workspace"}


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_a_workbook_is_consistent(book: workbooks.Workbook) -> None:
    """It is ASCII, its names are unique, and each tab shows a group."""
    assert book.path.read_text(encoding="utf-8").isascii()
    assert book.title
    assert book.about
    found = all_items(book)
    names = [item["name"] for item in found]
    assert len(names) == len(set(names))
    assert {item["type"] for item in found} <= {TEXT, QUERY, PARAMETERS, LINKS, GROUP}
    (tabs,) = [item["content"]["links"] for item in found if item["type"] == LINKS]
    shown = [item["conditionalVisibility"] for item in found if item["type"] == GROUP]
    assert [each["subTarget"] for each in tabs] == [each["value"] for each in shown]
    assert {each["parameterName"] for each in shown} == {tabs[0]["cellValue"]}
    for item in found:
        if item["type"] == QUERY:
            assert item["content"]["visualization"] in VISUALIZATIONS
            assert item["content"]["noDataMessage"]


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_what_is_formatted_is_a_column(book: workbooks.Workbook) -> None:
    """Each column that a grid or a tile formats, labels or exports is one of its query."""
    with Engine(content.load().local_functions()) as empty:
        for item in all_items(book):
            if item["type"] != QUERY:
                continue
            made = item["content"]
            result = empty.run(workbooks.filled(made["query"]), now=NOW)
            columns = {column.name for column in result.columns}
            grid, tiles = made.get("gridSettings", {}), made.get("tileSettings", {})
            named = {each["columnMatch"] for each in grid.get("formatters", ())}
            named |= {each["columnId"] for each in grid.get("labelSettings", ())}
            named |= {each["columnMatch"] for each in tiles.values() if isinstance(each, dict)}
            named |= {made["exportFieldName"]} if "exportFieldName" in made else set()
            assert named <= columns, item["name"]


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_a_placeholder_is_right_whatever_a_reader_chooses(book: workbooks.Workbook) -> None:
    """A time is ISO 8601 in a literal, a text is base64; both are of parameters that a reader can set.

    What ``{TimeRange:start}`` expands to is documented in one form and used in another.
    """
    for query in book.queries.values():
        placeholders = re.findall(r"\{(\w+(?::\w+)?)\}", query)
        assert set(placeholders) >= TIMES
        assert {name.partition(":")[0] for name in placeholders} <= set_by(book)
        for name in placeholders:
            if name in TIMES:
                assert query.count(f"{{{name}}}") == query.count(f"todatetime('{{{name}}}')")
            else:
                assert name.endswith(":base64")
        assert "{" not in workbooks.filled(query)


def test_a_selected_user_is_the_one_of_the_timeline() -> None:
    """Selecting a row of the users sets the parameter that the timeline reads."""
    (book,) = [book for book in BOOKS if book.name == "IRMAlerts"]
    (users,) = [item["content"] for item in all_items(book) if item["name"] == "users"]
    assert f"{{{users['exportParameterName']}:base64}}" in book.queries["timeline"]


@pytest.mark.parametrize(
    "user", ["x'", "x\\", "x\u2028y", "x\ny", "'), now(), now()) | union SigninLogs //", "{User}", "ü@x"]
)
def test_no_choice_of_a_reader_leaves_its_literal(user: str) -> None:
    """The query differs from that of a harmless user in the characters of base64 only."""
    literal = re.compile(r"'[A-Za-z0-9+/=]*'")
    for name, query in QUERIES.items():
        chosen = workbooks.filled(query, {"User": user, "OtherUser": user})
        assert literal.sub("''", chosen) == literal.sub("''", workbooks.filled(query)), name
