"""The key of an outbox: its file, its secrets, and what is made with them."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from irmcore.outbox import sealed
from irmcore.outbox.keyring import Keyring, decode, encode

RING = Keyring("an outbox", (b"1" * 32, b"2" * 32))


def test_a_secret_is_of_256_random_bits() -> None:
    """Also the one that a rotation adds; the earlier ones stay."""
    ring = Keyring.new("an outbox")
    rotated = ring.rotated()
    assert [len(secret) for secret in rotated.generations] == [32, 32]
    assert len({*rotated.generations, *Keyring.new("an outbox").generations}) == 3
    assert (rotated.outbox, rotated.generations[:1]) == ("an outbox", ring.generations)
    assert (ring.newest, rotated.newest) == (1, 2)
    assert ring.generations[0].hex() not in repr(ring)
    assert repr(rotated) == "Keyring('an outbox', 2 generations)"


def test_an_id_is_keyed_with_each_generation_in_turn() -> None:
    """HMAC-SHA256 of the digest under the first, then under the second; an older id needs the rest alone."""
    digest = hashlib.sha256(b"payload").digest()
    first = hmac.new(b"1" * 32, digest, "sha256").digest()
    second = hmac.new(b"2" * 32, first, "sha256").digest()
    assert RING.keyed(digest.hex()) == second.hex()
    assert RING.keyed(first.hex(), after=1) == second.hex()


@pytest.mark.parametrize("text", [b"", b"a", bytes(range(256)) * 5])
def test_a_text_comes_back(text: bytes) -> None:
    """Under the newest generation, after a nonce of 16 bytes that is never used twice."""
    data = RING.encrypted(text)
    assert len(data) == 16 + len(text)
    assert data[:16] != RING.encrypted(text)[:16]
    assert RING.decrypted(data, 2) == text
    stream = hashlib.shake_256(b"1" * 32 + data[:16]).digest(len(text))
    assert RING.decrypted(data, 1) == bytes(a ^ b for a, b in zip(data[16:], stream))


@pytest.mark.parametrize("generation", [-1, 0, 3])
def test_a_generation_that_is_missing(generation: int) -> None:
    """It is a KeyError, and never the secret of another one."""
    with pytest.raises(KeyError):
        RING.decrypted(bytes(20), generation)


def test_a_key_file_comes_back() -> None:
    """What was written is read."""
    assert decode(encode(RING)) == RING


@pytest.mark.parametrize(
    "values",
    [
        {"format": 2, "outbox": "an outbox", "secrets": ["00"]},
        {"format": 0, "outbox": "an outbox", "secrets": ["00"]},
        {"format": 1, "outbox": "an outbox", "secrets": []},
        {"format": 1, "outbox": "an outbox", "secrets": [1]},
        {"format": 1, "outbox": "an outbox", "secrets": ["no digits"]},
        {"format": 1, "outbox": "an outbox"},
        {"format": 1, "secrets": ["00"]},
        {"outbox": "an outbox", "secrets": ["00"]},
    ],
)
def test_another_file_is_no_key_file(values: dict[str, object]) -> None:
    """Even if its checksum is right."""
    with pytest.raises(ValueError, match=r"key file|non-hexadecimal"):
        decode(sealed.encode(values))


def test_a_pseudonym_is_pinned() -> None:
    """It is the same for each way to write a name's case and after a rotation, and needs the first secret."""
    mac = hmac.new(b"1" * 32, b"pseudonymsarad@contoso.com", "sha256").hexdigest()
    assert RING.pseudonym("SaraD@contoso.com") == RING.pseudonym("sarad@CONTOSO.com") == f"user-{mac[:10]}"
    assert Keyring("an outbox", RING.generations[:1]).pseudonym("sarad@contoso.com") == f"user-{mac[:10]}"
    assert Keyring("an outbox", RING.generations[1:]).pseudonym("sarad@contoso.com") != f"user-{mac[:10]}"


def test_a_mac_is_of_its_generation() -> None:
    """HMAC-SHA256 under the secret of that generation alone."""
    for number, secret in enumerate(RING.generations, 1):
        assert RING.mac(b"text", number) == hmac.new(secret, b"text", "sha256").hexdigest()
