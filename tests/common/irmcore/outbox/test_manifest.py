"""The manifest and the batch id: their bytes, and that no change of either goes unnoticed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from irmcore.counts import Counts
from irmcore.errors import BatchDamaged, UnknownFormat
from irmcore.outbox import Destination, Manifest, Origin
from irmcore.outbox import manifest as manifests

PURVIEW = Destination("purview-indicators", {"job_id": "j", "cloud": "gcc"}, "hold")
MANIFEST = Manifest(
    id="00ff",
    destination=PURVIEW,
    content_type="text/csv",
    payload_sha256="aa",
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
)

BODY = {
    "format": 1,
    "id": "00ff",
    "destination": {
        "kind": "purview-indicators",
        "address": {"job_id": "j", "cloud": "gcc"},
        "in_doubt": "hold",
    },
    "content_type": "text/csv",
    "payload_sha256": "aa",
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
}


def test_a_manifest_is_pinned() -> None:
    """A manifest is JSON with these names and a SHA-256 over all of it, in sorted order."""
    found = json.loads(manifests.encode(MANIFEST))
    check = found.pop("check")
    assert found == BODY
    assert check == hashlib.sha256(json.dumps(BODY, sort_keys=True).encode()).hexdigest()
    assert manifests.decode(manifests.encode(MANIFEST), "m") == MANIFEST


def test_a_batch_id_is_pinned() -> None:
    """The id hashes version, destination, content type and payload, each with its length before it."""
    where = b'["purview-indicators", {"cloud": "gcc", "job_id": "j"}]'
    text = b"irmexport-batch-1\0" + b"%d\0" % len(where) + where + b"8\0text/csv" + b"3\0a,b"
    assert manifests.batch_id(PURVIEW, "text/csv", b"a,b") == hashlib.sha256(text).hexdigest()


def test_what_makes_a_batch_another_one() -> None:
    """Payload, content type and address make the id; the policy for doubt does not."""
    ids = {
        manifests.batch_id(PURVIEW, "text/csv", b"a"),
        manifests.batch_id(PURVIEW, "text/csv", b"b"),
        manifests.batch_id(PURVIEW, "text/tsv", b"a"),
        manifests.batch_id(replace(PURVIEW, kind="other"), "text/csv", b"a"),
        manifests.batch_id(replace(PURVIEW, address={"job_id": "k", "cloud": "gcc"}), "text/csv", b"a"),
    }
    assert len(ids) == 5
    assert manifests.batch_id(replace(PURVIEW, in_doubt="resend"), "text/csv", b"a") in ids


def test_every_flip_of_a_bit_is_noticed() -> None:
    """No bit of a manifest can change what is read from it: it is refused, or reads the same."""
    whole = manifests.encode(MANIFEST)
    for bit in range(len(whole) * 8):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        try:
            found = manifests.decode(bytes(data), "m")
        except BatchDamaged:
            continue
        assert found == MANIFEST, bit


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b'{"format":1,"check":"x"}', b"{" * 9])
def test_what_is_no_manifest_is_damage(data: bytes) -> None:
    """Anything but what was written is told as damage, with its place."""
    with pytest.raises(BatchDamaged) as error:
        manifests.decode(data, "here/manifest.json")
    assert error.value.where == "here/manifest.json"


def test_a_manifest_cut_off_is_damage() -> None:
    """A manifest that ends early is damaged, wherever it ends."""
    whole = manifests.encode(MANIFEST)
    for size in range(len(whole) - 2):
        with pytest.raises(BatchDamaged):
            manifests.decode(whole[:size], "m")


def test_a_later_version_is_refused() -> None:
    """A whole manifest of another format is not damage but a later version's."""
    body: dict[str, Any] = {**BODY, "format": 2, "more": True}
    body["check"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    with pytest.raises(UnknownFormat, match="format 2"):
        manifests.decode(json.dumps(body).encode(), "m")
