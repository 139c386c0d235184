"""Made-up people for an emulated tenant. The same number and count give the same people."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

_SPACE = uuid.UUID("5f0c2c1e-7d1f-4b51-9d0b-6a3a6d0f7b10")
_FIRST = ("Ana", "Ben", "Chloe", "Dimitri", "Elif", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kaya", "Liam")
_LAST = ("Abel", "Brandt", "Costa", "Dubois", "Ersoy", "Fischer", "Garcia", "Hansen", "Ito", "Jansen", "Kim")
_COUNTRIES = ("DE", "FR", "US", "GB", "PL")
_GUEST_EVERY, _DISABLED_EVERY, _CLOUD_ONLY_EVERY = 50, 40, 7

TENANT = "11111111-2222-4333-8444-555555555555"
APP = "66666666-7777-4888-8999-cccccccccccc"


def person_id(number: int) -> str:
    """The object id of person ``number``."""
    return str(uuid.uuid5(_SPACE, f"person {number}"))


def group_id(name: str) -> str:
    """The object id of the group ``name``."""
    return str(uuid.uuid5(_SPACE, f"group {name}"))


def person(number: int) -> dict[str, Any]:
    """Person ``number`` as Graph returns a user; some are guests, disabled, or known to the cloud only."""
    first, last = _FIRST[number % len(_FIRST)], _LAST[number // len(_FIRST) % len(_LAST)]
    name = f"{first}.{last}{number}".lower()
    user: dict[str, Any] = {
        "id": person_id(number),
        "displayName": f"{first} {last}",
        "userPrincipalName": f"{name}@contoso.com",
        "mail": f"{first}.{last}.{number}@contoso.com",
        "otherMails": [],
        "proxyAddresses": [
            f"SMTP:{first}.{last}.{number}@contoso.com",
            f"smtp:{name}@contoso.onmicrosoft.com",
        ],
        "employeeId": f"{100_000 + number}",
        "accountEnabled": number % _DISABLED_EVERY != _DISABLED_EVERY - 1,
        "createdDateTime": f"20{10 + number % 15}-0{1 + number % 9}-15T08:00:00Z",
        "usageLocation": _COUNTRIES[number % len(_COUNTRIES)],
        "userType": "Member",
    }
    if number % _GUEST_EVERY == _GUEST_EVERY - 1:
        address = f"{name}@fabrikam.com"
        return {
            **user,
            "userPrincipalName": f"{address.replace('@', '_')}#EXT#@contoso.onmicrosoft.com",
            "mail": address,
            "otherMails": [address],
            "proxyAddresses": [f"SMTP:{address}"],
            "userType": "Guest",
        }
    if number % _CLOUD_ONLY_EVERY:
        user["onPremisesSamAccountName"] = f"{first[0]}{last}{number}".lower()
        user["onPremisesDomainName"] = "corp.contoso.com"
        user["onPremisesSecurityIdentifier"] = f"S-1-5-21-1004336348-1177238915-682003330-{1000 + number}"
    return user


def people(count: int) -> Iterator[dict[str, Any]]:
    """The first ``count`` people."""
    return map(person, range(count))
