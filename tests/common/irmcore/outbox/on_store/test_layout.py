from __future__ import annotations

import pytest
from irmcore.outbox.on_store import layout
from irmcore.store.store import check_key

ID = "ab" * 32


def test_names_sort_by_age_and_name_the_batch() -> None:
    """Two batches of one moment differ, and a listing alone says which batches there are."""
    names = [layout.new_name(1_764_000_000.0 + n, ID) for n in (0, 1, 100)]
    assert names == sorted(names)
    assert layout.new_name(1.0, ID) != layout.new_name(1.0, ID)
    assert layout.id_of(names[0]) == ID
    with pytest.raises(ValueError, match="not a name of a batch"):
        layout.id_of("0" * 32)


@pytest.mark.parametrize(("size", "parts"), [(0, 1), (1, 1), (1 << 20, 1), ((1 << 20) + 1, 2)])
def test_a_payload_is_cut_into_parts(size: int, parts: int) -> None:
    """Of 1 MiB at most; together they are the payload."""
    found = layout.payload_parts(b"x" * size)
    assert list(found) == ["payload", "payload.1"][:parts]
    assert b"".join(found.values()) == b"x" * size


def test_the_newest_line_of_the_audit_log_comes_first() -> None:
    """Its number is in its key."""
    keys = [layout.event_key(number) for number in (1, 2, 1_000)]
    assert keys == sorted(keys, reverse=True)
    assert list(map(layout.event_number, keys)) == [1, 2, 1_000]


def test_every_store_accepts_the_keys() -> None:
    """Of any record."""
    name = layout.new_name(0.0, ID)
    for key in (layout.open_key(name), layout.part_key(name, "rowkeys/2026-11-01"), layout.event_key(1)):
        assert check_key(key) == key
    assert check_key(layout.file_prefix("outbox.json") + "0")
    assert check_key(layout.states_prefix(name) + "0")
