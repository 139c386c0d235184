"""Azure Key Vault through azure-keyvault-secrets, with the identity that azure-identity finds.

That is a managed identity on an Azure machine, `az login`, or AZURE_CLIENT_ID and related variables. Key
Vault stores a certificate with its key as a secret whose content type is PEM or PFX. IRMEXPORT_PROXY sets
a proxy and IRMEXPORT_CA_FILE a private CA. Not tested against a live vault.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from irmcore.errors import CredentialError, WaitError
from irmcore.http import credentials
from irmcore.http.credentials import Credential

from irmcli.credential_stores import certificate

_PEM, _PFX = "application/x-pem-file", "application/x-pkcs12"
#: Seconds for one request and its whole answer.
_TIMEOUT = 15.0


def read(name: str, environment: Mapping[str, str]) -> Credential:
    """The credential at the URL ``name``, https://VAULT/secrets/NAME[/VERSION]. Raises CredentialError."""
    found = _fetch(name, environment)
    text = str(found.value or "")
    kind = found.properties.content_type or ""
    if kind == _PEM:
        return certificate.parse(text.encode(), None, f"key_vault {name}")
    if kind == _PFX:
        try:
            decoded = base64.b64decode(text, validate=True)
        except binascii.Error:
            raise certificate.unreadable(f"key_vault {name}") from None
        return certificate.parse(decoded, None, f"key_vault {name}")
    expires = found.properties.expires_on
    return credentials.secret(text.strip(), f"key_vault {name}", expires.timestamp() if expires else None)


def _fetch(name: str, environment: Mapping[str, str]) -> Any:
    try:
        from azure.core.exceptions import AzureError, HttpResponseError
        from azure.identity import AzureAuthorityHosts, DefaultAzureCredential
        from azure.keyvault.secrets import SecretClient
        from irmsentinel.azure.bounded_transport import Network
    except ImportError:
        raise CredentialError(
            "the packages for Azure Key Vault are not installed",
            next_step="pip install 'irmexport[keyvault]'",
        ) from None
    parts = urlsplit(name)
    _, _, secret, *version = parts.path.split("/")
    government = (parts.hostname or "").endswith("usgovcloudapi.net")
    hosts = AzureAuthorityHosts
    authority = hosts.AZURE_GOVERNMENT if government else hosts.AZURE_PUBLIC_CLOUD
    transport = Network.of(environment).transport(_TIMEOUT)
    try:
        with (
            DefaultAzureCredential(authority=authority, transport=transport) as identity,
            SecretClient(
                f"https://{parts.netloc}", identity, transport=transport, permit_redirects=False
            ) as client,
        ):
            return client.get_secret(secret, version[0] if version else None)
    except HttpResponseError as error:
        raise _refused(name, error.status_code or 0) from None
    except (AzureError, WaitError) as error:
        raise CredentialError(
            f"Azure Key Vault cannot be reached ({type(error).__name__})",
            where=f"key_vault {name}",
            next_step="Check the vault's name, DNS, firewall and IRMEXPORT_PROXY. "
            "The next drain tries again.",
        ) from None


def _refused(name: str, status: int) -> CredentialError:
    what, step = {
        0: (
            "signing in to Azure failed",
            "Give this machine a managed identity, run `az login`, or set AZURE_CLIENT_ID and so on.",
        ),
        404: (
            "the vault has no secret with this name",
            "Check the name, and that the secret was not deleted.",
        ),
        403: (
            "the vault denied access: identity, network address, or a secret that is disabled or expired",
            "Give the identity the role Key Vault Secrets User; check the vault's firewall and the secret.",
        ),
    }.get(status, (f"the vault replied with HTTP {status}", "Try again; see the vault's diagnostic logs."))
    return CredentialError(what, where=f"key_vault {name}", next_step=step)
