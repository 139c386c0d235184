"""A release is signed: whoever has the public key notices every changed, added or removed file."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import release

ROOT = Path(__file__).parents[2]
KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """Two built files, signed."""
    (tmp_path / "irmexport-1.whl").write_bytes(b"wheel")
    (tmp_path / "irmexport-1.spl").write_bytes(b"app")
    release.sign(tmp_path, KEY, "0123abcd")
    return tmp_path


def test_a_release_is_verified(dist: Path) -> None:
    """The provenance is an in-toto statement that names commit, files and locks."""
    assert release.verify(dist, KEY.public_key()) == []
    envelope = json.loads((dist / release.PROVENANCE).read_text())
    said = json.loads(base64.b64decode(envelope["payload"]))
    assert said["predicateType"] == "https://slsa.dev/provenance/v1"
    assert [one["name"] for one in said["subject"]] == ["irmexport-1.spl", "irmexport-1.whl"]
    assert said["predicate"]["buildDefinition"]["externalParameters"] == {"commit": "0123abcd"}
    assert len((dist / release.SUMS).read_text().splitlines()) == 2


def forge(dist: Path) -> None:
    """Let the provenance name the changed wheel, without the key."""
    (dist / "irmexport-1.whl").write_bytes(b"evil")
    old = json.loads((dist / release.PROVENANCE).read_text())
    release.sign(dist, Ed25519PrivateKey.generate(), "0123abcd")
    new = json.loads((dist / release.PROVENANCE).read_text())
    (dist / release.PROVENANCE).write_text(json.dumps({**new, "signatures": old["signatures"]}))


@pytest.mark.parametrize(
    "change",
    [
        lambda dist: (dist / "irmexport-1.whl").write_bytes(b"evil"),
        lambda dist: (dist / "irmexport-1.spl").unlink(),
        lambda dist: (dist / "more.whl").write_bytes(b"x"),
        lambda dist: (dist / release.PROVENANCE).unlink(),
        lambda dist: (dist / release.PROVENANCE).write_text("{}"),
        lambda dist: release.sign(dist, Ed25519PrivateKey.generate(), "0123abcd"),
        forge,
    ],
)
def test_every_change_is_noticed(dist: Path, change: Callable[[Path], object]) -> None:
    """A file, the provenance, or the key is another one."""
    change(dist)
    assert release.verify(dist, KEY.public_key()) != []


def test_the_vex_is_about_what_is_locked() -> None:
    """Each statement is about a version in the Splunk app's lock, and SECURITY.md explains it."""
    lock = (ROOT / "requirements" / "splunk-lib.txt").read_text(encoding="utf-8")
    locked = {f"pkg:pypi/{n}@{v}" for n, v in re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", lock, re.MULTILINE)}
    security = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for said in json.loads((ROOT / "requirements" / "vex.json").read_text(encoding="utf-8"))["statements"]:
        assert said["status"] == "not_affected"
        assert said["products"][0]["@id"] in locked
        assert said["vulnerability"]["name"] in security
