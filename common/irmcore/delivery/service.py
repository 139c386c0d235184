"""The service that batches of one kind of destination are sent to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, Optional

from irmcore.delivery.replies import redact

if TYPE_CHECKING:
    from irmcore.http.auth import TokenSource
    from irmcore.http.upload import Transport

#: Halves a payload that is too large: payload and rows of each half, or None if it cannot be halved.
Splitter = Callable[[bytes], Optional[tuple[tuple[bytes, int], tuple[bytes, int]]]]


@dataclass(frozen=True)
class Service:
    """How batches of one kind of destination are sent.

    ``url`` makes the upload URL of a destination's address. ``setup`` fingerprints the configuration
    (never the secret). ``deadline`` in seconds for one upload. ``splitters`` by content type. ``redact``
    removes a payload's row values from a reply's text. ``in_flight``: the most uploads at a time.
    """

    url: Callable[[Mapping[str, str]], str]
    transport: Transport
    tokens: TokenSource
    setup: str
    deadline: float
    splitters: Mapping[str, Splitter] = field(default_factory=dict)
    redact: Callable[[str, bytes], str] = redact
    in_flight: int = 1
