"""Warn before a credential expires, where its expiry date is known (a certificate, Azure Key Vault)."""

from irmcore.clock import iso
from irmcore.http.credentials import Credential

#: Days before the expiry date at which warnings start: time to replace it before uploads stop.
DAYS = 30
_DAY = 86_400.0


def soon(credential: Credential, now: float) -> bool:
    """Whether ``credential`` is known to expire within ``DAYS`` of ``now`` (seconds since 1970)."""
    return credential.expires is not None and credential.expires - now < DAYS * _DAY


def warning(credential: Credential, now: float) -> str | None:
    """The warning for a credential that expires soon; None if it does not or its expiry date is unknown."""
    if credential.expires is None or not soon(credential, now):
        return None
    left = int((credential.expires - now) // _DAY)
    if left < 0:
        return f"the credential expired on {iso(credential.expires)}: replace it, uploads fail until then"
    return (
        f"the credential expires in {left} days ({iso(credential.expires)}): replace it before uploads stop"
    )
