"""The client of Microsoft Graph: hosts, deadlines, sizes, sign-in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from azure.identity import (
    AzureCliCredential,
    CertificateCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
)
from irmcli.identities import sign_in
from irmcli.options import SignIn
from irmcore.clouds import CLOUDS
from irmcore.errors import AddressRefused, ConfigurationError, WaitError
from irmemulator.faults import Fault
from irmsentinel.azure import identity
from irmsentinel.azure.graph_client import HOSTS, READ_USERS, GraphClient
from irmsentinel.azure.identity import Identity

from tests.common.irmcli.identities.tenant_and_directory import TenantAndDirectory, user
from tests.fakes.certificates import self_signed_certificate

MakeTenant = Callable[..., TenantAndDirectory]
A = "00000000-0000-0000-0000-00000000000a"


def test_each_cloud_of_the_connector_has_a_host() -> None:
    """And every host is Microsoft's."""
    assert HOSTS.keys() == CLOUDS.keys()
    for host in HOSTS.values():
        assert GraphClient(host, AzureCliCredential).host == host


@pytest.mark.parametrize(
    "host", ["https://graph.example.com", "http://127.0.0.1:1", "https://graph.microsoft.com.example.com"]
)
def test_another_host_is_refused(host: str) -> None:
    """A token goes to Microsoft Graph or to an emulator over TLS on this machine."""
    with pytest.raises(AddressRefused, match="not a host of Microsoft Graph"):
        GraphClient(host, AzureCliCredential)


@pytest.mark.parametrize(
    ("link", "own"),
    [
        ("https://graph.microsoft.com/v1.0/users/delta?$skiptoken=x", True),
        ("https://GRAPH.microsoft.com/v1.0/users", True),
        ("http://graph.microsoft.com/v1.0/users", False),
        ("https://graph.microsoft.com:8443/v1.0/users", False),
        ("https://graph.microsoft.com@example.com/v1.0/users", False),
        ("https://graph.microsoft.us/v1.0/users", False),
        ("https://[::1", False),
    ],
)
def test_only_links_to_the_same_host_are_followed(link: str, *, own: bool) -> None:
    """Scheme, host and port must be the same."""
    client = GraphClient(HOSTS["commercial"], AzureCliCredential)
    assert client.is_own(link) is own


def test_an_answer_has_a_maximum_size(tenant_with: MakeTenant) -> None:
    """An endless answer does not fill the memory."""
    rig = tenant_with(*(user(number, f"person{number}") for number in range(50)))
    with pytest.raises(WaitError, match="did not answer completely"):
        list(rig.client(max_bytes=2_000).pages("/v1.0/users/delta", READ_USERS))
    assert len(list(rig.client(max_bytes=200_000).pages("/v1.0/users/delta", READ_USERS))) == 1


def test_a_request_has_a_deadline(tenant_with: MakeTenant) -> None:
    """An answer that drips ends at its deadline."""
    rig = tenant_with(user(1, "ana"))
    rig.emulator.faults.until_cleared(Fault("delta", drip=0.2))
    with pytest.raises(WaitError, match="ServiceResponseTimeoutError"):
        list(rig.client(deadline=1.0).pages("/v1.0/users/delta", READ_USERS))


def test_pages_that_go_round_in_a_circle_end(tenant_with: MakeTenant) -> None:
    """A next link that was followed before is an error, not an endless loop."""
    rig = tenant_with(user(1, "ana"))
    link = f"{rig.emulator.url}/v1.0/users/delta"
    body = b'{"value": [], "@odata.nextLink": "' + link.encode() + b'"}'
    rig.emulator.faults.until_cleared(Fault("delta", status=200, body=body))
    with pytest.raises(WaitError, match="lead back"):
        list(rig.client().pages("/v1.0/users/delta", READ_USERS))


def test_a_wrong_secret_is_a_configuration_error(tenant_with: MakeTenant) -> None:
    """The message names the options, never the secret."""
    rig = tenant_with(user(1, "ana"))
    rig.emulator.secret = "a-wrong-secret"
    with pytest.raises(ConfigurationError, match="--credential") as refused:
        list(rig.client().pages("/v1.0/users/delta", READ_USERS))
    assert "a-wrong-secret" not in str(refused.value)


def test_a_login_host_that_is_down_may_pass(tenant_with: MakeTenant) -> None:
    """It is not the configuration's fault."""
    rig = tenant_with(user(1, "ana"))
    rig.emulator.faults.until_cleared(Fault("token", close_without_reply=True))
    with pytest.raises(WaitError):
        list(rig.client().pages("/v1.0/users/delta", READ_USERS))


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("managed-identity", ManagedIdentityCredential),
        ("cli", AzureCliCredential),
        ("client-secret", ClientSecretCredential),
    ],
)
def test_each_way_to_sign_in_makes_its_credential(kind: str, made: type) -> None:
    """Also for the US government's clouds."""
    make = identity.maker(Identity(kind, A, A, ("env", "S")), "us-government", {"S": "made-up"})
    assert isinstance(make(), made)


def test_an_application_may_have_a_certificate(tmp_path: Path) -> None:
    """As in a profile's credential."""
    file = tmp_path / "app.pem"
    file.touch(mode=0o600)
    file.write_text("".join(self_signed_certificate()))
    sign_in.graph_client(SignIn("app", A, A, ("certificate", str(file))), "gcc-high", {})
    make = identity.maker(
        Identity("client-secret", A, A, ("certificate", str(file))), "public", {}, sign_in.READERS
    )
    assert isinstance(make(), CertificateCredential)


def test_an_application_needs_all_three_settings() -> None:
    """The message says which options to add."""
    with pytest.raises(ConfigurationError, match="--client-id"):
        sign_in.graph_client(SignIn("app", A, None, ("env", "S")), "commercial", {})
