"""Keys as numbers: the same on every machine, and for ever."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from irmcore.shaping.keys import UserTimeKeys, numbers

DAY = 86_400_000_000
TIME = 1_682_315_576_962_686  # 2023-04-24T05:52:56.962686Z
TIMES = st.integers(0, 2_932_895 * DAY)


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_numbers_of_bytes(found: list[int]) -> None:
    """Numbers are read as ``struct`` packed them."""
    assert numbers(struct.pack(f">{len(found)}Q", *found)).tolist() == found


def test_keys_never_change() -> None:
    """The keys are in the row ledgers on disk, so they never change."""
    keys = UserTimeKeys()
    assert [
        keys.key("sarad@contoso.com", 0),
        keys.key("sarad@contoso.com", TIME),
        keys.key("bradh@contoso.com", TIME),
    ] == [3_709_549_522_420_930_320, 3_711_231_837_997_893_006, 9_204_313_525_911_744_441]


@given(
    st.lists(
        st.tuples(st.sampled_from(("a@b.c", "b@b.c", "c@b.c")), st.integers(0, 10) | TIMES),
        unique=True,
        max_size=30,
    )
)
def test_different_pairs_have_different_keys(pairs: list[tuple[str, int]]) -> None:
    """Pairs that differ in user or time have different 64-bit keys, the same in every process."""
    keys = UserTimeKeys()
    numbers = [keys.key(user, time) for user, time in pairs]
    assert len(set(numbers)) == len(pairs)
    assert all(0 <= number < 2**64 for number in numbers)
    assert [UserTimeKeys().key(user, time) for user, time in pairs] == numbers


def test_a_limited_number_of_users_is_remembered() -> None:
    """A key stays the same after the memory for users was full."""
    keys = UserTimeKeys()
    before = keys.key("sarad@contoso.com", TIME)
    for number in range(UserTimeKeys.MEMORY + 1):
        keys.key(f"u{number}@contoso.com", 0)
    assert keys.key("sarad@contoso.com", TIME) == before
    assert len(vars(keys)["_users"]) <= UserTimeKeys.MEMORY
