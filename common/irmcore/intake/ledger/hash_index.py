"""A hash index over records of fixed width, in little more memory than the records themselves.

It takes 8 to 20 bytes per record; a Python dict of the same records takes 110 more. For a whole block of
numbers it tells in C that none is present, which is so for nearly every block. Numbers that share a bucket
form a chain: input made to collide slows lookups down, but results stay right.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from operator import itemgetter

#: Numbers of buckets. They are primes, so that numbers at regular steps spread over all buckets.
_SIZES = (
    1_031,
    2_053,
    4_099,
    8_209,
    16_411,
    32_771,
    65_537,
    131_101,
    262_147,
    524_309,
    1_048_583,
    2_097_169,
    4_194_319,
    8_388_617,
    16_777_259,
    33_554_467,
    67_108_879,
    134_217_757,
    268_435_459,
)
#: Records that an empty index has room for before it grows.
_INITIAL = 32_000
#: Records whose numbers are read at a time.
_SLICE = 4_096


class HashIndex:
    """Records of ``width`` bytes, each found by the big-endian 64-bit number at its offset ``at``."""

    def __init__(self, width: int, at: int = 0, data: bytes | None = None) -> None:
        """``data`` holds the first records, end to end. It is not copied until more are added."""
        self._width, self._at = width, at
        self._number = f"{at}xQ{width - at - 8}x"
        self._data: bytes | bytearray = data or bytearray()
        rows = len(data) // width if data is not None else _INITIAL
        self._index(next((size for size in _SIZES if size >= 2 * rows), _SIZES[-1]))

    def __len__(self) -> int:
        return len(self._before)

    def find(self, number: int) -> list[bytes]:
        """The records with this number, the latest first."""
        found: list[bytes] = []
        record = self._heads[number % self._size]
        if not record:
            return found
        wanted = number.to_bytes(8, "big")
        while record:
            start = (record - 1) * self._width
            if self._data[start + self._at : start + self._at + 8] == wanted:
                found.append(bytes(self._data[start : start + self._width]))
            record = self._before[record - 1]
        return found

    def known(self, numbers: Sequence[int]) -> list[int]:
        """The positions of those numbers that a record has."""
        return self._present(numbers, self._buckets(numbers))

    def add(self, numbers: Sequence[int], data: bytes) -> None:
        """Add records with these numbers."""
        self._extend(self._buckets(numbers), data)

    def add_if_new(self, numbers: Sequence[int], data: bytes) -> list[int]:
        """Add records if none of their numbers is present; otherwise give the positions of those present."""
        buckets = self._buckets(numbers)
        known = self._present(numbers, buckets)
        if not known:
            self._extend(buckets, data)
        return known

    def _buckets(self, numbers: Sequence[int]) -> list[int]:
        size = self._size
        return [number % size for number in numbers]

    def _present(self, numbers: Sequence[int], buckets: Sequence[int]) -> list[int]:
        taken = self._latest(buckets)
        if not any(taken):
            return []
        find = self.find
        return [at for at, record in enumerate(taken) if record and find(numbers[at])]

    def _extend(self, buckets: Sequence[int], data: bytes) -> None:
        if not isinstance(self._data, bytearray):
            self._data = bytearray(self._data)
        self._data += data
        if 4 * len(self._data) > self._size * self._width and self._size < _SIZES[-1]:
            self._index(_SIZES[min(_SIZES.index(self._size) + 2, len(_SIZES) - 1)])
        else:
            self._enter(buckets)

    def _index(self, size: int) -> None:
        """Rebuild the index with ``size`` buckets."""
        self._size = size
        # For each bucket its latest record, counted from 1; for each record the one before it in its bucket.
        self._heads = array("I", [0]) * size
        self._before = array("I")
        step = _SLICE * self._width
        for start in range(0, len(self._data), step):
            part = self._data[start : start + step]
            self._enter(self._buckets(struct.unpack(">" + self._number * (len(part) // self._width), part)))

    def _enter(self, buckets: Sequence[int]) -> None:
        heads, before = self._heads, self._before
        record = len(before)
        if len(set(buckets)) == len(buckets):
            before.extend(self._latest(buckets))
            for at in buckets:
                record += 1
                heads[at] = record
            return
        for at in buckets:
            before.append(heads[at])
            record += 1
            heads[at] = record

    def _latest(self, buckets: Sequence[int]) -> Sequence[int]:
        """The latest record in each of these buckets; 0 for an empty one."""
        if len(buckets) < 2:
            return [self._heads[at] for at in buckets]
        found: tuple[int, ...] = itemgetter(*buckets)(self._heads)
        return found
