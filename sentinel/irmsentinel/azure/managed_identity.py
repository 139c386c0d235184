"""Tokens of the managed identity that Azure gave to the resource which runs this process.

No secret is stored anywhere: azure-identity asks the platform (IDENTITY_ENDPOINT in App Service and
Functions, 169.254.169.254 on a virtual machine), never through a proxy.
"""

from __future__ import annotations

from azure.core.exceptions import AzureError
from azure.identity import ManagedIdentityCredential
from irmcore.http.auth import TokenTrouble

from irmsentinel.azure.bounded_transport import DIRECT

#: The name of the system-assigned identity in settings.
SYSTEM = "system"
#: Seconds for one request to the platform.
DEADLINE = 60.0


class ManagedIdentityTokens:
    """An ``irmcore.http.auth.TokenSource``: bearer tokens for ``scope``, which ends in ``/.default``.

    ``name`` is ``SYSTEM``, or the client ID of a user-assigned identity. azure-identity caches a token until
    it expires.
    """

    def __init__(self, name: str, scope: str) -> None:
        self._client_id = None if name == SYSTEM else name
        self._scope = scope
        self._credential: ManagedIdentityCredential | None = None

    def refresh(self) -> None:
        """Forget the token."""
        self._credential = None

    def token(self) -> str:
        """A token that is valid now. Raises TokenTrouble."""
        if self._credential is None:
            self._credential = ManagedIdentityCredential(
                client_id=self._client_id, transport=DIRECT.transport(DEADLINE)
            )
        try:
            return str(self._credential.get_token(self._scope).token)
        except AzureError:  # azure-identity has the same class for a wrong identity and for an outage
            advice = (
                "Check that the identity is assigned to the Azure resource that runs this, and its client "
                "ID; irmexport tries again."
            )
            raise TokenTrouble("token-no-managed-identity", advice, wait=True) from None
