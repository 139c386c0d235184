"""The manifest of a batch: what it is, where it goes, who made it and from what. Written once.

Attempts and decisions follow in ``audit.log``. The manifest holds no row values. It has a MAC, so that
nobody without the key can change who made a batch or where it goes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from irmcore.counts import Counts
from irmcore.errors import BatchDamaged, UnknownFormat
from irmcore.outbox import sealed
from irmcore.outbox.keyring import Keyring

FORMAT = 2
_json = json.JSONEncoder(sort_keys=True).encode


def _as_json(value: Any) -> dict[str, Any]:
    return value.as_dict() if isinstance(value, Counts) else vars(value)


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
    """The manifest of a batch. ``counts`` covers the whole run, ``rows`` this batch.

    ``payload_check`` is the payload's SHA-256, keyed; ``rowkeys_sha256`` is of the file, which is encrypted.
    ``generation`` is the one of the key that ``id`` and ``payload_check`` are keyed with.
    """

    id: str
    destination: Destination
    content_type: str
    payload_check: str
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
    generation: int


def batch_id(keyring: Keyring, destination: Destination, content_type: str, payload: bytes) -> str:
    """The id of a batch: equal batches of one outbox have equal ids."""
    return keyring.keyed(content_hash(destination, content_type, payload))


def content_hash(destination: Destination, content_type: str, payload: bytes) -> str:
    """SHA-256 of version, destination, content type and payload: the batch id before it is keyed."""
    digest = hashlib.sha256(b"irmexport-batch-1\0")
    for part in (destination.identity(), content_type.encode("ascii"), payload):
        digest.update(b"%d\0" % len(part))
        digest.update(part)
    return digest.hexdigest()


def encode(manifest: Manifest, keyring: Keyring) -> bytes:
    """The manifest as sealed JSON with its MAC."""
    values = {"format": FORMAT, **vars(manifest)}
    return sealed.encode({**values, "mac": _mac(values, keyring)}, _as_json)


def _mac(values: Mapping[str, Any], keyring: Keyring) -> str:
    text = json.dumps(values, sort_keys=True, default=_as_json)
    return keyring.mac(b"manifest\0" + text.encode("ascii"), values["generation"])


def is_genuine(values: Mapping[str, Any], keyring: Keyring) -> bool:
    """Whether the MAC in a manifest's values, of any generation of the key, is theirs. Raises KeyError."""
    own = {name: value for name, value in values.items() if name != "mac"}
    known = 1 <= values["generation"] <= keyring.newest
    return known and hmac.compare_digest(str(values["mac"]), _mac(own, keyring))


def decode(data: bytes, where: str, keyring: Keyring | None) -> Manifest:
    """The manifest that ``encode`` wrote. Without ``keyring`` its MAC is not checked.

    Raises BatchDamaged, and UnknownFormat for another version.
    """
    try:
        body = sealed.decode(data)
        version = body["format"]
    except (ValueError, KeyError):
        raise _damaged(where) from None
    if version != FORMAT:
        raise UnknownFormat(
            f"this batch has format {version}; this version of irmexport knows {FORMAT}",
            where=where,
            next_step="Use the irmexport version that wrote it, or a later one.",
        )
    try:
        if keyring is not None and not is_genuine(body, keyring):
            raise _damaged(where)
        del body["format"], body["mac"]
        return of_values(body)
    except (KeyError, TypeError):
        raise _damaged(where) from None


def of_values(body: dict[str, Any]) -> Manifest:
    """The manifest with these values. Raises KeyError, TypeError."""
    body["destination"] = Destination(**body["destination"])
    body["origin"] = Origin(**body["origin"])
    body["counts"] = Counts(**body["counts"])
    return Manifest(**body)


def _damaged(where: str) -> BatchDamaged:
    batch = os.path.basename(os.path.dirname(where))[:12] or "BATCH"
    return BatchDamaged(
        "the manifest is not what irmexport wrote",
        where=where,
        next_step=f"The batch is quarantined. Run `irmexport show {batch}` to see what is left of it.",
    )
