from datetime import UTC, datetime
from pathlib import Path

import pytest
from irmcore.errors import DataError
from irmsentinel.content import artefacts as content
from irmsentinel.content import tables
from irmsentinel.content.artefacts import Column
from irmsentinel.content.tables import Table
from irmsentinel.kql.engine import Engine, load_folder

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TABLE = Table(
    "T",
    "",
    tuple(
        Column(f"A_{kind}", kind)
        for kind in ("datetime", "string", "dynamic", "long", "int", "real", "bool", "guid")
    ),
)


def test_every_type_is_read_and_returned() -> None:
    """Results have Kusto's types; a missing string is "", any other missing value is null."""
    full = {
        "A_datetime": "2026-11-20T08:00:00.000001Z",
        "A_string": "x",
        "A_dynamic": {"a": 1},
        "A_long": 1 << 40,
        "A_int": 1,
        "A_real": 0.5,
        "A_bool": True,
        "A_guid": "00000000-0000-0000-0000-0000000000AA",
    }
    with Engine() as engine:
        engine.insert(TABLE, [full, {"A_long": 0}])
        result = engine.run("T | sort by A_long desc", now=NOW)
    assert [column.type for column in result.columns] == [column.type for column in TABLE.columns]
    moment = datetime(2026, 11, 20, 8, 0, 0, 1, tzinfo=UTC)
    guid = "00000000-0000-0000-0000-0000000000aa"
    assert result.rows == (
        (moment, "x", '{"a":1}', 1 << 40, 1, 0.5, True, guid),
        (None, "", None, 0, None, None, None, None),
    )


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"A_strng": "x"}, "Did you mean A_string"),
        ({"A_datetime": "2026-11-20T08:00:00"}, "not a time in UTC"),
        ({"A_datetime": "2026-11-20T08:00:00+01:00"}, "not a time in UTC"),
        ({"A_long": "a secret value"}, "cannot be read as T"),
    ],
)
def test_rows_that_do_not_fit_are_refused(row: dict[str, object], what: str) -> None:
    """The message has file and line where they are known, and never the value."""
    with Engine() as engine, pytest.raises(DataError, match=what) as refused:
        engine.insert(TABLE, [row])
    assert "a secret value" not in str(refused.value)


def test_a_query_reads_and_writes_no_file(tmp_path: Path) -> None:
    """Once a query runs, the engine has no access to the disk."""
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with Engine() as engine:
        engine.insert(TABLE, [])
        for kql in (f"externaldata(a:string)['{secret}']", f"['{secret}']", "T | invoke nothing()"):
            with pytest.raises(DataError, match="the local engine cannot run it"):
                engine.run(kql, now=NOW)


def test_a_folder_without_tables_says_how_to_make_some(tmp_path: Path) -> None:
    """For an unknown table the message has the nearest name."""
    known = tables.shapes(tables.load(content.root() / "tables"))
    with Engine() as engine:
        with pytest.raises(DataError, match="irmexport sentinel samples"):
            load_folder(engine, tmp_path, known)
        (tmp_path / "SigninLog.jsonl").write_text("{}\n")
        with pytest.raises(DataError, match="Did you mean SigninLogs"):
            load_folder(engine, tmp_path, known)
        (tmp_path / "SigninLog.jsonl").rename(tmp_path / "SigninLogs.jsonl")
        (tmp_path / "SigninLogs.jsonl").write_text("{}\n[1]\n")
        with pytest.raises(DataError, match=r"SigninLogs\.jsonl:2: a line is not a JSON object"):
            load_folder(engine, tmp_path, known)
        (tmp_path / "SigninLogs.jsonl").write_bytes(b'{}\n{"UserId": "\xe9"}\n')
        with pytest.raises(DataError, match=r"SigninLogs\.jsonl:2: a line is not a JSON object in UTF-8"):
            load_folder(engine, tmp_path, known)


def test_each_of_these_packages_is_imported_by_one_module() -> None:
    """The engine, the query client and the ingestion client."""
    allowed = {
        "duckdb": {"engine.py"},
        "azure.monitor.query": {"workspace.py"},
        "azure.monitor.ingestion": {"ingestion.py"},
    }
    for package, modules in allowed.items():
        top = content.root() / "irmsentinel"
        users = {file.name for file in top.rglob("*.py") if f"import {package}" in file.read_text()}
        users |= {file.name for file in top.rglob("*.py") if f"from {package}" in file.read_text()}
        assert users == modules
