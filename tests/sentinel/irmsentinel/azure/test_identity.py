"""Signing in: the credential of each identity kind, and the sources of a client secret."""

from pathlib import Path

import pytest
from azure.identity import (
    AzureCliCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
)
from irmcore.errors import ConfigurationError, CredentialError
from irmsentinel.azure import identity
from irmsentinel.azure.identity import Identity
from irmsentinel.azure.workspace import HOSTS
from irmsentinel.export import sources

A = "00000000-0000-0000-0000-00000000000a"


@pytest.mark.parametrize("cloud", HOSTS)
@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("default", DefaultAzureCredential),
        ("managed-identity", ManagedIdentityCredential),
        ("cli", AzureCliCredential),
        ("client-secret", ClientSecretCredential),
    ],
)
def test_each_kind_makes_a_credential_of_its_own(kind: str, made: type, cloud: str) -> None:
    """Each call makes a new credential, without an earlier token."""
    make = identity.maker(Identity(kind, A, A, ("env", "S")), cloud, {"S": "made-up"})
    assert isinstance(make(), made)
    assert make() is not make()


def test_every_kind_can_be_made() -> None:
    """Every kind that a configuration may name has a credential."""
    for kind in identity.KINDS:
        identity.maker(Identity(kind, A, A, ("env", "S")), "public", {"S": "made-up"})()


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """A file of mode 0644 or an unset variable is an error before any sign-in. The message has no secret."""
    file = tmp_path / "secret"
    file.write_text("made-up-secret")
    file.chmod(0o644)
    for place in (("file", str(file)), ("env", "NOT_SET")):
        with pytest.raises(CredentialError) as refused:
            identity.maker(Identity("client-secret", A, A, place), "public", {})()
        assert "made-up-secret" not in str(refused.value)


def test_an_unknown_cloud_is_refused() -> None:
    """The message lists the known clouds."""
    with pytest.raises(ConfigurationError, match="us-government"):
        sources.azure(A, "mars", Identity(), {})
