"""keep-greatest: the row of a user and time with the greatest threshold."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.shaping.collisions import GreatestRows, NumberedRow
from irmcore.shaping.rows import ShapedRow
from irmcore.shaping.times import SECONDS


def row(number: int, user: str, time: int, threshold: str, key: int = 0) -> NumberedRow:
    """A numbered row whose last field is its threshold."""
    fields = (user, str(time), threshold)
    return number, fields, ShapedRow(fields, user, time, key.to_bytes(24, "big"), SECONDS)


def greatest(rows: Iterable[NumberedRow]) -> GreatestRows:
    """The greatest of these rows."""
    found = GreatestRows(2)
    for numbered in rows:
        found.add(numbered)
    return found


def kept(*rows: NumberedRow) -> tuple[list[int], int]:
    """The numbers of the kept rows, and how many were merged."""
    found = greatest(rows)
    return [numbered[0] for numbered in found.rows()], found.merged


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], ([], 0)),
        ([row(2, "a", 1, "5")], ([2], 0)),
        ([row(2, "a", 1, "5"), row(3, "a", 1, "9"), row(4, "a", 1, "7")], ([3], 2)),
        ([row(2, "a", 1, "5"), row(3, "b", 1, "9"), row(4, "a", 2, "7")], ([2, 3, 4], 0)),
        ([row(2, "a", 1, "9"), row(3, "b", 1, "1"), row(4, "a", 1, "10")], ([4, 3], 1)),
        ([row(2, "a", 1, "-1"), row(3, "a", 1, "-2")], ([2], 1)),
        ([row(2, "a", 1, "0.3"), row(3, "a", 1, "0.30000000000000004")], ([3], 1)),
        ([row(2, "a", 1, ""), row(3, "a", 1, "-1"), row(4, "a", 1, "0")], ([2], 2)),
        ([row(2, "a", 1, "5", key=8), row(3, "a", 1, "5", key=7), row(4, "a", 1, "5", key=9)], ([3], 2)),
        ([row(2, "a", 1, "5", key=7), row(3, "a", 1, "5", key=7)], ([2], 1)),
    ],
)
def test_the_greatest_is_kept(rows: list[NumberedRow], expected: tuple[list[int], int]) -> None:
    """Thresholds are compared as numbers, empty as 0; among equal ones the smaller key is kept."""
    assert kept(*rows) == expected


@given(
    st.lists(
        st.builds(
            row,
            st.just(0),
            st.sampled_from("ab"),
            st.sampled_from((1, 2)),
            st.sampled_from(("", "1", "2", "10")),
            st.integers(0, 5),
        ),
        max_size=8,
    ).flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows)))
)
def test_the_order_of_the_rows_does_not_matter(both: tuple[list[NumberedRow], list[NumberedRow]]) -> None:
    """The order of the rows changes neither the kept rows nor the counts."""
    results = []
    for rows in both:
        found = greatest(rows)
        assert len(found.rows()) + found.merged == len(rows)
        results.append({(r.user, r.time): (r.fields[2], r.key) for _, _, r in found.rows()})
    assert {k: (v[0] or "0", v[1]) for k, v in results[0].items()} == {
        k: (v[0] or "0", v[1]) for k, v in results[1].items()
    }
