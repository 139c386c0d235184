"""Payloads of the Logs Ingestion API: JSON arrays of rows, of at most 1,000,000 bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

CONTENT_TYPE = "application/json"
#: The service accepts 1 MB per call, raw and compressed. Microsoft does not say whether that is 10^6 or 2^20.
MAX_BYTES = 1_000_000


def arrays(lines: Iterable[bytes], max_bytes: int = MAX_BYTES) -> Iterator[tuple[bytes, int]]:
    """JSON texts as JSON arrays of at most ``max_bytes``, each with its number of rows. Keeps the order.

    Raises ValueError for a text that does not fit into an array alone: callers limit the size of a row.
    """
    held: list[bytes] = []
    size = 2
    for line in lines:
        if len(line) + 2 > max_bytes:
            raise ValueError("a row is larger than an upload")
        if held and size + len(line) + 1 > max_bytes:
            yield _array(held), len(held)
            held, size = [], 2
        size += len(line) + (1 if held else 0)
        held.append(line)
    if held:
        yield _array(held), len(held)


def split(payload: bytes) -> tuple[tuple[bytes, int], tuple[bytes, int]] | None:
    """The two halves of a payload, the same every time; None if it has a single row."""
    rows = json.loads(payload)
    if len(rows) < 2:  # noqa: PLR2004
        return None
    middle = len(rows) // 2
    return _half(rows[:middle]), _half(rows[middle:])


def _half(rows: list[Any]) -> tuple[bytes, int]:
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() for row in rows]
    return _array(lines), len(lines)


def _array(lines: list[bytes]) -> bytes:
    return b"[" + b",".join(lines) + b"]"


def contents(payload: bytes) -> tuple[Iterable[str], Iterable[str]]:
    """The columns of a payload's rows, and their values, at any depth."""
    rows = json.loads(payload)
    return {name for row in rows for name in row}, _values(rows)


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
