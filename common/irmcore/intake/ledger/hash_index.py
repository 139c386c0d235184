"""Records of fixed width, found by a number in them, in little more memory than their own bytes.

A Python set of a million 64-bit numbers takes 60 bytes each; this takes 8 to 20 beside the records, and
tells of a whole block of numbers at once, in C, that none of them is in: what nearly every block is.
Numbers whose remainders someone chose to be the same share a chain, so that a look-up is slower, and right.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from operator import itemgetter

#: How many places an index may have: primes, so that a regular step between numbers spreads them.
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
#: Records that are expected where nobody knows how many will come.
_UNKNOWN = 32_000
#: Records whose numbers are read together.
_SLICE = 4_096


class HashIndex:
    """Records of ``width`` bytes; the number of each stands ``at`` so many bytes, big-endian, in eight."""

    def __init__(self, width: int, at: int = 0, data: bytes | None = None) -> None:
        """``data`` are records, kept as they are, not copied. None: nobody knows how many will come."""
        self._width, self._at = width, at
        self._number = f"{at}xQ{width - at - 8}x"
        self._data: bytes | bytearray = data or bytearray()
        rows = len(data) // width if data is not None else _UNKNOWN
        self._index(next(size for size in _SIZES if size >= 2 * rows or size == _SIZES[-1]))

    def __len__(self) -> int:
        return len(self._before)

    def find(self, number: int) -> Iterator[bytes]:
        """The records with this number."""
        wanted = number.to_bytes(8, "big")
        record = self._places[number % self._size]
        while record:
            start = (record - 1) * self._width
            if self._data[start + self._at : start + self._at + 8] == wanted:
                yield bytes(self._data[start : start + self._width])
            record = self._before[record - 1]

    def known(self, numbers: Sequence[int]) -> list[int]:
        """The positions of the numbers that are in."""
        return self._among(numbers, self._falls(numbers))

    def add(self, numbers: Sequence[int], data: bytes) -> None:
        """Add records, whose numbers these are."""
        self._extend(self._falls(numbers), data)

    def add_if_new(self, numbers: Sequence[int], data: bytes) -> list[int]:
        """Add records if none of their numbers is in; else give the positions of those that are."""
        falls = self._falls(numbers)
        known = self._among(numbers, falls)
        if not known:
            self._extend(falls, data)
        return known

    def _falls(self, numbers: Sequence[int]) -> list[int]:
        size = self._size
        return [number % size for number in numbers]

    def _among(self, numbers: Sequence[int], falls: Sequence[int]) -> list[int]:
        taken = self._taken(falls)
        if not any(taken):
            return []
        find = self.find
        return [at for at, record in enumerate(taken) if record and any(find(numbers[at]))]

    def _extend(self, falls: Sequence[int], data: bytes) -> None:
        if not isinstance(self._data, bytearray):
            self._data = bytearray(self._data)
        self._data += data
        if 4 * len(self._data) > self._size * self._width and self._size < _SIZES[-1]:
            self._index(_SIZES[min(_SIZES.index(self._size) + 2, len(_SIZES) - 1)])
        else:
            self._enter(falls)

    def _index(self, size: int) -> None:
        """Make the index anew, with so many places."""
        self._size = size
        #: Of each place the last record (from 1) whose number falls on it; of each record the one before it.
        self._places = array("I", [0]) * size
        self._before = array("I")
        step = _SLICE * self._width
        for start in range(0, len(self._data), step):
            part = self._data[start : start + step]
            self._enter(self._falls(struct.unpack(">" + self._number * (len(part) // self._width), part)))

    def _enter(self, falls: Sequence[int]) -> None:
        places, before = self._places, self._before
        record = len(before)
        if len(set(falls)) == len(falls):
            before.extend(self._taken(falls))
            for at in falls:
                record += 1
                places[at] = record
            return
        for at in falls:
            before.append(places[at])
            record += 1
            places[at] = record

    def _taken(self, falls: Sequence[int]) -> Sequence[int]:
        """What stands at each of these places."""
        if len(falls) < 2:
            return [self._places[at] for at in falls]
        found: tuple[int, ...] = itemgetter(*falls)(self._places)
        return found
