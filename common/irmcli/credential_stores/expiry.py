"""When a credential ends, told before it does: where it can be known (a certificate, Azure Key Vault)."""

from __future__ import annotations

from irmcore.clock import iso
from irmcore.http.credentials import Credential

#: Days before its end that are worth a word: time to make a new one before uploads stop.
DAYS = 30
_DAY = 86_400.0


def soon(credential: Credential, now: float) -> bool:
    """Whether ``credential`` is known to end within ``DAYS`` of ``now`` (seconds since 1970)."""
    return credential.expires is not None and credential.expires - now < DAYS * _DAY


def warning(credential: Credential, now: float) -> str | None:
    """What to say of a credential that ends soon; None of one that does not, or whose end is unknown."""
    if credential.expires is None or not soon(credential, now):
        return None
    left = int((credential.expires - now) // _DAY)
    when = "has ended" if left < 0 else f"ends in {left} days"
    return f"the credential {when} ({iso(credential.expires)}): make a new one before uploads stop"
