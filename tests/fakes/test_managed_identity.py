"""The fake endpoint of managed identities issues tokens as the platform's page describes, and no others."""

from __future__ import annotations

import jwt
import pytest
import requests

from tests.fakes.managed_identity import VERSION, ManagedIdentity

QUERY = f"api-version={VERSION}&resource=https://r.example"


def test_it_issues_a_signed_token_of_the_identity() -> None:
    """The claims are the object ID and the resource, and the key is the one it shows."""
    with ManagedIdentity({None: "object", "client": "other"}) as fake:
        there = fake.environment()
        answer = requests.get(
            f"{there['IDENTITY_ENDPOINT']}?{QUERY}&client_id=client",
            headers={"X-IDENTITY-HEADER": there["IDENTITY_HEADER"]},
            timeout=30,
        )
    token = answer.json()["access_token"]
    claims = jwt.decode(token, fake.public_key, algorithms=["RS256"], audience="https://r.example")
    assert claims["sub"] == "other"
    assert fake.issued == [("client", "https://r.example")]


@pytest.mark.parametrize(
    ("query", "header", "status"),
    [
        (QUERY, None, 401),
        (QUERY, "wrong", 401),
        (f"{QUERY}&client_id=unknown", "", 400),
        ("resource=https://r.example", "", 400),
        (f"api-version={VERSION}", "", 400),
    ],
)
def test_it_refuses_what_the_platform_refuses(query: str, header: str | None, status: int) -> None:
    """A missing header, an identity that is not assigned, another version, or no resource."""
    with ManagedIdentity({None: "object"}) as fake:
        there = fake.environment()
        headers = {} if header is None else {"X-IDENTITY-HEADER": header or there["IDENTITY_HEADER"]}
        answer = requests.get(f"{there['IDENTITY_ENDPOINT']}?{query}", headers=headers, timeout=30)
    assert answer.status_code == status
    assert fake.issued == []
