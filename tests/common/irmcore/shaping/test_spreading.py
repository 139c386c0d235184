"""Spreading: the places that a row may take, and which one it takes if others are taken."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.shaping.spreading import (
    WINDOWS,
    FreePlaces,
    first_place,
    first_places,
    precisions_of,
    windows_of,
)
from irmcore.shaping.times import MICROSECONDS, MILLISECONDS, SECONDS

DAY = 86_400_000_000
TIME = 1_682_315_576_962_686  # 2023-04-24T05:52:56.962686Z
KEY = bytes.fromhex("00112233445566008899aabbccddeeff0000000000000077")
PRECISIONS = (SECONDS, MILLISECONDS, MICROSECONDS)


def candidates(time: int, key: bytes, step: int, windows: Sequence[int], count: int = 10**9) -> list[int]:
    """The places of the next ``count`` rows with this time and key, each of which takes its own."""
    free, taken, found = FreePlaces(step), set[int](), list[int]()
    while len(found) < count:
        place = free.find(time, key, 7, windows, taken.__contains__)
        if place is None:
            break
        taken.add(7 + place)
        found.append(place)
    return found


@pytest.mark.parametrize(
    ("time", "key", "step", "first"),
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
def test_the_places_of_a_row(time: int, key: bytes, step: int, first: list[int]) -> None:
    """The places of a row of a profile of version 1 never change, nor does their order."""
    assert candidates(time, key, step, windows_of(step, 0), len(first)) == first
    assert first_place(time, key, step, WINDOWS[step]) == first[0]
    assert first_places([time], [key], step, b"\0") == first[:1]


@pytest.mark.parametrize(
    ("time", "precision", "first"),
    [
        (TIME - TIME % 1_000_000, SECONDS, [1_682_315_576_205_111, 1_682_315_576_205_112]),
        (TIME - TIME % 1_000, MILLISECONDS, [1_682_315_576_962_111, 1_682_315_576_962_112]),
        # If the pair is taken, the key names a place in the millisecond.
        (TIME, MICROSECONDS, [TIME, 1_682_315_576_962_111, 1_682_315_576_962_112]),
    ],
)
def test_the_places_of_a_row_that_keeps_its_precision(time: int, precision: int, first: list[int]) -> None:
    """The places of a row of a profile of version 2 never change, nor does their order."""
    assert candidates(time, KEY, 1, windows_of(1, precision), len(first)) == first
    assert first_places([time], [KEY], 1, bytes([precision])) == first[:1]


@pytest.mark.parametrize(
    ("step", "window"), [(1, 1_000_000), (1_000, 60_000_000), (1_000_000, 3_600_000_000)]
)
def test_the_window_of_a_step(step: int, window: int) -> None:
    """A row stays in its second, its minute or its hour; with a coarse step, whatever its precision is."""
    assert WINDOWS[step] == window
    assert windows_of(step, 0) == (window,)
    if step > 1:
        assert {windows_of(step, precision) for precision in PRECISIONS} == {(window,)}


TIMES = st.integers(0, 2_932_895 * DAY)
KEYS = st.binary(min_size=24, max_size=24)


@given(TIMES, KEYS, st.sampled_from(sorted(WINDOWS)), st.sampled_from((0, *PRECISIONS)))
def test_a_place_is_in_the_rows_window(time: int, key: bytes, step: int, precision: int) -> None:
    """Each place is a whole step within the row's window, and so within its UTC day."""
    window = windows_of(step, precision)[0]
    for place in candidates(time, key, step, (window,), 50):
        assert place // window == time // window
        assert place // DAY == time // DAY
        assert place % step == 0


@given(TIMES, KEYS, st.sampled_from((1_000, 1_000_000)))
def test_every_time_of_the_window_is_a_place(time: int, key: bytes, step: int) -> None:
    """As many rows as a window has steps get a place of their own, and the next one none."""
    found = candidates(time, key, step, (100 * step,))
    start = time - time % (100 * step)
    assert sorted(found) == list(range(start, start + 100 * step, step))


@given(TIMES, st.integers(0, 999_999), KEYS)
def test_where_in_the_second_a_row_stood_does_not_matter(time: int, later: int, key: bytes) -> None:
    """In a profile of version 1, only the key decides the time within the window."""
    second = time - time % 1_000_000
    assert first_places([second], [key], 1, b"\0") == first_places([second + later], [key], 1, b"\0")


def test_a_row_leaves_a_full_millisecond_for_its_second() -> None:
    """1,000 rows of a user keep their millisecond; later ones get a place in the second."""
    time = TIME - TIME % 1_000
    found = candidates(time, KEY, 1, windows_of(1, MILLISECONDS), 1_200)
    assert sorted(found[:1_000]) == list(range(time, time + 1_000))
    assert {place // 1_000_000 for place in found} == {TIME // 1_000_000}
    assert len(set(found)) == 1_200


# Few keys in few places, so that rows meet.
NARROW = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 11)), max_size=60)


@given(NARROW, st.sets(st.integers(0, 35)))
def test_places_are_found_as_if_each_was_tried(rows: list[tuple[int, int]], others: set[int]) -> None:
    """What is remembered of taken places changes no result."""
    free, taken, tried = FreePlaces(1), set(others), set(others)
    for window, chosen in rows:
        start, key = window * 12, bytes(16) + chosen.to_bytes(8, "big")
        expected = next(
            (at for at in (start + (chosen + n) % 12 for n in range(12)) if at not in tried), None
        )
        assert free.find(start + 3, key, 0, (12,), taken.__contains__) == expected
        if expected is not None:
            taken.add(expected)
            tried.add(expected)


def test_a_full_window_is_not_tried_again() -> None:
    """Each place of a window is asked for about once, however many rows want one."""
    asked = 0
    taken: set[int] = set()

    def is_taken(pair: int) -> bool:
        nonlocal asked
        asked += 1
        return pair in taken

    free = FreePlaces(1_000_000)
    for number in range(10_000):
        place = free.find(TIME, (number * 7_919).to_bytes(24, "big"), 0, (3_600_000_000,), is_taken)
        if place is not None:
            taken.add(place)
    assert len(taken) == 3_600
    assert asked <= 2 * 3_600


@given(st.lists(st.tuples(st.integers(0, 3_000), KEYS), max_size=30), st.sampled_from(PRECISIONS))
def test_rows_keep_their_order_at_the_precision_of_their_source(
    rows: list[tuple[int, bytes]], precision: int
) -> None:
    """Of two rows of which the source says that one was earlier, that one is sent with the earlier time."""
    unit = {SECONDS: 1_000_000, MILLISECONDS: 1_000, MICROSECONDS: 1}[precision]
    times = [TIME - TIME % unit + number * unit for number, _ in rows]
    found = first_places(times, [key for _, key in rows], 1, bytes([precision] * len(rows)))
    for (one, at), (other, after) in product(zip(times, found), repeat=2):
        assert (one < other) <= (at < after)
    assert all(abs(at - time) < unit for time, at in zip(times, found))


@pytest.mark.parametrize(
    ("time", "expected"),
    [(TIME, {MICROSECONDS}), (TIME - 686, {MILLISECONDS, MICROSECONDS}), (TIME - 962_686, {*PRECISIONS})],
)
def test_the_precisions_in_which_a_time_can_be_written(time: int, expected: set[int]) -> None:
    """A whole second can be written with any number of zeros."""
    assert set(precisions_of(time)) == expected
