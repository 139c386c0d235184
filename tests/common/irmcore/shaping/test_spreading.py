"""Spreading: the times that a row may take, independent of all other rows."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.shaping.spreading import WINDOWS, candidate_times

DAY = 86_400_000_000
TIME = 1_682_315_576_962_686  # 2023-04-24T05:52:56.962686Z
KEY = bytes.fromhex("00112233445566008899aabbccddeeff0000000000000077")


@pytest.mark.parametrize(
    ("time", "key", "step", "first_candidates"),
    [
        # 05:52:56.000000 to 05:52:56.999999; 0x0011223344556600 + 0x77 is 4_822_678_189_205_111
        (TIME, KEY, 1, [1_682_315_576_205_111, 1_682_315_576_205_112, 1_682_315_576_205_113]),
        # 05:52:00.000 to 05:52:59.999, in milliseconds
        (TIME, KEY, 1_000, [1_682_315_525_111_000, 1_682_315_525_112_000, 1_682_315_525_113_000]),
        # 05:00:00 to 05:59:59, in seconds
        (TIME, KEY, 1_000_000, [1_682_315_111_000_000, 1_682_315_112_000_000, 1_682_315_113_000_000]),
        # the last place of a second is followed by its first
        (TIME, (999_999).to_bytes(8, "big") + bytes(16), 1, [1_682_315_576_999_999, 1_682_315_576_000_000]),
        (0, bytes(24), 1, [0, 1]),
        (0, b"\xff" * 24, 1_000_000, [30_000_000, 31_000_000]),
    ],
)
def test_the_candidate_times_of_a_row(time: int, key: bytes, step: int, first_candidates: list[int]) -> None:
    """The candidate times of a row never change, so a row that was sent has the same time again."""
    assert list(islice(candidate_times(time, key, step), len(first_candidates))) == first_candidates


@pytest.mark.parametrize(
    ("step", "window"), [(1, 1_000_000), (1_000, 60_000_000), (1_000_000, 3_600_000_000)]
)
def test_the_window_of_a_step(step: int, window: int) -> None:
    """A row stays in its second, its minute or its hour."""
    assert WINDOWS[step] == window


TIMES = st.integers(0, 2_932_895 * DAY)
KEYS = st.binary(min_size=24, max_size=24)


@given(TIMES, KEYS, st.sampled_from(sorted(WINDOWS)))
def test_a_candidate_is_in_the_rows_window(time: int, key: bytes, step: int) -> None:
    """Each candidate is a whole step within the row's window, and so within its UTC day."""
    for place in islice(candidate_times(time, key, step), 50):
        assert place // WINDOWS[step] == time // WINDOWS[step]
        assert place // DAY == time // DAY
        assert place % step == 0


@given(TIMES, KEYS, st.sampled_from((1_000, 1_000_000)))
def test_every_time_of_the_window_is_a_candidate(time: int, key: bytes, step: int) -> None:
    """The candidates are distinct, one for each step of the window."""
    found = list(candidate_times(time, key, step))
    assert len(found) == len(set(found)) == WINDOWS[step] // step


@given(TIMES, st.integers(0, 999_999), KEYS)
def test_where_in_the_second_a_row_stood_does_not_matter(time: int, later: int, key: bytes) -> None:
    """Only the key decides the time within the window."""
    second = time - time % 1_000_000
    assert next(candidate_times(second, key, 1)) == next(candidate_times(second + later, key, 1))


def test_a_row_tries_every_microsecond_of_its_second() -> None:
    """A row's candidates include every microsecond of its second."""
    found = list(candidate_times(TIME, KEY, 1))
    assert sorted(found) == list(range(1_682_315_576_000_000, 1_682_315_577_000_000))
