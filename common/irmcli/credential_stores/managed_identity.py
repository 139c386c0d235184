"""A managed identity of Azure as a federated credential: its tokens, in place of a client secret.

The application must trust the identity, and Microsoft lets it trust only user-assigned ones, so the name is a
client ID (learn.microsoft.com/entra/workload-id, "Configure an application to trust a managed identity").
Whether the Purview connector accepts the uploads of such an application is unverified.
"""

from collections.abc import Mapping

from irmcore.errors import CredentialError
from irmcore.http.auth import TokenTrouble
from irmcore.http.credentials import Assertion


def read(name: str, environment: Mapping[str, str]) -> Assertion:
    """Tokens of the identity with the client ID ``name``. Raises CredentialError."""
    try:
        from irmsentinel.azure.managed_identity import SYSTEM, ManagedIdentityTokens
    except ImportError:
        raise CredentialError(
            "the package azure-identity is not installed",
            next_step="pip install 'irmexport[entra]'",
        ) from None
    if name == SYSTEM:
        raise CredentialError(
            "an application cannot trust a system-assigned managed identity",
            where=f"managed_identity {name}",
            next_step="Give the client ID of a user-assigned one that the application trusts.",
        )

    def issue(audience: str) -> str:
        try:
            return ManagedIdentityTokens(name, f"{audience}/.default").token()
        except TokenTrouble as trouble:
            raise CredentialError(
                f"there is no token of the managed identity ({trouble.code})",
                where=f"managed_identity {name}",
                next_step=trouble.advice,
            ) from None

    return Assertion(issue)
