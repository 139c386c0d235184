"""Packed sets and records: as Python's own sets and dictionaries, in the memory of their bytes."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.packed import PackedNumbers, PackedSet, Records
from irmcore.shaping.spreading import Slots

# Few bytes, so that names are equal, share buckets and stand across the border of two neighbours.
NAMES = st.lists(st.text("\0\1", min_size=4, max_size=4).map(str.encode), max_size=40)


def digest(number: int) -> bytes:
    """Sixteen bytes, evenly spread, of a number."""
    return blake2b(b"%d" % number, digest_size=16).digest()


@given(NAMES, NAMES, st.integers(0, 100))
def test_a_packed_set_is_a_set(items: list[bytes], asked: list[bytes], expected: int) -> None:
    """However many were expected, the same items are in as in a set, each once."""
    packed = PackedSet(4, expected)
    packed.update(items)
    assert packed == set(items)
    assert len(packed) == len(set(items))
    assert sorted(packed) == sorted(set(items))
    assert packed.holding(asked) == [item in set(items) for item in asked]
    assert [item in packed for item in asked] == packed.holding(asked)
    assert 4 not in packed


@given(st.lists(st.integers(0, 2**64 - 1)), st.lists(st.integers(0, 2**64 - 1)))
def test_packed_numbers_are_numbers(numbers: list[int], asked: list[int]) -> None:
    """Numbers come back as they went in."""
    packed = PackedNumbers(len(numbers))
    packed.items.update([number.to_bytes(8, "big") for number in numbers])
    assert packed == set(numbers)
    assert [number in packed for number in asked] == [number in set(numbers) for number in asked]
    assert b"8 bytes!" not in packed


@given(NAMES)
def test_records_stop_at_a_name_that_is_in(names: list[bytes]) -> None:
    """Adding stops before the first record whose name is in, and the record that was first stays."""
    records = Records(6, 4, 0)
    given_records = [name + b"%02d" % at for at, name in enumerate(names)]
    first: dict[bytes, bytes] = {}
    at = 0
    while at < len(names):
        stop = records.add_until_known(given_records, at, len(names))
        for name, record in zip(names[at:stop], given_records[at:stop]):
            assert name not in first
            first[name] = record
        assert stop == len(names) or names[stop] in first
        at = stop + 1
    assert {name: records.find(name) for name in names} == first
    assert len(records) == len(first)


def test_many_keys_take_little_more_than_their_bytes() -> None:
    """100,000 keys of 16 bytes take less than half of what Python's set of them takes."""
    tracemalloc.start()
    try:
        packed = PackedSet(16, 100_000)
        for number in range(100_000):
            packed.update([digest(number)])
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 4_500_000


@pytest.mark.parametrize(
    "step", [1, 10**3, 10**5, 10**6, 15 * 10**6, 60 * 10**6, 3_600 * 10**6, 86_400 * 10**6]
)
def test_the_slots_of_one_user_begin_evenly_spread(step: int) -> None:
    """Of 65,536 times (µs) of one user at a regular step no more than a few share their first two bytes.

    So a bucket stays small, and a look-up costs the same, where slots are not digests.
    """
    times = [1_763_625_600_000_000 + step * number for number in range(65_536)]
    slots = Slots().slots(["sarad@contoso.com"] * len(times), times)
    assert max(Counter(slot >> 48 for slot in slots).values()) <= 8
