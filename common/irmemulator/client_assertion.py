"""Client assertions: a JWT sent instead of a secret (RFC 7523), signed with the key of a certificate or by an
issuer that the application trusts.

Promised: form, certificate (by its thumbprint, x5t#S256 or x5t), signature, audience, issuer, subject, times
and the certificate's own validity are checked as Microsoft's page "certificate credentials" describes them;
issuer, subject and audience of a federated credential as its page "workload identity federation
considerations" does, with regard to case.
Not promised: that an assertion is accepted only once, or Entra's exact words.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from irmemulator.settings import App, FederatedCredential

_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ALGORITHMS = ["PS256", "RS256"]

#: The number of an AADSTS code, and roughly Entra's words for it.
Problem = tuple[int, str]

_MALFORMED = (50027, "JWT token is invalid or malformed.")
_OUT_OF_TIME = (700024, "Client assertion is not within its valid time range.")
_OTHER_APP = (700021, "Client assertion application identifier doesn't match 'client_id' parameter.")
_REFUSALS: dict[type[Exception], Problem] = {
    jwt.ExpiredSignatureError: _OUT_OF_TIME,
    jwt.ImmatureSignatureError: _OUT_OF_TIME,
    jwt.InvalidSignatureError: (700027, "Client assertion failed signature validation."),
}


def find_problem(text: str, kind: str, *, app: App, token_path: str) -> Problem | None:
    """What is wrong with an assertion (``text``, a JWT) of this `client_assertion_type`, or None.

    ``app`` must be issuer and subject, or trust them; the audience must have the path of the token endpoint.
    """
    try:
        unverified = _unverified(text, kind)
        if app.federated and str(unverified.get("iss")).lower() != app.app_id.lower():
            _check_federated(text, unverified, app.federated)
            return None
        claims = _claims(text, app.certificates)
    except _RefusedError as refused:
        return refused.problem
    except jwt.PyJWTError as error:
        matches = (problem for kind, problem in _REFUSALS.items() if isinstance(error, kind))
        return next(matches, _MALFORMED)
    # Only the path: the client may have used another name of this machine.
    if urlsplit(str(claims["aud"])).path != token_path:
        return 700023, "Client assertion audience claim does not match Realm issuer."
    parties = {str(claims["iss"]).lower(), str(claims["sub"]).lower()}
    return None if parties == {app.app_id.lower()} else _OTHER_APP


class _RefusedError(Exception):
    """A problem found before the signature is checked."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code)
        self.problem = (code, text)


def _unverified(text: str, kind: str) -> dict[str, object]:
    """The claims of an assertion, as its sender wrote them."""
    if kind != _TYPE:
        raise _RefusedError(50027, "JWT token is invalid or malformed: unknown client_assertion_type.")
    claims: dict[str, object] = jwt.decode(text, options={"verify_signature": False})
    return claims


def _check_federated(text: str, claims: dict[str, object], trusted: Sequence[FederatedCredential]) -> None:
    """Refuse a token unless the application trusts its issuer, subject and audience, and it is valid."""
    for code, claim, name in (
        (700211, "iss", "issuer"),
        (700213, "sub", "subject"),
        (700212, "aud", "audience"),
    ):
        trusted = [one for one in trusted if getattr(one, name) == claims.get(claim)]
        if not trusted:
            raise _RefusedError(
                code, f"No matching federated identity record found for presented assertion {name}."
            )
    jwt.decode(
        text,
        trusted[0].key,
        algorithms=["RS256"],
        options={"require": ["aud", "exp", "iss", "sub"], "verify_aud": False},
    )


def _claims(text: str, certificates: Iterable[str]) -> dict[str, object]:
    """The claims, if the assertion is signed with a registered certificate's key and not expired."""
    certificate = _find_certificate(jwt.get_unverified_header(text), certificates)
    if certificate is None:
        raise _RefusedError(700027, "The certificate used to sign the client assertion is not registered.")
    if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
        raise _RefusedError(1000502, "The provided certificate is not within its specified validity period.")
    # nbf is not required: MSAL does not send it, and RFC 7523 does not ask for it.
    claims: dict[str, object] = jwt.decode(
        text,
        _key(certificate),
        algorithms=_ALGORITHMS,
        options={"require": ["aud", "exp", "iss", "jti", "sub"], "verify_aud": False},
    )
    return claims


def _find_certificate(header: dict[str, object], certificates: Iterable[str]) -> x509.Certificate | None:
    """The certificate whose thumbprint is in the header."""
    for pem in certificates:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        sha1 = hashes.SHA1()  # noqa: S303 - x5t is a SHA-1 thumbprint, which identifies and does not protect
        prints = {"x5t#S256": certificate.fingerprint(hashes.SHA256()), "x5t": certificate.fingerprint(sha1)}
        if any(_same(header.get(name), value) for name, value in prints.items()):
            return certificate
    return None


def _same(given: object, thumbprint: bytes) -> bool:
    """Compare thumbprints: MSAL writes them with base64's padding, RFC 7515 without."""
    return str(given).rstrip("=") == base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode("ascii")


def _key(certificate: x509.Certificate) -> RSAPublicKey:
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise jwt.InvalidKeyError
    return key
