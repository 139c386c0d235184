"""Records as JSON. Each has a nonce, so that no two are equal: a writer recognises its own."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def encode(**fields: Any) -> bytes:
    """A record with these fields and a nonce."""
    return _json({"v": 1, "nonce": secrets.token_hex(8), **fields}).encode("ascii")


def decode(value: bytes) -> Mapping[str, Any]:
    """The fields of a record. Raises ValueError if it is none."""
    found = json.loads(value)
    if not isinstance(found, dict) or found.get("v") != 1:
        raise ValueError("not a record of this version")
    return found
