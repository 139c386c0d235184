"""A batch's manifest: what it is, where it goes, who sent it on whose authority. Written once.

The attempts and decisions that follow stand beside it in ``attempts.jsonl``; together they are the
audit record. The manifest holds no value of a row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from irmcore.counts import Counts
from irmcore.errors import BatchDamaged, UnknownFormat

FORMAT = 1
_SEAL = b',\n "check":'
_json = json.JSONEncoder(sort_keys=True).encode
# An item a line, as a person can read it, by the encoder in C; the parts of a manifest are dataclasses.
_pretty = json.JSONEncoder(sort_keys=True, separators=(",\n ", ": "), default=vars).encode


@dataclass(frozen=True)
class Destination:
    """Where a batch goes: the ``kind`` of service, and its address as plain texts.

    ``in_doubt`` is hold or resend; it is a policy, not part of the address, so it does not enter a
    batch's id.
    """

    kind: str
    address: Mapping[str, str]
    in_doubt: str

    def identity(self) -> bytes:
        return _json([self.kind, dict(self.address)]).encode("ascii")


@dataclass(frozen=True)
class Origin:
    """Who made a run, and from what: user, host, app (cli, splunk, …) and the app's own details.

    ``details`` are texts such as file name, search name, sid, aggregation and window.
    """

    user: str
    host: str
    app: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """The manifest of a batch; ``counts`` are those of its whole run, ``rows`` its own."""

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
    """SHA-256 of format, destination, content type and payload: the same batch has the same id."""
    digest = hashlib.sha256(b"irmexport-batch-%d\0" % FORMAT)
    for part in (destination.identity(), content_type.encode("ascii"), payload):
        digest.update(b"%d\0" % len(part))
        digest.update(part)
    return digest.hexdigest()


def encode(manifest: Manifest) -> bytes:
    """The manifest as JSON text, an item a line; its last line is a SHA-256 over all before it."""
    text = _pretty({"format": FORMAT, **vars(manifest)})[:-1].encode("ascii")
    return text + _seal(text)


def decode(data: bytes, where: str) -> Manifest:
    """Raises BatchDamaged for anything but what ``encode`` wrote, UnknownFormat for a later version."""
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
            f"this batch has format {version}; this version knows {FORMAT}",
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
        next_step="The batch is set aside; `irmexport show` says what is left of it.",
    )
