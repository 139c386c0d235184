"""Documents whose tables stay text: they are read and rejected exactly as the standard library does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmsentinel.azure.rows_text import Rows, loads

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def plain(value: Any) -> Any:
    """The value with lists in place of Rows."""
    if isinstance(value, Rows):
        return [plain(row) for row in value]
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


@given(value=VALUES, indent=st.sampled_from([None, 0, 1]), ascii_=st.booleans())
def test_a_document_has_its_value(*, value: Any, indent: int | None, ascii_: bool) -> None:
    """With any content, with and without spaces."""
    assert plain(loads(json.dumps(value, indent=indent, ensure_ascii=ascii_))) == value


@given(value=VALUES, cut=st.integers(0, 200), put=st.sampled_from(["", ",", "]", "[", "x", '"', "}"]))
def test_a_text_that_is_not_json_is_refused(value: Any, cut: int, put: str) -> None:
    """A text is accepted if and only if the standard library accepts it, with the same value."""
    text = json.dumps({"rows": [[1, "a"], [value]], "value": value})
    spoilt = text[: cut % len(text)] + put + text[cut % len(text) + 1 :]
    try:
        wanted = json.loads(spoilt)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - json's own
            loads(spoilt)
    else:
        assert plain(loads(spoilt)) == wanted


def test_rows_are_counted_and_can_be_iterated_twice() -> None:
    """Their number and widths are known before the first iteration."""
    rows = loads(' {"rows" : [ [1, "a"] ,\n [2, "]"], ["[", null] ] , "error": null} ')["rows"]
    assert isinstance(rows, Rows)
    assert (len(rows), rows.widths) == (3, {2})
    assert list(rows) == list(rows) == [[1, "a"], [2, "]"], ["[", None]]
    assert [2, "]"] in rows
    assert [3] not in rows


@pytest.mark.parametrize(
    ("text", "widths"), [("[[1], [1, 2]]", {1, 2}), ("[[1], 7]", {1, -1}), ("[[]]", {0})]
)
def test_widths_show_rows_that_are_not_a_table(text: str, widths: set[int]) -> None:
    """Rows of several lengths, and items that are not rows."""
    assert loads(text).widths == widths


def test_a_document_nested_too_deeply_is_refused() -> None:
    """json.loads refuses it the same way."""
    with pytest.raises(RecursionError):
        loads("[" * 100_000)
