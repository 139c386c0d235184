"""Every query of every workbook runs on the sample tables, and in a workspace without tables."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from irmsentinel.content import artefacts as content
from irmsentinel.content import samples, tables, workbooks
from irmsentinel.kql import local
from irmsentinel.kql.engine import Engine

VALUES = {
    "TimeRange:start": "2026-11-06T12:00:00Z",
    "TimeRange:end": "2026-11-20T12:00:00Z",
    "User": "sarad@contoso.com",
}
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
QUERIES = {
    f"{book.name}: {name}": query for book in workbooks.load() for name, query in book.filled(VALUES).items()
}
HEALTH = [
    {
        "TimeGenerated": f"2026-11-20T0{hour}:00:00Z",
        "Component": "collector",
        "Name": "contoso",
        "Host": "h1",
        "Event": event,
        "Result": result,
        "Rows": 7,
        "LagSeconds": 90.0,
    }
    for hour, event, result in ((7, "run", "ok"), (8, "failed", "failed"), (9, "heartbeat", "ok"))
]
#: What is shown of the samples and of HEALTH: the first row of some queries.
SHOWN = {
    "IRMAlerts: open by severity": ("High", 1),
    "IRMAlerts: policies": ("Data leaks", 1, 0, 1, 100.0),
    "IRMExportHealth: now": (
        "collector",
        "contoso",
        "h1",
        "heartbeat",
        "ok",
        "",
        3.0,
        7,
        None,
        None,
        None,
        90.0,
    ),
    "IRMExportHealth: rows": (datetime(2026, 11, 20, tzinfo=UTC), "collector", "contoso", 7),
    "IRMExportHealth: lag": (datetime(2026, 11, 20, 7, tzinfo=UTC), "contoso", 1.5),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The sample tables, and health rows of a collector."""
    folder = tmp_path_factory.mktemp("samples")
    loaded = content.load()
    samples.write(loaded.root, folder, seed=1, people=2)
    running, _ = local.open_folder(loaded, folder)
    known = tables.shapes(tables.load(loaded.root / "tables"))
    running.insert(known["IRMExportHealth_CL"][""], HEALTH)
    return running


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_of_a_workbook_gives_rows(engine: Engine, name: str) -> None:
    """Each has rows on the sample tables, some with known values."""
    rows = engine.run(QUERIES[name], now=NOW).rows
    assert rows
    assert SHOWN.get(name) in {None, rows[0]}


def test_a_workspace_without_tables_shows_nothing() -> None:
    """No query fails there."""
    with Engine(content.load().local_functions()) as empty:
        assert {name: empty.run(query, now=NOW).rows for name, query in QUERIES.items()} == dict.fromkeys(
            QUERIES, ()
        )


@pytest.mark.parametrize("book", workbooks.load(), ids=lambda book: book.name)
def test_a_workbook_is_consistent(book: workbooks.Workbook) -> None:
    """It is ASCII, and every placeholder of its queries is a parameter."""
    assert Path(book.path).read_text(encoding="utf-8").isascii()
    assert book.title
    assert book.about
    for query in book.filled(VALUES).values():
        assert "{" not in query
    assert all("{TimeRange:start}" in query for query in book.queries.values())


@pytest.mark.parametrize(
    "user", ["x'", "x\\", "x\u2028y", "x\ny", "'), now(), now()) | union SigninLogs //", "{User}", "ü@x"]
)
def test_no_choice_of_a_reader_leaves_its_literal(user: str) -> None:
    """The query differs from that of a harmless user in the characters of base64 only."""
    (book,) = [book for book in workbooks.load() if book.name == "IRMAlerts"]
    for name, query in book.filled({**VALUES, "User": user}).items():
        outside = re.sub(r"'[A-Za-z0-9+/=]*'", "''", query)
        assert outside == re.sub(r"'[A-Za-z0-9+/=]*'", "''", book.filled(VALUES)[name])


def test_texts_are_inserted_in_base64_only() -> None:
    """Also in workbooks to come: only times are inserted as they are."""
    for book in workbooks.load():
        for query in book.queries.values():
            for placeholder in re.findall(r"\{(\w+(?::\w+)?)\}", query):
                assert placeholder in {"TimeRange:start", "TimeRange:end"} or placeholder.endswith(":base64")
