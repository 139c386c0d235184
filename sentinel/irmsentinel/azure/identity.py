"""Sign in to Azure: the credential of azure-identity for each identity kind that an administrator may choose.

A client secret or certificate comes from an environment variable, a file that only its owner may read or
another credential store, never from a configuration file or the command line. Each cloud signs in at its own
host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.identity import (
    AzureAuthorityHosts,
    AzureCliCredential,
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
)
from irmcore.clock import Clock
from irmcore.clouds import TOKEN_EXCHANGE
from irmcore.errors import ConfigurationError, IrmError, WaitError
from irmcore.http import credentials
from irmcore.http.credentials import Reader

from irmsentinel.azure.bounded_transport import Network

#: The login host of each cloud.
AUTHORITIES = {
    "public": AzureAuthorityHosts.AZURE_PUBLIC_CLOUD,
    "us-government": AzureAuthorityHosts.AZURE_GOVERNMENT,
    "china": AzureAuthorityHosts.AZURE_CHINA,
}
KINDS = ("default", "managed-identity", "cli", "client-secret")
#: Seconds for one request to the login host.
DEADLINE = 60.0


class NoToken(WaitError):
    """The login host did not answer; azure-identity has tried several times."""


@dataclass(frozen=True)
class Identity:
    """``kind`` is one of ``KINDS``; the other fields depend on it.

    ``secret`` says where the client secret or the certificate is: (kind of store, name).
    """

    kind: str = "default"
    tenant_id: str | None = None
    client_id: str | None = None
    secret: tuple[str, str] | None = None


def maker(
    identity: Identity,
    cloud: str,
    environment: Mapping[str, str],
    readers: Mapping[str, Reader] = MappingProxyType({}),
) -> Callable[[], TokenCredential]:
    """A function that makes a credential without a token. The function raises CredentialError.

    It uses the proxy and the CA file of the ``environment``; `az` is a program with its own configuration.
    ``readers`` read a secret or a certificate from stores other than env and file.
    """
    authority, network = AUTHORITIES[cloud], Network.of(environment)

    def with_secret() -> TokenCredential:
        kind, name = identity.secret or ("env", "AZURE_CLIENT_SECRET")
        found = credentials.read(kind, name, environment, readers).reveal()
        tenant, client = str(identity.tenant_id), str(identity.client_id)
        transport = network.transport(DEADLINE)
        if isinstance(found, str):
            return ClientSecretCredential(tenant, client, found, authority=authority, transport=transport)
        if callable(found):
            issue, audience = found, TOKEN_EXCHANGE[f"https://{authority}"]
            return ClientAssertionCredential(
                tenant, client, lambda: issue(audience), authority=authority, transport=transport
            )
        pem = found["private_key"] + found["public_certificate"]
        return CertificateCredential(
            tenant, client, certificate_data=pem.encode("ascii"), authority=authority, transport=transport
        )

    makers: dict[str, Callable[[], TokenCredential]] = {
        "default": lambda: DefaultAzureCredential(
            authority=authority,
            # Of several identities of a machine. None would hide the variable from azure-identity.
            managed_identity_client_id=identity.client_id or environment.get("AZURE_CLIENT_ID"),
            transport=network.transport(DEADLINE),
        ),
        "managed-identity": lambda: ManagedIdentityCredential(
            client_id=identity.client_id, transport=network.transport(DEADLINE)
        ),
        "cli": lambda: AzureCliCredential(tenant_id=identity.tenant_id or ""),
        "client-secret": with_secret,
    }
    return makers[identity.kind]


def of_emulator(
    at: Mapping[str, str], network: Network, *, deadline: float = DEADLINE, clock: Clock | None = None
) -> Callable[[], TokenCredential]:
    """A function that makes a credential for an emulator that was announced. It raises CredentialError."""

    def make() -> TokenCredential:
        return ClientSecretCredential(
            at["tenant_id"],
            at["app_id"],
            str(credentials.for_emulator(credentials.read("file", at["secret_file"], {})).reveal()),
            authority=at["url"],
            disable_instance_discovery=True,
            transport=network.transport(deadline, clock=clock),
        )

    return make


def _sign_in_failure(error: ClientAuthenticationError, where: str, rejected: str) -> IrmError:
    """What a failed sign-in means. ``rejected`` is the next step if the login host rejected it."""
    if error.__cause__ is not None:  # the login host gave no verdict
        return NoToken(
            f"the login host issued no token ({type(error.__cause__).__name__})",
            where=where,
            next_step="Check the network, the proxy and the tenant, then run the command again.",
        )
    return ConfigurationError("the sign-in was rejected", where=where, next_step=rejected)


@contextmanager
def known_errors(
    where: str, rejected: str, unanswered: Callable[[AzureError], IrmError], broken: Callable[[str], IrmError]
) -> Iterator[None]:
    """Wrap a request of Microsoft's clients: whatever they raise becomes an IrmError.

    ``unanswered`` is for a request without a whole answer, ``broken`` for an answer that the client itself
    cannot read, such as a proxy's page in reply to a sign-in.
    """
    try:
        yield
    except AzureError as error:
        for found in (error, error.__context__):  # azure-core wraps a failed sign-in
            if isinstance(found, ClientAuthenticationError):
                raise _sign_in_failure(found, where, rejected) from None
        raise unanswered(error) from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise broken(type(error).__name__) from None
