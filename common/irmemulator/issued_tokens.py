"""The tokens that an emulator has issued, and whom each was issued to.

Promised: tokens are random, held as hashes only, expire, and can be revoked. Safe between threads.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Grant:
    """Whom a token was issued to, for which resource, and until when (monotonic seconds)."""

    tenant_id: str
    app_id: str
    resource: str
    expires_at: float


class IssuedTokens:
    """Issues tokens and recognizes them."""

    def __init__(self, lifetime: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``lifetime`` in seconds; ``clock`` returns seconds that never go back."""
        self.lifetime = lifetime
        self._clock = clock
        self._grants: dict[bytes, Grant] = {}
        self._lock = threading.Lock()

    def issue(self, tenant_id: str, app_id: str, resource: str) -> str:
        """A new token."""
        token = f"emulated.{secrets.token_urlsafe(48)}"
        now = self._clock()
        grant = Grant(tenant_id, app_id, resource, now + self.lifetime)
        with self._lock:
            # Expired tokens must not pile up in an emulator that runs for days.
            self._grants = {key: old for key, old in self._grants.items() if now < old.expires_at}
            self._grants[_digest(token)] = grant
        return token

    def check(self, authorization: str | None) -> Grant | None:
        """The grant behind an Authorization header, or None if the token is unknown, expired or revoked."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        with self._lock:
            grant = self._grants.get(_digest(token.strip()))
        return grant if grant is not None and self._clock() < grant.expires_at else None

    def revoke(self) -> None:
        """Revoke every token issued so far."""
        with self._lock:
            self._grants.clear()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
