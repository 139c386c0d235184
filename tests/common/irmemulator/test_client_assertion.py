"""Client assertions: a correct one is accepted, and each wrong one gets its code."""

from __future__ import annotations

import base64
import time
import uuid
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from irmemulator.client_assertion import find_problem
from irmemulator.settings import App, FederatedCredential

from tests.fakes.certificates import self_signed_certificate

APP = "22222222-2222-4222-8222-222222222222"
PATH = "/tenant/oauth2/v2.0/token"
KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(scope="module")
def mine() -> tuple[str, str]:
    """The application's key and certificate."""
    return self_signed_certificate()


def assertion(key: str, certificate: str, *, algorithm: str = "PS256", drop: str = "", **claims: Any) -> str:
    """A signed assertion with these claims instead of the correct ones."""
    now = int(time.time())
    right = {"aud": f"https://127.0.0.1:1{PATH}", "iss": APP, "sub": APP, "jti": str(uuid.uuid4())}
    body = {**right, "nbf": now, "exp": now + 600, **claims}
    body.pop(drop, None)
    print_ = x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA256())
    headers = {"x5t#S256": base64.urlsafe_b64encode(print_).rstrip(b"=").decode()}
    return jwt.encode(body, key, algorithm=algorithm, headers=headers)


def found(text: str, certificate: str, kind: str = KIND) -> int | None:
    """The error code for an assertion."""
    app = App("tenant", APP, "", certificates=(certificate,))
    wrong = find_problem(text, kind, app=app, token_path=PATH)
    return wrong[0] if wrong else None


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_a_correct_assertion_is_accepted(mine: tuple[str, str], algorithm: str) -> None:
    """An unexpired assertion for this endpoint, signed with a registered key, is accepted."""
    assert found(assertion(*mine, algorithm=algorithm), mine[1]) is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"exp": 1_700_000_000}, 700024),
        ({"nbf": 4_000_000_000, "exp": 4_000_000_600}, 700024),
        ({"aud": "https://127.0.0.1:1/other/oauth2/v2.0/token"}, 700023),
        ({"iss": "someone"}, 700021),
        ({"sub": "someone"}, 700021),
        ({"drop": "exp"}, 50027),
        ({"drop": "jti"}, 50027),
    ],
    ids=str,
)
def test_a_wrong_claim_has_its_code(mine: tuple[str, str], change: dict[str, Any], code: int) -> None:
    """Times, audience, issuer, subject and completeness are each checked."""
    assert found(assertion(*mine, **change), mine[1]) == code


def test_another_certificate_is_refused(mine: tuple[str, str]) -> None:
    """An unregistered certificate is refused, and so is another key under the registered thumbprint."""
    other = self_signed_certificate()
    assert found(assertion(*other), mine[1]) == 700027
    assert found(assertion(other[0], mine[1]), mine[1]) == 700027


def test_an_expired_certificate_is_refused() -> None:
    """An expired certificate is refused although it is registered."""
    old = self_signed_certificate(-1)
    assert found(assertion(*old), old[1]) == 1000502


def test_a_malformed_assertion_is_refused(mine: tuple[str, str]) -> None:
    """Another assertion type, text that is not a JWT, and a symmetric signature are malformed."""
    assert found(assertion(*mine), mine[1], kind="saml") == 50027
    assert found("no.jwt", mine[1]) == 50027
    headers = jwt.get_unverified_header(assertion(*mine))
    weak = jwt.encode({"iss": APP}, "x" * 40, algorithm="HS256", headers={"x5t#S256": headers["x5t#S256"]})
    assert found(weak, mine[1]) == 50027


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, None),
        ({"iss": "https://ISSUER.example"}, 700211),
        ({"iss": "https://issuer.example/"}, 700211),
        ({"sub": "another"}, 700213),
        ({"sub": "Subject"}, 700213),
        ({"aud": "api://AzureADTokenExchangeUSGov"}, 700212),
        ({"exp": 1_700_000_000}, 700024),
        ({"drop": "exp"}, 50027),
        ({"drop": "sub"}, 700213),
    ],
    ids=str,
)
def test_a_federated_token_needs_a_trusted_issuer_subject_and_audience(
    mine: tuple[str, str], change: dict[str, Any], code: int | None
) -> None:
    """All three are compared with regard to case, and times and signature are checked."""
    trust = {"iss": "https://issuer.example", "sub": "subject", "aud": "api://AzureADTokenExchange"}
    key = x509.load_pem_x509_certificate(mine[1].encode()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    app = App("tenant", APP, "", federated=(FederatedCredential(*trust.values(), pem),))
    text = assertion(*mine, algorithm="RS256", **{**trust, **change})
    wrong = find_problem(text, KIND, app=app, token_path=PATH)
    assert (wrong and wrong[0]) == code
    forged = assertion(self_signed_certificate()[0], mine[1], algorithm="RS256", **{**trust, **change})
    assert find_problem(forged, KIND, app=app, token_path=PATH) is not None
