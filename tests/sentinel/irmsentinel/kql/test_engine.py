from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from irmcore.errors import DataError
from irmsentinel.content import artefacts as content
from irmsentinel.content import tables
from irmsentinel.content.artefacts import Column
from irmsentinel.content.tables import Table
from irmsentinel.kql.engine import Engine, load_folder
from irmsentinel.kql.engine_errors import Text, explained

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


def test_a_timespan_becomes_the_text_that_it_is_in_kusto() -> None:
    """Timespans become texts as in Kusto, also beside brackets and quotes in other values."""
    kql = """datatable(T:timespan, S:string)[25h, "(a", 1m, "'b)", 1500ms, "|"]
    | extend Text = tostring(T), Both = strcat(S, iff(T > 2h, "(", ")'"), T), Other = tostring(4)
    | project Text, Both, Other"""
    with Engine() as engine:
        rows = engine.run(kql, now=NOW).rows
    assert rows == (
        ("1.01:00:00", "(a(1.01:00:00", "4"),
        ("00:01:00", "'b))'00:01:00", "4"),
        ("00:00:01.5000000", "|)'00:00:01.5000000", "4"),
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
        "duckdb": {"engine.py", "engine_errors.py", "cost.py"},
        "azure.monitor.query": {"workspace.py"},
        "azure.monitor.ingestion": {"ingestion.py"},
    }
    for package, modules in allowed.items():
        top = content.root() / "irmsentinel"
        users = {file.name for file in top.rglob("*.py") if f"import {package}" in file.read_text()}
        users |= {file.name for file in top.rglob("*.py") if f"from {package}" in file.read_text()}
        assert users == modules


def function(body: str) -> content.Artefact:
    """A function F without parameters, whose body begins in line 5 of its file."""
    file = Path("content/F.kql")
    return content.Artefact(
        path=file, summary="It.", parameters=(), returns=(), body=body, first_line=5, text=body
    )


@pytest.mark.parametrize(
    ("kql", "what", "where"),
    [
        ("T\n| mv-apply X = A_dynamic on (take 1)", "`mv-apply` is not supported", "line 2, column 3"),
        ("T\n| make-series X = count() on A_datetime step 1d", "`make-series`", "line 2, column 3"),
        ("T | join kind=fullouterx (T) on A_long", "`join kind=fullouterx`", "line 1, column 10"),
        ("print x = 'foo(1)', y = foo(1)", "the function `foo` is not supported", "line 1, column 25"),
        ("T\n| where B > 1", "there is no column `B`", "line 2, column 9"),
        ("U\n| count", "there is no table or function `U`", "line 1, column 1"),
        ("T\n| where A_long > \n| count", "it does not parse at `| count`", "line 3, column 1"),
        ("T\n| wher A_long > 1", "it does not parse at `| wher`", "line 2, column 1"),
        ("T\n|  serialize", "it does not parse at `| serialize`", "line 2, column 1"),
        (
            "T\n| summarize percentiles(A_long, 5, 9)",
            "the function `percentiles` is not supported",
            "line 2, column 13",
        ),
        (
            "T\n| make-graph A --> B with T on A_long\n| count",
            "a graph must be followed by a graph operator",
            "line 3, column 3",
        ),
        ("let f = (X:(A_long:long)) { X };\nf(T)", "a function that takes a table", "line 1, column 10"),
    ],
)
def test_an_error_has_the_construct_and_the_place(kql: str, what: str, where: str) -> None:
    """As its author wrote it, in the query or in the file of the function that the query calls."""
    with Engine() as engine:
        engine.insert(TABLE, [])
        with pytest.raises(DataError) as refused:
            engine.run(kql, now=NOW)
    assert what in refused.value.what
    assert refused.value.where == f"{where} of the query"
    line, column = (int(number) for number in where.replace(",", "").split()[1::2])
    with Engine([function(kql)]) as engine:
        engine.insert(TABLE, [])
        with pytest.raises(DataError) as refused:
            engine.run("F()", now=NOW)
    assert what in refused.value.what
    assert refused.value.where == f"content/F.kql:{line + 4}:{column}"


def test_an_error_in_a_file_has_the_line_of_the_file() -> None:
    """Also if the query that runs begins with other lines."""
    artefact = function("T\n| evaluate bag_unpack(A_dynamic)")
    with Engine() as engine:
        engine.insert(TABLE, [])
        with pytest.raises(DataError) as refused:
            engine.run(f"declare query_parameters(x:long = 1);\n{artefact.body}", now=NOW, artefact=artefact)
    assert refused.value.where == "content/F.kql:6:3"


def test_an_error_of_a_value_does_not_show_it() -> None:
    """DuckDB puts values of rows into some of its messages."""
    error = explained(duckdb.ConversionException("Could not convert 'a secret value'"), [Text("T")])
    assert error.what == "the local engine cannot run it: ConversionException"
