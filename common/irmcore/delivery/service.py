"""The service that batches of one kind of destination are sent to."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Callable, Optional

if TYPE_CHECKING:
    from irmcore.http.auth import TokenSource
    from irmcore.http.upload import Transport

#: Halves a payload that is too large: payload and rows of each half, or None if it cannot be halved.
Splitter = Callable[[bytes], Optional[tuple[tuple[bytes, int], tuple[bytes, int]]]]

#: A payload → the names of its columns, and its row values.
Contents = Callable[[bytes], tuple[Iterable[str], Iterable[str]]]


def csv_contents(payload: bytes) -> tuple[Iterable[str], Iterable[str]]:
    """The contents of a CSV payload with a header."""
    header, *rows = csv.reader(io.StringIO(payload.decode("utf-8", "replace"), newline=""))
    return header, chain.from_iterable(rows)


@dataclass(frozen=True)
class Service:
    """How batches of one kind of destination are sent.

    ``url`` makes the upload URL of a destination's address. ``setup`` fingerprints the configuration
    (never the secret). ``deadline`` in seconds for one upload. ``splitters`` by content type. ``contents``
    gives the names of a payload's columns and its row values, of which a reply's text must hold none.
    ``in_flight``: the most uploads at a time.
    """

    url: Callable[[Mapping[str, str]], str]
    transport: Transport
    tokens: TokenSource
    setup: str
    deadline: float
    splitters: Mapping[str, Splitter] = field(default_factory=dict)
    contents: Contents = csv_contents
    in_flight: int = 1
