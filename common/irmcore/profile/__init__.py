"""Profiles: one YAML file describes a connector completely.

``parse`` turns the file's text into a frozen, validated :class:`Profile`. ``profile.schema.json`` is the
published JSON Schema, for editors and for the check.
"""

from __future__ import annotations

from irmcore.profile.load import parse, read
from irmcore.profile.model import Collisions, Column, Connector, CredentialRef, Limits, Profile
from irmcore.profile.shipped import names as shipped_names
from irmcore.profile.shipped import text as shipped_text

__all__ = [
    "Collisions",
    "Column",
    "Connector",
    "CredentialRef",
    "Limits",
    "Profile",
    "parse",
    "read",
    "shipped_names",
    "shipped_text",
]
