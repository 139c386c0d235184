"""Places of credentials that need another library: a system keyring, Azure Key Vault, a certificate's file.

A module a place. Each imports its library when it reads, so that who keeps the secret elsewhere pays nothing.
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
