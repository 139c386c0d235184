"""What the row ledger knows of one event date."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from irmcore.intake.ledger.hash_index import HashIndex
from irmcore.outbox.rowkeys import KEY_AT, KEY_BYTES, RECORD, SUBJECT_BYTES, USER_TIME_AT
from irmcore.shaping.keys import numbers

DAY_MICROSECONDS = 86_400_000_000


class Day:
    """The accepted rows of an event date, found by row key and by (user, time) key."""

    def __init__(self, records: bytes = b"") -> None:
        self._records = records
        self._by_user_time = HashIndex(RECORD.size, USER_TIME_AT, records)
        self._by_subject = HashIndex(RECORD.size, KEY_AT, records)

    def __len__(self) -> int:
        return len(self._by_user_time)

    def known(self, keys: Sequence[bytes], user_times: Sequence[int]) -> set[int]:
        """The positions of rows whose (user, time) pair was accepted, or may be the same detection.

        For speed only the first 8 bytes of a row key are compared.
        """
        subjects = numbers(b"".join(keys))[:: KEY_BYTES // 8].tolist()
        return {*self._by_subject.known(subjects), *self._by_user_time.known(user_times)}

    def all_keys(self) -> Iterator[bytes]:
        """All row keys, in the order in which they were accepted."""
        return (key for _, key, *_ in RECORD.iter_unpack(self._records))

    def has(self, key: bytes) -> bool:
        """Whether the row was accepted."""
        return self._has(key)

    def has_subject(self, key: bytes) -> bool:
        """Whether a row of the same detection was accepted, with any details."""
        return self._has(key[:SUBJECT_BYTES])

    def has_user_time(self, user_time: int) -> bool:
        """Whether a row with this (user, time) key was accepted."""
        return bool(self._by_user_time.find(user_time))

    def _has(self, beginning: bytes) -> bool:
        number = int.from_bytes(beginning[:8], "big")
        return any(record.startswith(beginning, KEY_AT) for record in self._by_subject.find(number))
