"""The secrets of one outbox, without which its row keys and batch ids say nothing about a person.

A row key is a hash of a row, so whoever reads it could try names until one fits. Therefore row keys are
encrypted at rest, and batch ids and payload checks are keyed. Each rotation adds a *generation*:

- Row keys are encrypted under the newest generation: XOR with SHAKE-256(secret, nonce), one random nonce for
  each text. The time on the wire never depends on a secret, and promoting rows to another outbox needs only
  both secrets.
- An id is HMAC-SHA256 under the first generation, then under the second, and so on, so that ids can be keyed
  anew without the payload, which is deleted before its batch.

Not promised: to protect from a person who reads both the outbox and its key. Encryption says nothing about
integrity; checksums detect damage, not forgery.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace

from irmcore.outbox import sealed

FORMAT = 1
SECRET_BYTES = 32
NONCE_BYTES = 16


@dataclass(frozen=True)
class Keyring:
    """The secrets of the outbox with the id ``outbox``, oldest first; the first is generation 1."""

    outbox: str
    generations: tuple[bytes, ...]

    @staticmethod
    def new(outbox: str) -> Keyring:
        """A keyring with one random secret."""
        return Keyring(outbox, (secrets.token_bytes(SECRET_BYTES),))

    def rotated(self) -> Keyring:
        """The same with one more generation."""
        return replace(self, generations=(*self.generations, secrets.token_bytes(SECRET_BYTES)))

    def __repr__(self) -> str:
        return f"Keyring({self.outbox!r}, {len(self.generations)} generations)"

    @property
    def newest(self) -> int:
        """The newest generation."""
        return len(self.generations)

    def keyed(self, digest: str, after: int = 0) -> str:
        """The id (hexadecimal) that a SHA-256 digest, or an id of generation ``after``, has now."""
        found = bytes.fromhex(digest)
        for secret in self.generations[after:]:
            found = hmac.new(secret, found, "sha256").digest()
        return found.hex()

    def mac(self, data: bytes, generation: int) -> str:
        """The HMAC-SHA256 (hexadecimal) of ``data``, which begins with what it is and is no digest."""
        return hmac.new(self.generations[generation - 1], data, "sha256").hexdigest()

    def pseudonym(self, name: str) -> str:
        """A stand-in for a name that is the same for this outbox, also after a rotation of the key."""
        return f"user-{self.mac(b'pseudonym' + name.casefold().encode('utf-8'), 1)[:10]}"

    def encrypted(self, text: bytes) -> bytes:
        """A random nonce and ``text`` under the newest generation."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._mix(text, nonce, self.newest)

    def decrypted(self, data: bytes, generation: int) -> bytes:
        """What ``encrypted`` was given. Raises KeyError if this keyring lacks the generation."""
        if not 1 <= generation <= self.newest:
            raise KeyError(generation)
        return self._mix(data[NONCE_BYTES:], data[:NONCE_BYTES], generation)

    def _mix(self, text: bytes, nonce: bytes, generation: int) -> bytes:
        size = len(text)
        stream = hashlib.shake_256(self.generations[generation - 1] + nonce).digest(size)
        # As one number each: for a batch, a thousandth of the time of a loop over bytes.
        mixed = int.from_bytes(text, "little") ^ int.from_bytes(stream, "little")
        return mixed.to_bytes(size, "little")


def encode(keyring: Keyring) -> bytes:
    """The contents of a key file."""
    secrets_ = [secret.hex() for secret in keyring.generations]
    return sealed.encode({"format": FORMAT, "outbox": keyring.outbox, "secrets": secrets_})


def decode(data: bytes) -> Keyring:
    """What ``encode`` wrote. Raises ValueError for anything else."""
    values = sealed.decode(data)
    try:
        generations = tuple(bytes.fromhex(secret) for secret in values["secrets"])
        if values["format"] != FORMAT or not generations:
            raise ValueError("an unknown format of a key file")
        return Keyring(str(values["outbox"]), generations)
    except (KeyError, TypeError):
        raise ValueError("not a key file") from None
