"""Sets of fixed-width bytes in little more memory than the bytes themselves.

A Python set of a million 16-byte keys takes 83 MB; this takes 19, and a look-up costs the same
few hundred nanoseconds however many there are, up to some millions. Records stand side by side in
buckets that their first two bytes choose; so they must begin evenly spread, as digests and slots do
(else a look-up costs more, and is right all the same: one user's times that someone chose so, with
`collisions: reject`, make it cost as much as there are of them).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

_BUCKETS = 65_536
#: Records of a bucket, on average, of a set whose size is known at first.
_IN_BUCKET = 8


class Records:
    """Records of ``width`` bytes, found by their first ``name`` bytes, of which no two are the same."""

    def __init__(self, width: int, name: int, expected: int = _BUCKETS * _IN_BUCKET) -> None:
        """``expected`` records make room enough; more are as welcome."""
        bits = min((expected // _IN_BUCKET).bit_length(), 16)
        self._width, self._name = width, name
        self._shift = 16 - bits
        self._buckets = [b""] * (1 << bits)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        for bucket in self._buckets:
            for start in range(0, len(bucket), self._width):
                yield bucket[start : start + self._width]

    def find(self, name: bytes) -> bytes | None:
        """The record that begins with ``name``."""
        bucket = self._buckets[(name[0] << 8 | name[1]) >> self._shift]
        at = bucket.find(name)
        while at % self._width and at >= 0:  # bytes of two neighbours that look alike
            at = bucket.find(name, at + 1)
        return bucket[at : at + self._width] if at >= 0 else None

    def finding(self, names: Iterable[bytes]) -> list[bool]:
        """Of each name whether a record begins with it."""
        buckets, shift, find = self._buckets, self._shift, self.find
        return [
            name in buckets[(name[0] << 8 | name[1]) >> shift] and find(name) is not None for name in names
        ]

    def add(self, record: bytes) -> None:
        """Add a record whose name is not in yet."""
        index = (record[0] << 8 | record[1]) >> self._shift
        self._buckets[index] += record
        self._count += 1

    def add_until_known(self, records: Sequence[bytes], start: int, stop: int) -> int:
        """Add records from ``start`` on, up to ``stop`` or one whose name is in; gives where it ended."""
        buckets, shift, name = self._buckets, self._shift, self._name
        for at in range(start, stop):
            record = records[at]
            index = (record[0] << 8 | record[1]) >> shift
            bucket = buckets[index]
            if bucket and record[:name] in bucket and self.find(record[:name]) is not None:
                break
            buckets[index] = bucket + record
        else:
            at = stop
        self._count += at - start
        return at


class PackedSet(AbstractSet[bytes]):
    """A set of bytes, all of one width; ``expected`` of them make room enough."""

    def __init__(self, width: int, expected: int = 0) -> None:
        self._records = Records(width, width, expected)

    def __contains__(self, item: object) -> bool:
        return isinstance(item, bytes) and self._records.find(item) is not None

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def holding(self, items: Iterable[bytes]) -> list[bool]:
        """Of each item whether it is in."""
        return self._records.finding(items)

    def update(self, items: Sequence[bytes]) -> None:
        """Add those of the items that are not in."""
        at = 0
        while at < len(items):
            at = self._records.add_until_known(items, at, len(items)) + 1


class PackedNumbers(AbstractSet[int]):
    """A set of numbers of 64 bits; ``items`` has them as eight bytes each, big-endian."""

    def __init__(self, expected: int = 0) -> None:
        self.items = PackedSet(8, expected)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and number.to_bytes(8, "big") in self.items

    def __iter__(self) -> Iterator[int]:
        return (int.from_bytes(item, "big") for item in self.items)

    def __len__(self) -> int:
        return len(self.items)
