"""Records as JSON. Each has a nonce, so that no two are equal: a writer recognises its own."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from irmcore.errors import DamageError, UnknownFormat

_VERSION = 1
_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def encode(**fields: Any) -> bytes:
    """A record with these fields and a nonce."""
    return _json({"v": _VERSION, "nonce": secrets.token_hex(8), **fields}).encode("ascii")


def decode(value: bytes, where: str | None = None) -> Mapping[str, Any]:
    """The fields of the record under the key ``where``. Raises UnknownFormat, DamageError."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or "v" not in found:
        raise DamageError(
            "a record of the outbox is damaged, so nothing was changed",
            where=where,
            next_step="Restore it from the store's backup or its soft-deleted blobs.",
        )
    if found["v"] != _VERSION:
        raise UnknownFormat(
            f"a record of the outbox has version {str(found['v'])[:20]}, which this irmexport does not know",
            where=where,
            next_step="Nothing was changed. Install the version of the other machines.",
        )
    return found
