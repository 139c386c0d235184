"""A certificate and its RSA key, from a PEM or PFX file that only its owner may read.

The file's password, if it has one, is in IRMEXPORT_CERTIFICATE_PASSWORD. An expired certificate is refused
here, as Entra ID would refuse it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from irmcore.clock import iso
from irmcore.errors import CredentialError
from irmcore.http import credentials
from irmcore.http.credentials import Certificate, Credential

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

PASSWORD = "IRMEXPORT_CERTIFICATE_PASSWORD"  # noqa: S105 - the name of a variable

#: How each part of a PEM file begins.
PEM = "-----BEGIN"


def read(name: str, environment: Mapping[str, str]) -> Credential:
    """The certificate and key in the file ``name``. Raises CredentialError."""
    password = environment.get(PASSWORD)
    return parse(credentials.private_bytes(name), password, f"certificate {name}")


def parse(data: bytes, password: str | None, where: str) -> Certificate:
    """The certificate and key in PEM or PFX bytes. Raises CredentialError."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    key, found = _load(data, password.encode() if password else None, where)
    if not isinstance(key, RSAPrivateKey):
        raise CredentialError(
            "the certificate's key is not RSA",
            where=where,
            next_step="Entra ID requires RSA. Create one with an RSA key.",
        )
    certificate = next((one for one in found if one.public_key() == key.public_key()), None)
    if certificate is None:
        raise unreadable(where)
    expires = certificate.not_valid_after_utc.timestamp()
    if expires <= time.time():
        raise CredentialError(
            f"the certificate expired on {iso(expires)}",
            where=where,
            next_step="Create a new one and upload it to the application in Entra ID.",
        )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    pem = serialization.Encoding.PEM
    text = key.private_bytes(pem, form, plain).decode("ascii")
    return Certificate(text, certificate.public_bytes(pem).decode("ascii"), expires)


def _load(data: bytes, password: bytes | None, where: str) -> tuple[PrivateKeyTypes, list[x509.Certificate]]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

    try:
        if PEM.encode() in data:
            # cryptography raises if it gets a password for a key that is not encrypted.
            locked = b"ENCRYPTED" in data
            return load_pem_private_key(data, password if locked else None), x509.load_pem_x509_certificates(
                data
            )
        key, certificate, _ = pkcs12.load_key_and_certificates(data, password)
    except (ValueError, TypeError):  # TypeError: a password is missing
        raise unreadable(where) from None
    if key is None or certificate is None:
        raise unreadable(where)
    return key, [certificate]


def unreadable(where: str) -> CredentialError:
    """The error for data that is not a certificate with its key."""
    return CredentialError(
        "there is no readable certificate with its private key",
        where=where,
        next_step=f"Use one PEM file with both, or a PFX file. If it has a password, set {PASSWORD}.",
    )
