"""The manifest of a batch: what it is, where it goes, who made it and from what. Written once.

Attempts and decisions follow in ``attempts.jsonl``; the two files together are the audit record.
The manifest holds no row values.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from irmcore.counts import Counts
from irmcore.errors import BatchDamaged, UnknownFormat

FORMAT = 1
_SEAL = b',\n "check":'
_json = json.JSONEncoder(sort_keys=True).encode


def _as_json(value: Any) -> dict[str, Any]:
    return value.as_dict() if isinstance(value, Counts) else vars(value)


# One item a line for human readers. No `indent`, which would bypass the encoder in C.
_pretty = json.JSONEncoder(sort_keys=True, separators=(",\n ", ": "), default=_as_json).encode


@dataclass(frozen=True)
class Destination:
    """Where a batch goes: the ``kind`` of service and its address.

    ``in_doubt`` is hold or resend. It is a policy and not part of the address, so the batch id does not
    depend on it.
    """

    kind: str
    address: Mapping[str, str]
    in_doubt: str

    def identity(self) -> bytes:
        return _json([self.kind, dict(self.address)]).encode("ascii")


@dataclass(frozen=True)
class Origin:
    """Who made a run, and from what: user, host, app (cli, splunk, …) and the app's own details.

    ``details`` are, for example, the file name, search name, sid, aggregation or window.
    """

    user: str
    host: str
    app: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """The manifest of a batch. ``counts`` covers the whole run, ``rows`` this batch."""

    id: str
    destination: Destination
    content_type: str
    payload_sha256: str
    payload_bytes: int
    rows: int
    rowkeys_sha256: str
    run: str
    part: int
    parts: int
    accepted: float
    origin: Origin
    profile: Mapping[str, str]
    counts: Counts
    tool: str


def batch_id(destination: Destination, content_type: str, payload: bytes) -> str:
    """SHA-256 of format, destination, content type and payload, so equal batches have equal ids."""
    digest = hashlib.sha256(b"irmexport-batch-%d\0" % FORMAT)
    for part in (destination.identity(), content_type.encode("ascii"), payload):
        digest.update(b"%d\0" % len(part))
        digest.update(part)
    return digest.hexdigest()


def encode(manifest: Manifest) -> bytes:
    """The manifest as JSON, one item a line. Its last line is a SHA-256 of everything before it."""
    text = _pretty({"format": FORMAT, **vars(manifest)})[:-1].encode("ascii")
    return text + _seal(text)


def decode(data: bytes, where: str) -> Manifest:
    """The manifest that ``encode`` wrote. Raises BatchDamaged, and UnknownFormat for a later version."""
    text = data.rpartition(_SEAL)[0]
    if data != text + _seal(text):
        raise _damaged(where)
    try:
        body = json.loads(text + b"}")
        version = body.pop("format")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise _damaged(where) from None
    if version != FORMAT:
        raise UnknownFormat(
            f"this batch has format {version}; this version of irmexport knows {FORMAT}",
            where=where,
            next_step="Use the irmexport version that wrote it, or a later one.",
        )
    try:
        body["destination"] = Destination(**body["destination"])
        body["origin"] = Origin(**body["origin"])
        body["counts"] = Counts(**body["counts"])
        return Manifest(**body)
    except (KeyError, TypeError):
        raise _damaged(where) from None


def _seal(text: bytes) -> bytes:
    return _SEAL + b' "%s"}\n' % hashlib.sha256(text).hexdigest().encode("ascii")


def _damaged(where: str) -> BatchDamaged:
    return BatchDamaged(
        "the manifest is not what irmexport wrote",
        where=where,
        next_step="The batch is quarantined. Run `irmexport show` to see what is left of it.",
    )
