"""Credential stores that need a library of their own: a system keyring, Azure Key Vault, a certificate file.

One module per store. Each imports its library only when it reads a credential.
"""

from __future__ import annotations

from collections.abc import Mapping

from irmcore.http.credentials import Reader

from irmcli.credential_stores import certificate, key_vault, system_keyring

READERS: Mapping[str, Reader] = {
    "keyring": system_keyring.read,
    "key_vault": key_vault.read,
    "certificate": certificate.read,
}
