"""The identity of an outbox: its file, and where the outbox may be used."""

from __future__ import annotations

from dataclasses import replace

import pytest
from irmcore.disk import Place
from irmcore.outbox import sealed
from irmcore.outbox.identity import Identity, decode, encode

HERE = Place("a-machine", "ext4", 7)
OURS = Identity.new(HERE, 12.5)


@pytest.mark.parametrize(
    ("place", "difference"),
    [
        (HERE, ""),
        (HERE._replace(file_system="xfs"), ""),
        (HERE._replace(host="b-machine"), "this outbox was made on another machine"),
        (HERE._replace(host="0-machine"), "this outbox was made on another machine"),
        (HERE._replace(inode=6), "this outbox was copied, restored or moved"),
        (HERE._replace(inode=8), "this outbox was copied, restored or moved"),
        (HERE._replace(host=None), ""),
        (HERE._replace(inode=None), ""),
        (HERE._replace(host=None, inode=8), "this outbox was copied, restored or moved"),
    ],
)
def test_the_place_of_an_outbox(place: Place, difference: str) -> None:
    """Another machine or directory counts, in either direction; what is unknown does not."""
    assert OURS.difference(place) == difference
    assert Identity.new(place, 0.0).difference(HERE) == difference


def test_an_outbox_that_is_adopted() -> None:
    """It is the same one at its new place, one epoch later."""
    there = Place("b-machine", "xfs", 9)
    assert OURS.moved(there) == Identity(OURS.id, 2, "b-machine", "xfs", 9, 12.5)
    assert OURS.id != Identity.new(HERE, 12.5).id
    assert len(OURS.id) == 32


def test_an_identity_comes_back() -> None:
    """What was written is read."""
    for identity in (OURS, replace(OURS, retired=True, host=None, inode=None)):
        assert decode(encode(identity)) == identity


@pytest.mark.parametrize(
    "change", [{"format": 3}, {"format": 5}, {"format": None}, {"unknown": 1}, {"id": None}]
)
def test_another_file_is_no_identity(change: dict[str, object]) -> None:
    """Even if its checksum is right."""
    values = {**sealed.decode(encode(OURS)), **change}
    if values["id"] is None:
        del values["id"]
    if values["format"] is None:
        del values["format"]
    with pytest.raises(ValueError, match=r"not an identity|unknown format"):
        decode(sealed.encode(values))
