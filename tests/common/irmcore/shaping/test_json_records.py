"""Splunk's JSON exports: rows in `result`, one a line, and rows in `results`, in one document.

The lines and the document are as `search/jobs/export` and `search/jobs/SID/results` write them, and as
`JSONResultsReader` of Splunk's SDK for Python reads them.
"""

from __future__ import annotations

import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.errors import InputError
from irmcore.profile.model import Format
from irmcore.shaping.json_records import MAX_RESULT_CHARACTERS, _starts_document
from irmcore.shaping.readers import SourceRow, decompressed, json_table, looks_like_json


def stream(data: bytes) -> io.BufferedReader:
    """A file of these bytes."""
    return io.BufferedReader(io.BytesIO(data))


def rows(data: str | bytes) -> list[SourceRow]:
    """The rows of a file, with the fields user and n."""
    raw = data if isinstance(data, bytes) else data.encode()
    return list(json_table(stream(raw), ("user", "n"), name="in.json").rows)


def refusal(data: str | bytes) -> str:
    """The error that the file raises."""
    with pytest.raises(InputError) as caught:
        rows(data)
    return str(caught.value)


ANA, BEN = SourceRow(1, ("ana", "6")), SourceRow(2, ("ben", "9"))
LINES = """\
{"preview":false,"offset":0,"result":{"user":"ana","_time":"2026-11-20T08:00:00.000+01:00","n":"6"}}
{"preview":false,"offset":1,"lastrow":true,"result":{"user":"ben","n":"9"}}
"""
DOCUMENT = """\
{"preview":false,"init_offset":0,"messages":[],"fields":[{"name":"user"},{"name":"n"}],\
"results":[{"user":"ana","n":"6"},{"user":"ben","n":"9"}],"highlighted":{}}"""


@pytest.mark.parametrize(
    "text",
    [
        LINES,
        # Only the row, as `jq -c '{result}'` leaves it.
        '{"result":{"user":"ana","n":"6"}}\n{"result":{"user":"ben","n":"9"}}\n',
        # Messages that are no errors.
        LINES + '{"messages":[{"type":"INFO","text":"x"}]}\n',
        DOCUMENT,
        DOCUMENT + "\n",
        "\ufeff \n" + DOCUMENT,
        json.dumps(json.loads(DOCUMENT), indent=2),
        json.dumps(json.loads(DOCUMENT), sort_keys=True),
        '{"results": [{"user":"ana","n":6}, {"user":"ben","n":9}]}',
        # A long list of fields before the results.
        DOCUMENT.replace('{"name":"n"}', ",".join(f'{{"name":"field {n}"}}' for n in range(2000))),
        # Pages, one after the other.
        '{"results":[{"user":"ana","n":6}]}{"results":[]}\n{"results":[{"user":"ben","n":9}]}',
    ],
)
def test_both_forms_are_read(text: str) -> None:
    """The rows come out as if each were on a line of its own; a document's are numbered by result."""
    assert rows(text) == [ANA, BEN]


def test_a_preview_is_left_out() -> None:
    """Rows of a preview come again when the search is done, so they are not read."""
    preview = '{"preview":true,"offset":0,"result":{"user":"eve","n":"1"}}\n{"preview":true,"lastrow":true}\n'
    last = '{"preview":false,"lastrow":true}\n'
    assert [row.values for row in rows(preview + LINES + last)] == [ANA.values, BEN.values]
    assert rows(last) == rows(preview + last) == []


DONE = "Export the results again when the search is done."
ERROR = "Splunk reports an error in this export, so rows may be missing."
CUT = "the JSON document is cut or damaged after result 1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"preview":true,"offset":0,"result":{"user":"eve"}}\n', DONE),
        (DOCUMENT.replace("false", "true"), DONE),
        (LINES + '{"messages":[{"type":"FATAL","text":"secret"}]}\n', ERROR),
        (DOCUMENT.replace("[]", '[{"type":"ERROR","text":"secret"}]'), ERROR),
        (DOCUMENT[: DOCUMENT.index("ben")], CUT),
        (DOCUMENT[: DOCUMENT.index(',{"user":"ben')], CUT),
        (DOCUMENT.replace(',{"user":"ben', ',,{"user":"ben'), CUT),
        (DOCUMENT[:-1], "after result 2"),
        (DOCUMENT + "x", "after result 2"),
        (DOCUMENT.replace('"ben"', '"' + "x" * (MAX_RESULT_CHARACTERS + 70_000) + '"'), CUT),
        (DOCUMENT.replace('"9"', "[" * 100_000 + "]" * 100_000), CUT),
        (
            '{"preview":false,"init_offset":0,"fields":["user"],"rows":[["ana"]]}',
            "the document has no `results`",
        ),
        (
            '{"preview":false,"init_offset":0,"columns":[["ana"]]}',
            "output_mode=json, not json_rows",
        ),
    ],
    ids=lambda text: text[-40:],
)
def test_an_export_that_may_be_incomplete_is_refused(text: str, expected: str) -> None:
    """The message says what to do, and has no text of Splunk's messages."""
    assert expected in refusal(text)
    assert "secret" not in refusal(text)


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ('{"user": ["ana", "ben"]}', "not-a-scalar"),
        ('{"user": "ana", "user": "ben"}', "duplicate-key"),
        ('{"user": NaN}', "invalid-json"),
        ('"ana"', "not-an-object"),
        ("7", "not-an-object"),
        ("null", "not-an-object"),
    ],
)
def test_a_bad_result_affects_no_other(result: str, code: str) -> None:
    """In both forms, the row is refused with its text as it stands."""
    document = f'{{"results":[{{"user":"ana","n":6}}, {result} , {{"user":"ben","n":9}}]}}'
    assert rows(document) == [ANA, SourceRow(2, (result,), code), BEN._replace(line=3)]
    line = f'{{"preview":false,"result":{result}}}'
    first, second = LINES.splitlines()
    assert rows(f"{first}\n{line}\n{second}") == [ANA, SourceRow(2, (line,), code), BEN._replace(line=3)]


@pytest.mark.parametrize(
    "line",
    [
        '{"user":"ana","n":"6","result":{"x":1}}',
        '{"user":"ana","n":"6","results":[1]}',
        '{"user":"ana","n":"6","preview":true}',
        '{"user":"ana","n":"6","messages":[{"type":"FATAL"}]}',
        '{"fields":[],"user":"ana","n":"6"}',
    ],
)
def test_rows_with_fields_of_these_names_stay_rows(line: str) -> None:
    """A line is Splunk's only if it has no other keys than Splunk's."""
    assert rows(line) == [ANA]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "document",
    [
        [{"user": "ana", "n": 6}],
        {"@odata.context": "x", "value": [{"user": "ana", "n": 6}]},
        {"Records": [{"user": "ana", "n": 6}]},
        {"meta": {"x": [1]}, "resources": [{"user": "ana", "n": 6}], "errors": []},
        {"took": 3, "hits": {"total": {"value": 1}, "hits": [{"user": "ana", "n": 6}]}},
        {"schema": [{"name": "user"}], "results": [{"user": "ana", "n": 6}]},
    ],
    ids=["array", "value", "Records", "resources", "hits.hits", "schema and results"],
)
def test_a_document_with_an_array_of_rows(document: object, indent: int | None) -> None:
    """The rows of the array are read, on one line or on several."""
    assert rows(json.dumps(document, indent=indent)) == [ANA]


def test_rows_with_an_array_of_objects_are_lines() -> None:
    """A row may have an array of objects, and an object per line stays one row."""
    line = json.dumps({"user": "ana", "n": "6", "events": [{"user": "eve"}]})
    assert [row.values for row in rows(f"{line}\n{line}\n")] == [("ana", "6"), ("ana", "6")]


def test_objects_on_several_lines() -> None:
    """As jq writes them without -c."""
    one = json.dumps({"user": "ana", "n": 6, "more": {"user": "eve"}}, indent=2)
    assert [row.values for row in rows(f"{one}\n{one}\n")] == [("ana", "6"), ("ana", "6")]


def test_an_array_that_the_profile_names() -> None:
    """Dots lead to it; a document without it is refused, and so is one that is cut."""
    told = Format(records="reply.people")
    document = json.dumps({"reply": {"people": [{"user": "ana", "n": 6}], "list": [{"user": "eve"}]}})
    table = json_table(stream(document.encode()), ("user", "n"), name="in.json", told=told)
    assert [row.values for row in table.rows] == [("ana", "6")]
    for text, said in (('{"reply": {}}', "has no array `reply.people`"), (document[:40], "cut or damaged")):
        with pytest.raises(InputError, match=said):
            list(json_table(stream(text.encode()), ("user",), name="in.json", told=told).rows)


def test_dots_lead_into_nested_objects() -> None:
    """A key with a dot comes first; a nested value in an unused key costs nothing."""
    text = json.dumps({"a": {"b": {"c": "deep"}, "d.e": "dotted"}, "f.g": "flat", "f": {"g": "x"}, "z": [{}]})
    fields = ("a.b.c", "a.d.e", "f.g", "a.none")
    table = json_table(stream(text.encode()), fields, name="in.json")
    assert [row.values for row in table.rows] == [("deep", "dotted", "flat", "")]


def test_a_misspelt_field_is_told() -> None:
    """At the end, when no row has it but rows have one that is spelt almost like it."""
    text = b'{"user": "ana", "ModelInfo": "m"}\n{"user": "ben"}\n'
    table = json_table(stream(text), ("user", "ModelInof"), name="in.json")
    with pytest.raises(InputError, match="no row has `ModelInof`, but rows have `ModelInfo`"):
        list(table.rows)
    table = json_table(stream(text), ("User", "ModelInfo"), name="in.json")
    with pytest.raises(InputError, match="no row has `User`, but rows have `user`"):
        list(table.rows)
    table = json_table(stream(text), ("user", "department"), name="in.json")
    assert len(list(table.rows)) == 2
    assert table.notes == ["in.json: no row has `department`, so that column is empty."]
    table = json_table(stream(text), ("user", "ModelInfo"), name="in.json")
    assert (len(list(table.rows)), table.notes) == (2, [])


def test_a_field_that_is_misspelt_in_some_rows_is_told() -> None:
    """With the number of those rows and the key they have, also inside an object; never with a value."""
    lines = (
        *({"user": "ana", "n": "1", "at": {"time": "t", "zone": "z"}} for _ in range(200)),
        {"user": "ben", "N": "CANARY", "at": {"time": "t"}},
        {"user": "cem", "n": "2", "at": {"tiem": "CANARY", "zone": ""}},
        {"user": "dan", "n": "2", "at": {"tiem": "CANARY", "zone": "z"}},
        {"user": "eve", "n": None, "at": {"time": "t", "other": "z"}},
    )
    text = "\n".join(map(json.dumps, lines)).encode()
    table = json_table(stream(text), ("user", "n", "at.time", "at.zone"), name="in.json")
    assert len(list(table.rows)) == 204
    advice = "so that column is empty there. If it is misspelt, correct it in the file."
    assert table.notes == [
        f"in.json: 2 rows have no `at.time` but `at.tiem`, {advice}",
        f"in.json: 1 row has no `n` but `N`, {advice}",
    ]


@pytest.mark.parametrize(
    ("value", "what", "program"),
    [
        (
            {"ana@b.example": {"n": 1}, "ben@b.example": {"n": 2}},
            "an entry for each key",
            "to_entries[] | {key",
        ),
        (
            {"ana": [{"n": 1}], "ben": [{"n": 2}]},
            "a list of rows for each key",
            "| .value[] | {key: $key} + .",
        ),
        ({"user": ["ana", "ben"], "n": [1, 2]}, "a list of values for each column", "| transpose[] | add"),
        (
            {"tables": [{"columns": [{"name": "user"}], "rows": [["ana"]]}]},
            "tables of columns",
            ".tables[] | ",
        ),
        ([["user", "n"], ["ana", 1]], "an array of arrays", "jq -r '.[] | @csv' in.json > rows.csv"),
    ],
)
def test_a_file_in_another_shape_is_told_with_the_way_to_rows(value: object, what: str, program: str) -> None:
    """Written on one line or on several; the message holds no key or value of the file."""
    for indent in (None, 2):
        data = stream(json.dumps(value, indent=indent).encode())
        assert looks_like_json(data)
        with pytest.raises(InputError) as caught:
            list(json_table(data, ("user", "n"), name="in.json").rows)
        assert f"{what}" in caught.value.what
        assert program in caught.value.next_step
        assert not {"ana", "ben", "b.example"} & set(str(caught.value).replace("@", " ").split())


@pytest.mark.parametrize(
    ("first", "code"),
    [({"at": {"user": None}, "on": {"n": ""}}, None), (["ana", 1], "not-an-object"), (None, "not-an-object")],
)
def test_a_first_row_without_values_does_not_make_another_shape(first: object, code: str | None) -> None:
    """Of a file with more rows, or whose one row has the fields, every good row is read."""
    row = {"at": {"user": "ana"}, "on": {"n": "6"}}
    for more in (1, 2):
        data = stream(json.dumps([first, *[row] * more]).encode())
        found = list(json_table(data, ("at.user", "on.n"), name="in.json").rows)
        assert [one.refused for one in found] == [code, *[None] * more]
    alone = stream(json.dumps({"at": {"user": None}, "on": {"n": ""}}).encode())
    assert [one.values for one in json_table(alone, ("at.user", "on.n"), name="in").rows] == [("", "")]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("standard input", "jq -c '{}' > rows.jsonl"),
        ("old logs.json.gz", "gzip -dc 'old logs.json.gz' | jq -c '{}' > rows.jsonl"),
    ],
)
def test_the_line_of_jq_reads_what_was_read(name: str, command: str) -> None:
    """Since jq reads neither a file that is called standard input nor a compressed one."""
    with pytest.raises(InputError) as caught:
        list(json_table(stream(b'{"ana":{"n":1},"ben":{"n":2}}'), ("user", "n"), name=name).rows)
    assert command.format("to_entries[] | {key: .key} + .value") in caught.value.next_step


def test_a_document_is_read_a_part_at_a_time() -> None:
    """The first rows of a compressed document come out long before its last bytes are read."""

    class Counted(io.BytesIO):
        most = 0

        def read1(self, size: int | None = -1) -> bytes:
            block = super().read1(size)
            self.most = max(self.most, self.tell())
            return block

        def readinto(self, buffer: object) -> int:
            done = super().readinto(buffer)  # type: ignore[arg-type]
            self.most = max(self.most, self.tell())
            return done

    results = ",".join(f'{{"user":"user {n}","n":"{n * 7919 % 10007}"}}' for n in range(100_000))
    packed = Counted(gzip.compress(f'{{"preview":false,"init_offset":0,"results":[{results}]}}'.encode()))
    table = json_table(decompressed(io.BufferedReader(packed), "in"), ("user", "n"), name="in")
    assert next(table.rows) == SourceRow(1, ("user 0", "0"))
    assert packed.most < len(packed.getvalue()) / 2
    assert sum(1 for _ in table.rows) == 99_999


LONGEST = 4 * 1024 * 1024
CELLS = st.text(st.characters(codec="utf-8"), max_size=20)
RESULTS = st.lists(st.dictionaries(st.sampled_from(("user", "n", "x")), CELLS), max_size=30)


def test_a_result_of_four_mebibytes_is_the_longest() -> None:
    """One character more, and the row is refused as too large; the next row is read."""
    for more, code in ((0, None), (1, "row-too-large")):
        line = '{"user":"ana","n":"6","x":""}\n'
        long = line.replace('""', f'"{(4 * 1024 * 1024 + more - len(line)) * "x"}"')
        assert [row.refused for row in rows(long + line)] == [code, None]


@pytest.mark.parametrize("more", [1, 2, LONGEST + 1, LONGEST + 2, LONGEST + 3])
def test_a_line_that_is_too_long_costs_only_itself(more: int) -> None:
    """Of it 1,024 characters are kept, and the next line is read from its beginning."""
    data = "x" * (LONGEST - 1 + more) + "\n" + '{"user":"ben","n":"9"}'
    assert rows(data) == [SourceRow(1, ("x" * 1024,), "row-too-large"), BEN]


@pytest.mark.parametrize(
    ("start", "document"),
    [
        ("", False),
        ("[1]", False),
        ('[{"results":[]}]', False),
        ("{}", False),
        ('{"user":"ana"}', False),
        ('{"results":[', True),
        ('{"results":{', False),
        ('{"rows":[', True),
        ('{"columns" : [', True),
        ('{"user":1,"results":[', False),
        ('{"preview":false,"results":[', True),
        ('{"preview":false}', False),
        ('{"preview":false,"messages":[', False),
        ('{"init_offset":0}', True),
        ('{"init_offset":0,"messages":[', True),
        ('{"init_offset" 0', False),
        ('{"fields":["a', True),
        ('{"fields":["a"]}', False),
        ('{"highlighted":{},"post_process_count":0,"init_offset":0}', True),
    ],
)
def test_how_a_document_begins(start: str, document: bool) -> None:  # noqa: FBT001
    """By its first keys, which no line of an export and no row has."""
    assert _starts_document(start) is document


@pytest.mark.parametrize(("more", "document"), [(0, True), (1, False)])
def test_how_much_of_a_file_tells_a_document(more: int, document: bool) -> None:  # noqa: FBT001
    """The list of results begins within 8 KiB; a file in which it begins later is one of lines."""
    start = '{"messages":["","' + '"],"results":['
    text = start.replace('","', '","' + "x" * (8192 - len(start) + more)) + '{"user":"ana","n":"6"}]}'
    assert (rows(text) == [ANA]) is document


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"offset":0,"result":{"user":"ana","n":"6"}}', [ANA]),
        ('{"preview":false}', []),
        ('{"messages":[]}', []),
        ('{"preview":0}', [SourceRow(1, ("", ""))]),
        ('{"messages":"x"}', [SourceRow(1, ("", ""))]),
        ('{"result":"x"}', [SourceRow(1, ("", ""))]),
        ('{"offset":0,"lastrow":true}', [SourceRow(1, ("", ""))]),
    ],
)
def test_which_line_is_one_of_an_export(line: str, found: list[SourceRow]) -> None:
    """One with a value that an export has there; another line with such keys is a row."""
    assert rows(line) == found


@given(RESULTS, st.booleans(), st.sampled_from((None, 1)))
def test_any_results_are_read_back(
    results: list[dict[str, str]], ascii_only: object, indent: int | None
) -> None:
    """Whatever the cells hold, lines and document give the same rows."""
    document = {"preview": False, "init_offset": 0, "fields": [], "results": results}
    wrapped = [
        json.dumps({"preview": False, "result": row}, ensure_ascii=bool(ascii_only)) for row in results
    ]
    found = rows(json.dumps(document, ensure_ascii=bool(ascii_only), indent=indent))
    assert found == rows("\n".join(wrapped))
    assert [row.values for row in found] == [
        tuple(row.get(field, "").replace("\0", "\udc00") for field in ("user", "n")) for row in results
    ]


@pytest.mark.parametrize("wrong", ["!", "~"])
def test_a_document_with_a_wrong_character_is_never_accepted(wrong: str) -> None:
    """Wherever it stands between the values, and whether it sorts before or after the right one."""
    text = '{"preview":false,"init_offset":0,"results":[{"user":"ana"},{"user":"ben"}]}'
    for at in [at for at, character in enumerate(text) if character in "{}[]:,"]:
        try:
            found = rows(text[:at] + wrong + text[at + 1 :])
        except InputError:
            continue
        assert any(row.refused for row in found), at


@pytest.mark.parametrize("key", ["5", "null", "[1]", '{"a": 1}'])
def test_a_key_that_is_no_text_is_refused(key: str) -> None:
    """What is no JSON object is not read as one."""
    assert CUT in refusal(f'{{"preview":false,"init_offset":0,"results":[{{"user":"ana"}}],{key}:[1]}}')


@given(st.integers(min_value=0, max_value=len(DOCUMENT) - 1))
def test_a_document_cut_anywhere_is_never_accepted(end: int) -> None:
    """Part of a document raises InputError, or gives no row but refused ones."""
    try:
        found = rows(DOCUMENT[:end])
    except InputError:
        return
    assert all(row.refused for row in found)
