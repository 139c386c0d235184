"""The transformations of the data collection rules: compared with Microsoft's list, bound, and run."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from irmsentinel.content import artefacts as content
from irmsentinel.content import transforms
from irmsentinel.content.tables import LITERALS, Table
from irmsentinel.kql import parser
from irmsentinel.kql.engine import Engine

LOADED = content.load()
ALL = transforms.load(LOADED.root)
NODE = Path(sys.executable).with_name("node")
MODULES = Path(sys.executable).parents[1] / "kql"
#: Column names that Azure Monitor reserves in a custom table.
RESERVED = {"id", "title", "type", "tenantid", "uniqueid", "_resourceid", "_subscriptionid"}
#: "Supported KQL features in Azure Monitor transformations" (Microsoft, October 2024).
OPERATORS = {"extend", "project", "where", "parse", "project-away", "project-rename", "columnifexists"}
FUNCTIONS = set(
    """
    binary_and binary_or binary_not binary_shift_left binary_shift_right binary_xor
    tobool todatetime todouble toreal toguid toint tolong tostring totimespan
    ago datetime_add datetime_diff datetime_part dayofmonth dayofweek dayofyear endofday endofmonth endofweek
    endofyear getmonth getyear hourofday make_datetime make_timespan now startofday startofmonth startofweek
    startofyear weekofyear array_concat array_length pack_array pack parse_json parse_xml zip
    abs bin floor ceiling exp exp10 exp2 isfinite isinf isnan log log10 log2 pow round sign
    case iif max_of min_of base64_encodestring base64_decodestring countof extract extract_all indexof isempty
    isnotempty split strcat strcat_delim strlen substring tolower toupper hash_sha256 gettype isnotnull isnull
    parse_cef_dictionary geo_location columnifexists
    """.split()  # noqa: SIM905 - as the page lists them
)
# Words before a parenthesis that are not functions.
_WORDS = {"in", "and", "or", "not", "between", "with", "kind"}


def unsupported(kql: str) -> Iterator[str]:
    """A message for each construct that a data collection rule does not support."""
    text = LITERALS.sub(lambda match: '""' if match[0][0] != "/" else "", kql)
    first, *steps = text.split("|")
    if first.strip() != "source":
        yield "it must begin with `source`"
    for step in steps:
        word = re.match(r"\s*([\w-]*)", step)
        if word is None or word[1] not in OPERATORS:
            yield f"the operator `{word[1] if word else step.strip()}` is not supported"
    for name in re.findall(r"\b([A-Za-z_]\w*)\s*\(", text):
        if name not in FUNCTIONS and name not in _WORDS:
            yield f"the function `{name}` is not supported"


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.table.name)
def test_a_rule_supports_each_transformation(one: transforms.Transform) -> None:
    """Only operators and functions of Microsoft's list, and no reserved column."""
    assert list(unsupported(one.kql)) == []
    assert RESERVED.isdisjoint(column.name.lower() for column in one.table.columns)


def test_microsofts_parser_gives_each_the_columns_of_its_table() -> None:
    """Names and types, in any order."""
    request = {
        "library": str(MODULES / parser.LIBRARY),
        "databases": {
            one.table.name: {
                "tables": [
                    {"name": "source", "columns": ", ".join(f"{c.name}:{c.type}" for c in one.columns)}
                ],
                "functions": [],
            }
            for one in ALL
        },
        "texts": [{"id": one.table.name, "database": one.table.name, "text": one.kql} for one in ALL],
    }
    script = LOADED.root / parser.SCRIPT
    done = subprocess.run(
        [NODE, script], input=json.dumps(request), capture_output=True, text=True, check=True, timeout=100
    )
    answers = json.loads(done.stdout)
    for one in ALL:
        assert answers[one.table.name]["diagnostics"] == []
        given = {tuple(pair) for pair in answers[one.table.name]["columns"]}
        assert given == {(column.name, column.type) for column in one.table.columns}


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.table.name)
def test_each_transformation_runs(one: transforms.Transform) -> None:
    """A row gets the table's columns and a TimeGenerated."""
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    row = dict.fromkeys(("TimeGenerated", "Timestamp"), "2026-11-21T12:00:00Z")
    with Engine() as engine:
        kept = {name: value for name, value in row.items() if name in {c.name for c in one.columns}}
        engine.insert(Table("source", "", one.columns), [kept])
        result = engine.run(one.kql, now=now)
    values = dict(zip((column.name for column in result.columns), result.rows[0], strict=True))
    assert values.keys() == {column.name for column in one.table.columns}
    assert values["TimeGenerated"] == now


@pytest.mark.parametrize(
    ("kql", "said"),
    [
        ("source | summarize count()", "summarize"),
        ("source | extend A = coalesce(B, C)", "coalesce"),
        ("source | extend A = iff(B, 1, 2)", "iff"),
        ("source | join kind=inner (Other) on A", "join"),
        ("source\n| mv-expand A", "mv-expand"),
        ("Other | extend A = 1", "begin with"),
        ("source | extend A = column_ifexists('B', 1)", "column_ifexists"),
    ],
)
def test_an_unsupported_construct_is_named(kql: str, said: str) -> None:
    """Microsoft's parser accepts all of these; a deployment would not."""
    assert any(said in words for words in unsupported(kql))


@pytest.mark.parametrize(
    "kql",
    [
        "source | where A in ('join (', \"| summarize\") // | take 5",
        "source | extend A = iif(isempty(B), tostring(C.D), strcat(B, 'x')) | project-away B",
    ],
)
def test_supported_constructs_pass(kql: str) -> None:
    """Strings and comments are not KQL."""
    assert list(unsupported(kql)) == []
