"""The manifest and the batch id: their bytes are fixed, and any change is detected."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from irmcore.counts import Counts
from irmcore.errors import BatchDamaged, UnknownFormat
from irmcore.outbox import Destination, Manifest, Origin
from irmcore.outbox import manifest as manifests
from irmcore.outbox.keyring import Keyring

PURVIEW = Destination("purview-indicators", {"job_id": "j", "cloud": "gcc"}, "hold")
MANIFEST = Manifest(
    id="00ff",
    destination=PURVIEW,
    content_type="text/csv",
    payload_check="aa",
    payload_bytes=7,
    rows=2,
    rowkeys_sha256="bb",
    run="20260101T000000Z-0a0b0c0d",
    part=1,
    parts=3,
    accepted=1_770_000_000.25,
    origin=Origin(user="anna", host="h1", app="cli", details={"file": "/x.csv"}),
    profile={"name": "small", "sha256": "cc"},
    counts=Counts(read=4, shaped=2, merged=1, skipped=1, rejected=0),
    tool="irmexport 0.1.0",
    generation=1,
)

RING = Keyring("o", (b"s" * 32,))

BODY = {
    "format": 2,
    "id": "00ff",
    "destination": {
        "kind": "purview-indicators",
        "address": {"job_id": "j", "cloud": "gcc"},
        "in_doubt": "hold",
    },
    "content_type": "text/csv",
    "payload_check": "aa",
    "payload_bytes": 7,
    "rows": 2,
    "rowkeys_sha256": "bb",
    "run": "20260101T000000Z-0a0b0c0d",
    "part": 1,
    "parts": 3,
    "accepted": 1_770_000_000.25,
    "origin": {"user": "anna", "host": "h1", "app": "cli", "details": {"file": "/x.csv"}},
    "profile": {"name": "small", "sha256": "cc"},
    "counts": {"read": 4, "shaped": 2, "merged": 1, "skipped": 1, "rejected": 0},
    "tool": "irmexport 0.1.0",
    "generation": 1,
}


MAC = hmac.new(b"s" * 32, b"manifest\0" + json.dumps(BODY, sort_keys=True).encode(), "sha256").hexdigest()


def under_a_seal(text: bytes) -> bytes:
    """``text`` with the last line of a manifest."""
    return text + b',\n "check": "%s"}\n' % hashlib.sha256(text).hexdigest().encode()


def sealed(body: dict[str, Any]) -> bytes:
    """The bytes of a manifest: one item a line, sorted; the last line is a SHA-256 of those before."""
    return under_a_seal(json.dumps(body, sort_keys=True, separators=(",\n ", ": "))[:-1].encode())


def test_a_manifest_is_pinned() -> None:
    """A manifest is JSON with these names, and these bytes."""
    assert manifests.encode(MANIFEST, RING) == sealed({**BODY, "mac": MAC})
    found = json.loads(manifests.encode(MANIFEST, RING))
    assert (found.pop("mac"), len(found.pop("check"))) == (MAC, 64)
    assert found == BODY
    assert manifests.decode(manifests.encode(MANIFEST, RING), "m", RING) == MANIFEST


def test_a_batch_id_is_pinned() -> None:
    """The id hashes version, destination, content type and payload, each after its length, and is keyed."""
    where = b'["purview-indicators", {"cloud": "gcc", "job_id": "j"}]'
    text = b"irmexport-batch-1\0" + b"%d\0" % len(where) + where + b"8\0text/csv" + b"3\0a,b"
    assert manifests.content_hash(PURVIEW, "text/csv", b"a,b") == hashlib.sha256(text).hexdigest()
    first = hmac.new(b"s" * 32, hashlib.sha256(text).digest(), "sha256")
    assert manifests.batch_id(RING, PURVIEW, "text/csv", b"a,b") == first.hexdigest()
    second = hmac.new(b"t" * 32, first.digest(), "sha256").hexdigest()
    rotated = Keyring("o", (b"s" * 32, b"t" * 32))
    assert manifests.batch_id(rotated, PURVIEW, "text/csv", b"a,b") == second


def test_what_makes_a_batch_another_one() -> None:
    """The id depends on payload, content type and address, not on the policy for doubts."""
    ids = {
        manifests.batch_id(RING, PURVIEW, "text/csv", b"a"),
        manifests.batch_id(RING, PURVIEW, "text/csv", b"b"),
        manifests.batch_id(RING, PURVIEW, "text/tsv", b"a"),
        manifests.batch_id(RING, replace(PURVIEW, kind="other"), "text/csv", b"a"),
        manifests.batch_id(RING, replace(PURVIEW, address={"job_id": "k", "cloud": "gcc"}), "text/csv", b"a"),
    }
    assert len(ids) == 5
    assert manifests.batch_id(RING, replace(PURVIEW, in_doubt="resend"), "text/csv", b"a") in ids


def test_every_flip_of_a_bit_is_noticed() -> None:
    """A manifest with any bit changed is refused."""
    whole = manifests.encode(MANIFEST, RING)
    for bit in range(len(whole) * 8):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BatchDamaged):
            manifests.decode(bytes(data), "m", RING)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{}", b"[]", b"null", b"\xff", b'{"format":1,"check":"x"}', b"{" * 9),
        *map(under_a_seal, [b"", b"{", b'{"id": "00ff"', b'["format"', b'{"format": ']),
        *map(under_a_seal, [b"{" * 9_999, b"\xff"]),
        *map(
            under_a_seal,
            [b'{"format": 2', b'{"format": 2, "destination": []', b'{"format": 2, "destination": {}'],
        ),
    ],
)
def test_what_is_no_manifest_is_damage(data: bytes) -> None:
    """Anything that irmexport did not write is reported as damage, with its path."""
    with pytest.raises(BatchDamaged) as error:
        manifests.decode(data, "here/manifest.json", RING)
    assert error.value.where == "here/manifest.json"


def test_a_manifest_cut_off_is_damage() -> None:
    """A truncated manifest is damaged, wherever it ends."""
    whole = manifests.encode(MANIFEST, RING)
    for size in range(len(whole)):
        with pytest.raises(BatchDamaged):
            manifests.decode(whole[:size], "m", RING)


def test_a_later_version_is_refused() -> None:
    """A complete manifest of another format is a later version's, not damage."""
    body: dict[str, Any] = {**BODY, "format": 3, "more": True}
    with pytest.raises(UnknownFormat, match="format 3"):
        manifests.decode(sealed(body), "m", RING)


@pytest.mark.parametrize(
    "change",
    [{"rows": 3}, {"id": "00fe"}, {"mac": "0" * 64}, {"mac": 7}, {"generation": 2}, {"generation": 0}],
)
def test_a_manifest_that_was_not_made_with_the_key_is_damage(change: dict[str, Any]) -> None:
    """Even if its own checksum is right; only who lacks the key cannot tell."""
    data = sealed({**BODY, "mac": MAC, **change})
    with pytest.raises(BatchDamaged):
        manifests.decode(data, "m", RING)
    values = {name: value for name, value in change.items() if name != "mac"}
    assert manifests.decode(data, "m", None) == replace(MANIFEST, **values)
    assert manifests.decode(sealed({**BODY, "mac": MAC}), "m", RING) == MANIFEST


@pytest.mark.parametrize("version", [0, 1, 3])
def test_another_version_is_not_read(version: int) -> None:
    """Neither an earlier one nor a later one, whose MAC this version could not check."""
    with pytest.raises(UnknownFormat, match=f"format {version}"):
        manifests.decode(sealed({**BODY, "format": version, "mac": MAC}), "m", RING)
