"""Credential stores that need a library of their own: a system keyring, Azure Key Vault, a certificate file,
a managed identity.

One module per store. Each imports its library only when it reads a credential.
"""

from collections.abc import Mapping

from irmcore.http.credentials import Reader

from irmcli.credential_stores import certificate, key_vault, managed_identity, system_keyring

READERS: Mapping[str, Reader] = {
    "keyring": system_keyring.read,
    "key_vault": key_vault.read,
    "certificate": certificate.read,
    "managed_identity": managed_identity.read,
}
