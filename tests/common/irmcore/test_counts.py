"""Counts: they reconcile, or there are none."""

from __future__ import annotations

import pytest
from irmcore.counts import Counts


def test_counts_that_reconcile() -> None:
    """Counts add up field by field and are given by name."""
    total = Counts(10, 4, 3, 2, 1) + Counts(5, 5, 0, 0, 0) + Counts()
    assert total == Counts(read=15, shaped=9, merged=3, skipped=2, rejected=1)
    assert total.as_dict() == {"read": 15, "shaped": 9, "merged": 3, "skipped": 2, "rejected": 1}


def test_rare_counts_are_given_only_if_they_are_not_zero() -> None:
    """Records of runs without `identity` and `scope` keep their form."""
    total = Counts(3, 1, out_of_scope=2) + Counts(1, excluded=1)
    assert total.as_dict() == {
        "read": 4,
        "shaped": 1,
        "merged": 0,
        "skipped": 0,
        "rejected": 0,
        "out_of_scope": 2,
        "excluded": 1,
    }
    assert Counts(**Counts(2, 1, out_of_scope=1).as_dict()) == Counts(2, 1, out_of_scope=1)


@pytest.mark.parametrize(
    "wrong",
    [
        *((1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (5, 1, 1, 1, 1), (3, 1, 1, 1, 1)),
        *((4, 1, 1, 1, 1, 1), (5, 1, 1, 1, 1, 1, 1)),
    ],
)
def test_counts_that_do_not_reconcile(wrong: tuple[int, ...]) -> None:
    """Counts with a missing or double-counted row cannot be created."""
    with pytest.raises(AssertionError, match="rows do not reconcile"):
        Counts(*wrong)
