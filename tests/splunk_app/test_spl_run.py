"""The interpreter that runs the searches: its reading of Splunk's reference, and what it refuses to guess."""

from __future__ import annotations

from typing import Any

import pytest

from tests.splunk_app import spl_run

TABLE = spl_run.Lookup(
    [
        {"name": "Ana", "upn": "ana@contoso.com", "kind": "sam"},
        {"name": "jan", "upn": "jan.k@contoso.com", "kind": ""},
        {"name": "jan", "upn": "jan.s@contoso.com", "kind": "sam"},
    ],
    case_sensitive=False,
)


def evaluated(expression: str, **fields: Any) -> Any:
    """The value of an expression."""
    (row,) = spl_run.run(f"x=1 | eval result={expression}", [{"x": "1", **fields}])
    return row["result"]


@pytest.mark.parametrize(
    "text",
    [
        *("x=1 | dedup x", "x=1 | eval y=now()", "x=1 | stats median(x) AS y BY x", "x~1 | table x", "a"),
        "x=1 | eval y=mvindex(x, -1)",
        "x=1 | eval y=mvfilter(x=z)",
        "x=1 | eval y=mvmap(mvdedup(x), x)",
        "x=1 | where x>0",
        'x=1 | eval y=x+1, z=x . "a"',
        "x=1 | lookup names name AS x OUTPUTNEW upn",
        "x=1 | eval y=now()",
        'x=1 | eval y=strptime("2023-11-15", "%Y-%m-%d")',
        "| tstats count FROM datamodel=A.B WHERE x=1 BY x, _time span=15m",
    ],
)
def test_unsupported_spl_is_an_error(text: str) -> None:
    """The interpreter never guesses."""
    with pytest.raises((spl_run.Unsupported, KeyError, IndexError)):
        spl_run.run(text, [{"x": "1"}], {"names": TABLE})


@pytest.mark.parametrize("expression", ["lower(m)", 'm="a"', 'm . "x"', 'match(m, "a")', 'in(m, "a")'])
def test_several_values_are_refused_where_one_is_expected(expression: str) -> None:
    """The reference does not say what such a function does with several values."""
    with pytest.raises(spl_run.Unsupported):
        evaluated(expression, m=["a", "b"])


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("mvcount(m)", 3),
        ("mvcount(one)", 1),
        ("mvcount(nothing)", None),
        ("mvdedup(m)", ["b", "a"]),
        ("mvsort(mvdedup(m))", ["a", "b"]),
        ("mvzip(m, m)", ["b,b", "a,a", "b,b"]),
        ("mvzip(one, one)", "1,1"),
        ("mvmap(m, if(m=one2, m, null()))", "a"),
        ('mvmap(m, m . "x")', ["bx", "ax", "bx"]),
        ('mvmap(nothing, "x")', None),
        ('mvfilter(match(m, "^b"))', ["b", "b"]),
        ('mvfilter(NOT match(m, "^b"))', "a"),
        ('mvfilter(match(m, "c"))', None),
        ('mvjoin(m, ", ")', "b, a, b"),
        ('mvjoin(one, ", ")', "1"),
        ("mvindex(m, 1)", "a"),
        ("mvappend(m, nothing, one)", ["b", "a", "b", "1"]),
        ('split("a,b", ",")', ["a", "b"]),
        ('split("a", ",")', "a"),
    ],
)
def test_functions_of_several_values(expression: str, value: object) -> None:
    """As in the reference: Multivalue eval functions."""
    assert evaluated(expression, m=["b", "a", "b"], one="1", one2="a") == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("nothing=1", None),
        ("NOT nothing=1", None),
        ('nothing=1 AND one="2"', False),
        ('nothing=1 AND one="1"', None),
        ('nothing=1 OR one="1"', True),
        ('nothing=1 OR one="2"', None),
        ("case(nothing=1, 1, true(), 2)", 2),
        ('if(nothing!="", 1, 2)', 2),
        ("coalesce(nothing, one)", "1"),
        ('tonumber("x")', None),
        ('tonumber(" 1")', None),
        ('len(tonumber("10"))', 2),
        ('tonumber("1.5")', 1.5),
        ('"a" . nothing', None),
        ('"a" . one . ": " . 2', "a1: 2"),
        ("'a.b'", "dotted"),
        ("mvfilter('a.b'!=\"\")", "dotted"),
        ("1700010000-1700010000%86400", 1700006400),
        ("pow(10, max(0, len(1234)-2))", 100),
        ("max(nothing, 2, 10)", 10),
        ("len(nothing)", None),
        ('strptime("2023-11-15 +0000", "%Y-%m-%d %z")', 1700006400.0),
        ('strptime("15/11/2023 +0000", "%Y-%m-%d %z")', None),
        ('strptime(nothing, "%Y-%m-%d %z")', None),
        ('match("LAPTOP$", "[\\x24]\\s*(@|\\z)")', True),
        ('match("LAPTOP$@CONTOSO.COM", "[\\x24]\\s*(@|\\z)")', True),
        ('match("cash$flow", "[\\x24]\\s*(@|\\z)")', False),
        ('replace("CONTOSO\\\\ana", "^.*\\\\\\\\", "")', "ana"),
    ],
)
def test_nulls_and_texts(expression: str, value: object) -> None:
    """Null is neither true nor false; only quotes and backslashes are escaped in a text."""
    assert evaluated(expression, one="1", **{"a.b": "dotted"}) == value


def test_a_search_term_fits_any_of_several_values() -> None:
    """With NOT, none of them may fit; an event without the field does not fit, and fits NOT."""
    events = [{"x": ["a", "b"], "n": [1, 5]}, {"x": "c"}, {}]
    assert spl_run.run('x IN ("b", "z") | table x', events) == [{"x": ["a", "b"]}]
    assert spl_run.run("n>4 | table x", events) == [{"x": ["a", "b"]}]
    assert [row["x"] for row in spl_run.run("NOT x=a* | table x", events)] == ["c", None]


def test_a_running_sum_follows_the_order() -> None:
    """Sorted by a text and downwards by a number; by each value of the field; over all rows without BY."""
    rows = [{"k": k, "n": n, "x": "1"} for k, n in (("b", 9), ("a", 2), ("b", 10), ("a", 1))]
    text = (
        "x=1 | eventstats min(n) AS least, max(n) AS most | sort 0 k, -n | streamstats sum(n) AS so_far BY k"
    )
    assert [
        tuple(row.values()) for row in spl_run.run(f"{text} | table k, n, so_far, least, most", rows)
    ] == [
        ("a", 2, 2, 1, 10),
        ("a", 1, 3, 1, 10),
        ("b", 10, 10, 1, 10),
        ("b", 9, 19, 1, 10),
    ]


def test_mvexpand_makes_a_row_of_each_value() -> None:
    """None without a value; the other fields stay, and `count AS` names the count."""
    rows = [{"x": "1", "m": [2, 3]}, {"x": "1"}, {"x": "1", "m": 3}]
    found = spl_run.run("x=1 | mvexpand m | stats count AS n BY x, m", rows)
    assert found == [{"x": "1", "m": 2, "n": 1}, {"x": "1", "m": 3, "n": 2}]


def test_addinfo_has_the_time_range_of_the_search() -> None:
    """As numbers."""
    search = "x=1 | addinfo | table info_min_time, info_max_time"
    assert spl_run.run(search, [{"x": "1"}], span=(5, 7.5)) == [{"info_min_time": 5, "info_max_time": 7.5}]


def test_tstats_counts_by_quarters_of_an_hour() -> None:
    """An event with several values of a field that is only listed counts once."""
    search = (
        "| tstats summariesonly=false count, values(B.c) AS c FROM datamodel=A.B WHERE B.u=* "
        "BY B.u, _time span=15m"
    )
    events = [{"_time": time, "B.u": "ana", "B.c": ["x", "y"]} for time in (900, 1799, 1800)]
    assert spl_run.run(search, events) == [
        {"B.u": "ana", "_time": 1800, "count": 1, "c": ["x", "y"]},
        {"B.u": "ana", "_time": 900, "count": 2, "c": ["x", "y"]},
    ]


def test_a_lookup_adds_no_value_one_or_several_in_file_order() -> None:
    """Letter case counts only if the stanza says so, and no more matches than its limit are returned."""
    search = "x=* | lookup local=true names name AS x OUTPUT name AS found, upn AS upn | table x, found, upn"
    events = [{"x": "ANA"}, {"x": "jan"}, {"x": "ben"}, {"upn": "old@contoso.com", "x": ""}]
    rows = [list(row.values()) for row in spl_run.run(search, events, {"names": TABLE})]
    assert rows == [
        ["ANA", "Ana", "ana@contoso.com"],
        ["jan", ["jan", "jan"], ["jan.k@contoso.com", "jan.s@contoso.com"]],
        ["ben", None, None],
        ["", None, None],
    ]
    strict = spl_run.Lookup(TABLE.rows, max_matches=1)
    rows = [list(row.values()) for row in spl_run.run(search, events[:2], {"names": strict})]
    assert rows == [["ANA", None, None], ["jan", "jan", "jan.k@contoso.com"]]
    with pytest.raises(KeyError):
        spl_run.run(search, events)


def test_an_empty_cell_is_read_both_ways() -> None:
    """The reference does not say whether it becomes an empty value or none."""
    search = "x=* | lookup names name AS x OUTPUT kind AS kind | table kind"
    for keeps, value in ((True, ["", "sam"]), (False, "sam")):
        table = spl_run.Lookup(TABLE.rows, keeps_empty=keeps)
        assert spl_run.run(search, [{"x": "jan"}], {"names": table}) == [{"kind": value}]


def test_a_subsearch_returns_its_value_before_the_search_begins() -> None:
    """`return $field` puts the value into the text; a quoted bracket is no subsearch."""
    search = 'x=1 | eval n=[| inputlookup max=1 names | stats count | return $count], y="[| a]" | table n, y'
    assert spl_run.run(search, [{"x": "1"}], {"names": TABLE}) == [{"n": 1, "y": "[| a]"}]
    empty = spl_run.Lookup([])
    assert spl_run.run(search, [{"x": "1"}], {"names": empty}) == [{"n": 0, "y": "[| a]"}]


def test_stats_counts_each_value_of_a_field() -> None:
    """An event with two values of a BY field is in both groups; one without it is in none."""
    events = [{"x": "1", "u": ["a", "b"], "n": 2}, {"x": "1", "u": "a", "n": 3}, {"x": "1"}]
    assert spl_run.run("x=1 | stats count, sum(n) AS n BY u", events) == [
        {"u": "a", "count": 2, "n": 5},
        {"u": "b", "count": 1, "n": 2},
    ]
    assert spl_run.run("x=1 | stats count", events) == [{"count": 3}]


def test_aggregates_that_the_alerts_use() -> None:
    """`latest` is the last event's value, `fillnull` fills the fields that it names."""
    events = [{"a": "x", "n": 3, "_time": 1}, {"a": "x", "n": 1, "_time": 2}, {"a": "x", "_time": 3}]
    search = (
        'a="x" | fillnull value="-" b | stats latest(n) AS last, max(n) AS most, dc(n) AS different BY a, b'
    )
    assert spl_run.run(search, events) == [{"a": "x", "b": "-", "last": 1, "most": 3, "different": 2}]
