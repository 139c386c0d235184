"""JSON files whose last line is a SHA-256 of everything before it, so that any damage is detected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Callable

_SEAL = b',\n "check":'


def encode(values: Mapping[str, Any], default: Callable[[Any], Any] | None = None) -> bytes:
    """``values`` as JSON, one item a line, with the seal. ``default`` as in ``json.JSONEncoder``."""
    # No `indent`, which would bypass the encoder in C.
    text = json.dumps(values, sort_keys=True, separators=(",\n ", ": "), default=default)[:-1].encode("ascii")
    return text + _seal(text)


def decode(data: bytes) -> dict[str, Any]:
    """The values that ``encode`` wrote. Raises ValueError for anything else."""
    text = data.rpartition(_SEAL)[0]
    if data != text + _seal(text):
        raise ValueError("the seal does not match")
    try:
        values = json.loads(text + b"}")
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if isinstance(values, dict):
        return values
    raise ValueError("not an object")


def _seal(text: bytes) -> bytes:
    return _SEAL + b' "%s"}\n' % hashlib.sha256(text).hexdigest().encode("ascii")
