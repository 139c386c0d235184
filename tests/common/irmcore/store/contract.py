"""What every store promises, as tests: a class of tests for a store inherits from :class:`StoreContract`."""

from __future__ import annotations

import itertools
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from irmcore.clock import SystemClock
from irmcore.store import MAX_VALUE_BYTES, Store, claim
from irmcore.store.store import MAX_KEY_CHARACTERS

RACERS = 16
KEYS = ("a", "0", "log/000000/000000000001", "days/2026-11-30/7.0", "a_b-c.d/e", "k" * MAX_KEY_CHARACTERS)
NO_KEYS = (
    "",
    "/",
    "a/",
    "/a",
    "a//b",
    "A",
    "ä",
    "a b",
    "a%20b",
    "..",
    "a/../b",
    "-a",
    "a\n",
    "k" * (MAX_KEY_CHARACTERS + 1),
)


def unique(tag: str) -> bytes:
    """A value as an outbox writes them: it names its writer and its attempt."""
    return f"{tag} {secrets.token_hex(8)}".encode()


class StoreContract:
    """A subclass has the fixture ``store``, empty at the start of each test."""

    #: Races, and keys of a listing: more than a page where the service has pages.
    rounds = 20
    many = 1_100

    def test_a_created_value_can_be_read_and_listed(self, store: Store) -> None:
        """Each key and value comes back as it was given."""
        values = {key: unique(key) for key in KEYS}
        assert [store.create(key, value) for key, value in values.items()] == [True] * len(KEYS)
        assert {key: store.get(key) for key in KEYS} == values
        assert list(store.keys("")) == sorted(KEYS)

    def test_a_key_is_created_once(self, store: Store) -> None:
        """A second create changes nothing, not even with the same value, and says so."""
        assert store.create("a/1", b"first")
        assert not store.create("a/1", b"second")
        assert not store.create("a/1", b"first")
        assert store.get("a/1") == b"first"

    def test_of_racing_creates_one_wins(self, store: Store) -> None:
        """Sixteen writers of one key: one is told True, and its value is there, whole."""
        with ThreadPoolExecutor(RACERS) as pool:
            for number in range(self.rounds):
                key = f"race/{number:06}"
                values = [unique(f"writer {n}") * 20 for n in range(RACERS)]
                won = list(pool.map(store.create, itertools.repeat(key), values))
                assert sum(won) == 1
                assert store.get(key) == values[won.index(True)]

    def test_a_claim_knows_its_own_value(self, store: Store) -> None:
        """Who claims the same value again has succeeded, and who claims another one has not."""
        mine, other = unique("mine"), unique("other")
        assert claim(store, "a/1", mine, SystemClock())
        assert claim(store, "a/1", mine, SystemClock())
        assert not claim(store, "a/1", other, SystemClock())

    def test_a_missing_key_has_no_value(self, store: Store) -> None:
        """To read one is no error, also beside keys that begin like it."""
        store.create("a/12", b"x")
        assert store.get("a/1") is None
        assert store.get("a/12/3") is None

    def test_a_delete_may_be_repeated(self, store: Store) -> None:
        """A deleted key has no value, is not listed, and can be created anew."""
        store.create("a/1", b"x")
        store.create("a/2", b"y")
        for _ in range(2):
            store.delete("a/1")
        store.delete("never/was")
        assert store.get("a/1") is None
        assert list(store.keys("")) == ["a/2"]
        assert store.create("a/1", b"z")

    def test_keys_come_in_order_from_any_point(self, store: Store) -> None:
        """All keys of a prefix and no others, across pages, after a key that need not exist."""
        made = [f"log/{n // 100:06}/{n:012}" for n in range(self.many)]
        with ThreadPoolExecutor(RACERS) as pool:
            assert all(pool.map(store.create, made, itertools.repeat(b"x")))
        store.create("log.txt", b"x")
        store.create("logs/1", b"x")
        assert list(store.keys("log/")) == made
        assert list(store.keys("log/", after=made[-3])) == made[-2:]
        assert next(iter(store.keys("log/", after="log/000000/000000000001.5"))) == made[2]
        assert list(store.keys("log/", after=made[-1])) == []
        assert list(store.keys("nothing/")) == []

    def test_keys_are_ordered_by_their_characters(self, store: Store) -> None:
        """Byte by byte, so a number needs a fixed width."""
        made = ["a-b", "a.b", "a/1", "a/10", "a/2", "a/2/1", "a0", "a_b", "ab"]
        for key in reversed(made):
            store.create(key, b"x")
        assert list(store.keys("")) == made

    def test_a_listing_sees_what_was_created_before_it(self, store: Store) -> None:
        """While others create keys before, between and behind, none of the earlier ones is missed."""
        before = [f"open/{n:03}" for n in range(0, 200, 2)]
        with ThreadPoolExecutor(RACERS) as pool:
            list(pool.map(store.create, before, itertools.repeat(b"x")))
            others = pool.map(
                store.create, [f"open/{n:03}" for n in range(1, 200, 2)], itertools.repeat(b"x")
            )
            seen = list(store.keys("open/"))
            assert all(others)
        assert seen == sorted(set(seen))
        assert set(before) <= set(seen)

    @pytest.mark.parametrize("size", [0, 1, 65_537, MAX_VALUE_BYTES])
    def test_a_value_of_any_size(self, store: Store, size: int) -> None:
        """Up to 1 MiB of any bytes come back as they were."""
        value = (bytes(range(256)) * (size // 256 + 1))[:size]
        assert store.create("value", value)
        assert store.get("value") == value

    def test_a_value_that_is_too_large_is_refused(self, store: Store) -> None:
        """Before anything is stored."""
        with pytest.raises(ValueError, match="1,048,576"):
            store.create("value", b"x" * (MAX_VALUE_BYTES + 1))
        assert store.get("value") is None

    @pytest.mark.parametrize("key", NO_KEYS, ids=lambda key: repr(key)[:12])
    def test_a_key_that_some_store_would_change_is_refused(self, store: Store, key: str) -> None:
        """By every verb that takes a key."""
        with pytest.raises(ValueError, match="not a key"):
            store.create(key, b"x")
        with pytest.raises(ValueError, match="not a key"):
            store.get(key)
        with pytest.raises(ValueError, match="not a key"):
            store.delete(key)

    @pytest.mark.parametrize("prefix", ["a", "/", "A/", "a//", "../"])
    def test_a_prefix_that_is_no_folder_is_refused(self, store: Store, prefix: str) -> None:
        """Services differ in what they would list for it."""
        with pytest.raises(ValueError, match="not a prefix"):
            list(store.keys(prefix))
