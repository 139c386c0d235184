"""Self-signed client certificates as openssl makes them: key and certificate as PEM."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ONE_DAY = datetime.timedelta(days=1)


def self_signed_certificate(days: float = 365, *, elliptic: bool = False) -> tuple[str, str]:
    """A key and its certificate, which expires in ``days`` (negative: it has expired)."""
    key = ec.generate_private_key(ec.SECP256R1()) if elliptic else rsa.generate_private_key(65_537, 2_048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "irmexport tests")])
    ends = datetime.datetime.now(datetime.timezone.utc) + days * ONE_DAY
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - 800 * ONE_DAY)
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()
