"""The hash index: records are found as in a dictionary, in little more than their own memory."""

from __future__ import annotations

import struct
import tracemalloc
from collections import Counter
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.intake.ledger import hash_index
from irmcore.intake.ledger.hash_index import HashIndex
from irmcore.shaping.keys import UserTimeKeys

# A few numbers, many of which share a bucket of the smallest index.
NUMBERS = st.lists(st.sampled_from((0, 1, 2, 1_031, 1_032, 4_099, 2_062, 2**64 - 1)), max_size=40)
WIDTH, AT = 13, 3


def records(numbers: list[int], first: int = 0) -> bytes:
    """Records with these numbers, each recognizable by its position."""
    return b"".join(struct.pack(">HxQH", first + at, number, 7) for at, number in enumerate(numbers))


def digest(number: int) -> int:
    """64 evenly distributed bits made from a number."""
    return int.from_bytes(blake2b(b"%d" % number, digest_size=8).digest(), "big")


@given(NUMBERS, st.lists(NUMBERS, max_size=3), NUMBERS)
def test_records_are_found_by_their_numbers(
    first: list[int], more: list[list[int]], asked: list[int]
) -> None:
    """All records with a number are found, the latest first, whether added at once or later."""
    found = HashIndex(WIDTH, AT, records(first))
    numbers = list(first)
    for some in more:
        found.add(some, records(some, len(numbers)))
        numbers += some
    assert len(found) == len(numbers)
    for number in asked:
        wanted = [at for at, other in enumerate(numbers) if other == number]
        assert [struct.unpack(">HxQH", record)[0] for record in found.find(number)] == wanted[::-1]
    assert found.known(asked) == [at for at, number in enumerate(asked) if number in numbers]


@given(NUMBERS, st.lists(NUMBERS, max_size=4))
def test_records_are_added_only_if_all_are_new(first: list[int], more: list[list[int]]) -> None:
    """One number that is present keeps all records out, and its position is given."""
    found, numbers = HashIndex(WIDTH, AT, records(first)), set(first)
    count = len(first)
    for some in more:
        known = [at for at, number in enumerate(some) if number in numbers]
        assert found.add_if_new(some, records(some)) == known
        if not known:
            numbers.update(some)
            count += len(some)
        assert len(found) == count


def test_an_index_grows_with_its_records() -> None:
    """Records are found as before after the index was rebuilt, and chains stay short."""
    found, numbers = HashIndex(8), [digest(number) for number in range(20_000)]
    for start in range(0, len(numbers), 500):
        some = numbers[start : start + 500]
        assert found.add_if_new(some, struct.pack(">500Q", *some)) == []
    assert found.known(numbers) == list(range(len(numbers)))
    assert found.known([digest(-number) for number in range(1, 500)]) == []
    assert found._size == 262_147  # noqa: SLF001 - four buckets per record, or more


def test_the_sizes_are_primes() -> None:
    """No step between numbers has a factor in common with the number of buckets."""
    for size in hash_index._SIZES:  # noqa: SLF001 - the table itself is tested
        assert all(size % factor for factor in range(2, int(size**0.5) + 1))


def test_many_records_take_little_more_than_their_bytes() -> None:
    """For 100,000 records of 32 bytes the index takes at most 60 further bytes each."""
    numbers = [digest(number) for number in range(100_000)]
    tracemalloc.start()
    try:
        found = HashIndex(32)
        for start in range(0, len(numbers), 500):
            some = numbers[start : start + 500]
            found.add(some, b"".join([number.to_bytes(32, "little") for number in some]))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 100_000 * (32 + 60)
    assert found._size == 1_048_583  # noqa: SLF001 - four buckets per record, or more


@pytest.mark.parametrize(
    "step", [1, 10**3, 10**5, 10**6, 15 * 10**6, 60 * 10**6, 3_600 * 10**6, 86_400 * 10**6]
)
def test_the_keys_of_one_user_are_evenly_spread(step: int) -> None:
    """Of 65,536 times (µs) of one user at a regular step, only a few share a bucket.

    So chains stay short although (user, time) keys are not digests.
    """
    times = [1_763_625_600_000_000 + step * number for number in range(65_536)]
    keys = UserTimeKeys().keys(["sarad@contoso.com"] * len(times), times)
    assert max(Counter(key % 65_537 for key in keys).values()) <= 2


@pytest.mark.parametrize(("rows", "buckets"), [(0, 1_031), (515, 1_031), (516, 2_053), (8_205, 16_411)])
def test_records_given_at_the_start(rows: int, buckets: int) -> None:
    """Each is found, whatever their number, and there are two buckets for each of them, or more."""
    numbers = [digest(number) for number in range(rows)]
    found = HashIndex(WIDTH, AT, b"".join(struct.pack(">3sQ2s", b"abc", number, b"de") for number in numbers))
    assert (len(found), found._size) == (rows, buckets)  # noqa: SLF001 - the number of buckets
    assert found.known(numbers) == list(range(rows))
    assert HashIndex(WIDTH)._size == 65_537  # noqa: SLF001 - room for 32,000 records
