"""The tokens that an emulator has issued."""

from __future__ import annotations

from irmemulator.issued_tokens import IssuedTokens


def test_no_token_is_in_memory() -> None:
    """The emulator remembers hashes of tokens, not tokens."""
    tokens = IssuedTokens(60)
    token = tokens.issue("tenant", "app", "resource")
    assert tokens.check(f"Bearer {token}") is not None
    assert token not in str(vars(tokens))


def test_a_token_is_for_its_resource() -> None:
    """The grant has the tenant, the application and the resource that the token was issued for."""
    tokens = IssuedTokens(60)
    grant = tokens.check(f"Bearer {tokens.issue('tenant', 'app', 'https://monitor.azure.com')}")
    assert grant is not None
    assert (grant.tenant_id, grant.app_id, grant.resource) == ("tenant", "app", "https://monitor.azure.com")
