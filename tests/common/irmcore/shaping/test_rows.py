"""Rows: fields, time, key and subject of a row, or the column and reason of its refusal."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from irmcore.errors import InputError
from irmcore.profile import Profile, parse, shipped_text
from irmcore.shaping.blocks import Block
from irmcore.shaping.rows import RowRefused, ShapedRow, Shaper
from irmcore.shaping.times import MICROSECONDS

from tests.common.irmcore.profiles import TEXT, profile

HEADER = ("user", "time", "score", "note")
ROW = ("SaraD@contoso.com", "2023-04-24T05:52:56.962686Z", "9.0", "Model accuracy: 67%")


def shaped(*values: str, header: tuple[str, ...] = HEADER, of: Profile | None = None) -> ShapedRow:
    """The shaped row of these values."""
    return Shaper(of or profile(), header).shape(values)


def test_a_shaped_row() -> None:
    """This row has these fields, this time, and these digests: rows on disk are known again by them.

    A change of the digests makes every outbox send all its rows a second time.
    """
    assert shaped(*ROW) == ShapedRow(
        fields=(
            "sarad@contoso.com",
            "2023-04-24T05:52:56.962686+00:00",
            "9",
            "Model accuracy: 67%",
        ),
        user="sarad@contoso.com",
        time=1_682_315_576_962_686,
        key=bytes.fromhex("ed32c8b8ba765db6875d3b60e13b50a75a39232ac1a16e6e"),
        precision=MICROSECONDS,
    )


def test_the_subject_without_thresholds() -> None:
    """In a profile without a threshold column each field is part of a row's subject."""
    of = parse(TEXT.replace(", role: threshold", ""), "demo.yaml")
    row, other = shaped(*ROW, of=of), shaped(*ROW[:2], "10", ROW[3], of=of)
    assert row.subject != other.subject
    assert row.key[16:] == other.key[16:]


def test_several_thresholds() -> None:
    """Each threshold is part of the key, by position, and not of the subject."""
    of = parse(TEXT + "  - {header: more, type: number, role: threshold}\n", "demo.yaml")
    rows = [
        shaped(*ROW[:2], *scores, header=(*HEADER, "more"), of=of)
        for scores in (("1", "x", "2"), ("2", "x", "1"), ("1", "x", "3"), ("12", "x", "2"))
    ]
    assert len({row.key for row in rows}) == len(rows)
    assert len({row.subject for row in rows}) == 1


OUTSIDE = parse(TEXT.replace("note, type: string", "note, type: string, subject: false"), "it")


def test_an_information_column_can_be_kept_out_of_the_subject() -> None:
    """A row that differs only there is the same detection with another key; other rows differ."""
    row, other, longer = (shaped(*ROW[:3], note, of=OUTSIDE) for note in (ROW[3], "Ä 😀", ""))
    assert row.subject == other.subject == longer.subject
    assert len({row.key, other.key, longer.key}) == 3
    assert row.subject != shaped(*ROW).subject
    assert shaped("bradh@contoso.com", *ROW[1:], of=OUTSIDE).subject != row.subject


def test_the_size_of_a_row_counts_the_text_outside_of_the_subject() -> None:
    """A block never states a smaller largest row than it has, whatever the alphabet."""
    block, _ = Shaper(OUTSIDE, HEADER).shape_block(Block([(*ROW[:3], "😀" * 500)], [1]))
    assert block.largest >= sum(len(cell.encode()) for cell in next(block.rows()).fields)


def test_text_that_is_not_utf_8_outside_of_the_subject() -> None:
    """It refuses its row like any other text; the rest of the block is shaped."""
    rows = [ROW, (*ROW[:3], "\udcff")]
    block, refused = Shaper(OUTSIDE, HEADER).shape_block(Block(rows, [1, 2]))
    assert len(block.keys) == 1
    assert [(at, str(why)) for at, why in refused] == [(1, "note: invalid-utf8")]


@pytest.mark.parametrize(
    ("position", "cell", "same_key", "same_subject"),
    [
        (0, "sarad@CONTOSO.com ", True, True),
        (1, "2023-04-24T07:52:56.962686+02:00", True, True),
        (1, "1682315576.962686", True, True),
        (2, "9e0", True, True),
        (0, "bradh@contoso.com", False, False),
        (1, "2023-04-24T05:52:56.962687Z", False, False),
        (2, "10", False, True),
        (3, "Model accuracy: 68%", False, False),
        (3, "Model accuracy: 67% ", False, False),
        (3, "", False, False),
    ],
)
def test_what_makes_a_row_another(position: int, cell: str, same_key: bool, same_subject: bool) -> None:  # noqa: FBT001
    """Another spelling is the same row, another threshold the same subject, any other change another row."""
    row, other = shaped(*ROW), shaped(*ROW[:position], cell, *ROW[position + 1 :])
    assert (row.key == other.key) is same_key
    assert (row.subject == other.subject) is same_subject


def test_another_job_has_other_keys() -> None:
    """For another connector the same row has another key and subject."""
    row = shaped(*ROW)
    other = shaped(*ROW, of=profile(job="22222222-1111-1111-1111-111111111111"))
    assert (row.fields, row.time) == (other.fields, other.time)
    assert row.key != other.key
    assert row.subject != other.subject


@given(st.permutations(range(4)), st.integers(0, 4))
def test_the_order_of_the_inputs_columns_does_not_matter(order: list[int], extra: int) -> None:
    """Reordered and additional input columns give the same row."""
    header = [HEADER[i] for i in order]
    values = [ROW[i] for i in order]
    header.insert(extra, "unused")
    values.insert(extra, "\0 not even looked at")
    assert shaped(*values, header=tuple(header)) == shaped(*ROW)


NOTES = st.text('ab,"\n \u00eb\u2028', max_size=4)
WIDE = parse(TEXT + "  - {header: more, type: string}\n  - {header: most, type: string}\n", "demo.yaml")


@given(st.tuples(NOTES, NOTES, NOTES), st.tuples(NOTES, NOTES, NOTES))
def test_two_rows_share_a_key_only_if_they_are_the_same(
    notes: tuple[str, str, str], others: tuple[str, str, str]
) -> None:
    """Different rows have different keys, however their texts are divided among columns."""
    assume(notes != others)
    shaper = Shaper(WIDE, (*HEADER, "more", "most"))
    first, second = shaper.shape((*ROW[:3], *notes)), shaper.shape((*ROW[:3], *others))
    assert first.key != second.key
    assert first.subject != second.subject


@pytest.mark.parametrize(
    ("position", "cell", "column", "code"),
    [
        (0, "sarad", "user", "upn-without-domain"),
        (0, "", "user", "missing-value"),
        (1, "yesterday", "time", "time-malformed"),
        (1, "", "time", "missing-value"),
        (2, "many", "score", "number-malformed"),
        (2, "", "score", "missing-value"),
        (3, "\udc00", "note", "nul-character"),
        (3, "\udcff", "note", "invalid-utf8"),
        (3, "\x1f", "note", "control-character"),
    ],
)
def test_a_refused_row(position: int, cell: str, column: str, code: str) -> None:
    """A refusal has the column's header and the reason, but no value and no cause."""
    with pytest.raises(RowRefused) as caught:
        shaped(*ROW[:position], cell, *ROW[position + 1 :])
    assert (caught.value.column, caught.value.code) == (column, code)
    assert caught.value.args == (f"{column}: {code}",)
    assert caught.value.__suppress_context__


def test_of_several_refusals_the_first_column_counts() -> None:
    """If several columns refuse a row, the first in the profile's order is named."""
    with pytest.raises(RowRefused) as caught:
        shaped("sarad", "yesterday", "many", "\0")
    assert (caught.value.column, caught.value.code) == ("user", "upn-without-domain")


def test_a_refusal_leaves_no_trace() -> None:
    """A refused row does not affect the next one."""
    shaper = Shaper(profile(), HEADER)
    with pytest.raises(RowRefused):
        shaper.shape(("sarad", *ROW[1:]))
    assert shaper.shape(ROW) == shaped(*ROW)


def test_a_header_that_lacks_a_field() -> None:
    """A missing field is named, with the most similar one in the header, before any row is read."""
    text = TEXT.replace("{header: note, type: string}", "{header: note, field: remark, type: string}")
    with pytest.raises(InputError) as caught:
        Shaper(parse(text, "demo.yaml"), ("user", "tyme", "score", "remarks"), name="in.csv")
    assert str(caught.value) == (
        "in.csv:1: the header has no `time`, `remark`. Rename the column in the file, or set the profile "
        "column's `field`. The most similar one is `tyme`."
    )
    with pytest.raises(InputError) as caught:  # words that may be a person's, in a file without a header
        Shaper(profile(), ("Usher", "Tim", "Scott"), name="in.csv")
    assert "similar" not in str(caught.value)
    with pytest.raises(InputError) as caught:
        Shaper(profile(), ("q", "w"), name="in.csv")
    assert str(caught.value) == (
        "in.csv:1: the header has no `user`, `time`, `score`, `note`. Rename the column in the file, or set "
        "the profile column's `field`."
    )


def test_a_field_may_feed_two_columns() -> None:
    """Two columns may take the same field of the input."""
    text = TEXT + "  - {header: copy, field: note, type: string}\n"
    assert shaped(*ROW, of=parse(text, "demo.yaml")).fields[3:] == ("Model accuracy: 67%",) * 2


def test_the_time_is_read_in_the_profiles_zone() -> None:
    """A time without offset is in the profile's zone."""
    row = shaped(ROW[0], "2023-04-24 07:52:56.962686", *ROW[2:], of=profile("input: {zone: Europe/Berlin}\n"))
    assert row == shaped(*ROW)


def test_a_row_of_microsofts_example() -> None:
    """A row of the page's second example has these fields in the order of the shipped profile."""
    of = parse(shipped_text("salesforce-dropbox"), "p.yaml")
    header = tuple(column.header for column in of.columns)
    values = (
        "sarad@contoso.com",
        "Salesforce - Sensitive report downloaded and emailed externally",
        "critical",
        "10",
        "2023-04-24T05:52:56.962686Z",
        "Salesforce",
        "text",
        "",
    )
    assert shaped(*values, header=header, of=of).fields == (
        "sarad@contoso.com",
        "Salesforce - Sensitive report downloaded and emailed externally",
        "High",
        "10",
        "2023-04-24T05:52:56.962686+00:00",
        "Salesforce",
        "text",
        "",
    )


TWO_FIELDS = parse(
    TEXT.replace(
        "{header: time, type: datetime}",
        "{header: time, field: day, time_field: clock, type: datetime, format: dmy}",
    )
    .replace("role: threshold}", 'role: threshold, default: "0"}')
    .replace("{header: note, type: string}", "{header: note, type: string, default: none}")
    + "input: {zone: Europe/Berlin, format: {numbers: comma}}\n",
    "demo.yaml",
)


@pytest.mark.parametrize(
    ("day", "clock", "expected"),
    [
        ("20.11.2026", "09:15", "2026-11-20T08:15:00"),
        ("20.11.2026 00:00:00", "9:15 PM", "2026-11-20T20:15:00"),
        ("20.11.2026", "", "2026-11-19T23:00:00"),
        ("", "09:15", "<time-malformed>"),
        ("", "", "<missing-value>"),
    ],
)
def test_a_date_and_a_time_of_day(day: str, clock: str, expected: str) -> None:
    """Both fields make the time; the reject file has them as they were."""
    shaper = Shaper(TWO_FIELDS, ("user", "day", "clock", "score", "note"))
    try:
        found = shaper.shape(("ana@contoso.com", day, clock, "1.250,5", "x")).fields[1][:19]
    except RowRefused as refused:
        found = f"<{refused.code}>"
    assert found == expected


def test_an_empty_cell_gets_the_columns_default() -> None:
    """In a number column and in free text; other cells keep their values."""
    shaper = Shaper(TWO_FIELDS, ("user", "day", "clock", "score", "note"))
    filled = shaper.shape(("ana@contoso.com", "20.11.2026", "09:15", "1.250,5", "x"))
    empty = shaper.shape(("ana@contoso.com", "20.11.2026", "09:15", "", ""))
    assert (filled.fields[2:], empty.fields[2:]) == (("1250.5", "x"), ("0", "none"))


@pytest.mark.parametrize(("asks", "expected"), [(True, "number-two-ways"), (False, "1.25")])
def test_only_files_ask_how_numbers_are_written(asks: bool, expected: str) -> None:  # noqa: FBT001
    """A search or a query always writes a decimal point."""
    shaper = Shaper(profile(), HEADER, asks=asks)
    try:
        found = shaper.shape(("ana@contoso.com", "2026-11-20T08:15:00Z", "1.250", "x")).fields[2]
    except RowRefused as refused:
        found = refused.code
    assert found == expected


def test_no_cell_of_a_first_row_is_shown() -> None:
    """A file without a header has values there, of which one may resemble a column's name."""
    with pytest.raises(InputError) as caught:
        Shaper(profile(), ("ana@contoso.com", "tyme", "scores"), name="in.csv")
    assert "tyme" not in str(caught.value)
