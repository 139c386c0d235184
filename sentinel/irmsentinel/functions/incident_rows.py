"""The rows of an incident of Microsoft Sentinel: one for each account that a playbook hands over. Pure.

Promised: an account is never guessed. An entity has no role, so nothing shows whether an account acted or was
acted upon (learn.microsoft.com/azure/sentinel/entities-reference#account): with several accounts, either a
person chooses one (the playbook for entities), or the playbook is set to send a row for each. Accounts count
as one if they share a strong identifier: Name with UPNSuffix, AadUserId or Sid. The same incident and
account give the same row, whichever playbook sends them. Alerts of Insider Risk Management are refused, as
nothing from there goes back to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from irmcore.errors import DataError

ONE, EACH = "one", "each"


class IncidentRefused(DataError):
    """The incident gives no row. The message has no value of it."""


@dataclass(frozen=True)
class Account:
    """An account entity; empty fields are unknown. ``upn`` is in lower case."""

    upn: str
    object_id: str
    sid: str
    other: str

    @property
    def name(self) -> str:
        """What a profile resolves: the strongest name that there is."""
        return self.upn or self.object_id or self.other or self.sid

    def is_same(self, other: Account) -> bool:
        """Whether both have a strong identifier in common, and none that differs."""
        pairs = ((self.upn, other.upn), (self.object_id, other.object_id), (self.sid, other.sid))
        known = [one == two for one, two in pairs if one and two]
        return bool(known) and all(known)

    def merged(self, other: Account) -> Account:
        """Both as one."""
        return Account(
            self.upn or other.upn,
            self.object_id or other.object_id,
            self.sid or other.sid,
            self.other or other.other,
        )


def rows(incident: object, entities: object, accounts: str) -> list[dict[str, str]]:
    """The input rows, with the fields of the profile `sentinel-incidents`. Raises IncidentRefused.

    ``entities`` are those of the incident or of one alert, or the chosen one: a list, or its JSON text.
    ``accounts``: ``ONE`` refuses an incident with several accounts; ``EACH`` gives a row for each.
    """
    found = incident.get("properties") if isinstance(incident, Mapping) else None
    if not isinstance(incident, Mapping) or not isinstance(found, Mapping):
        raise IncidentRefused(
            "the request has no incident",
            next_step="Run the playbook on an incident, or on an entity in one.",
        )
    if _is_of_irm(found):
        raise IncidentRefused(
            "this incident comes from Insider Risk Management, which knows its alert already",
            next_step="Work on the alert there.",
        )
    chosen = _distinct(entities)
    if not chosen or not all(account.name for account in chosen):
        raise IncidentRefused(
            "an account has no name" if chosen else "there is no account among the entities",
            next_step="Map the name of the account that acted in the analytic rule, or run the playbook for "
            "entities on it.",
        )
    if len(chosen) > 1 and accounts != EACH:
        raise IncidentRefused(
            f"there are {len(chosen)} accounts, and nothing shows which one acted",
            next_step="Run the playbook for entities on the account that acted.",
        )
    more = found.get("additionalData")
    count = more.get("alertsCount") if isinstance(more, Mapping) else None
    return [
        {
            "UserPrincipalName": account.name,
            "EventTime": _text(found, "createdTimeUtc"),
            "SourceWorkload": "SentinelIncident",
            "Incident": _text(incident, "name").lower(),
            "Title": _text(found, "title"),
            "Severity": _text(found, "severity"),
            "AlertCount": str(count) if type(count) is int and count > 0 else "1",
        }
        for account in chosen
    ]


def _is_of_irm(incident: Mapping[str, Any]) -> bool:
    """As the aggregation sentinel-alerts decides: by the product, and by the names that this project uses."""
    more = incident.get("additionalData")
    products = more.get("alertProductNames") if isinstance(more, Mapping) else None
    names = [one for one in products if isinstance(one, str)] if isinstance(products, list) else []
    title = _text(incident, "title")
    return any("insider risk" in name.lower() for name in (*names, title)) or title.startswith("IRM")


def _distinct(entities: object) -> list[Account]:
    found: list[Account] = []
    for account in _accounts(entities):
        same = [number for number, one in enumerate(found) if one.is_same(account) or one == account]
        if len(same) == 1:
            found[same[0]] = found[same[0]].merged(account)
        else:
            found.append(account)
    return found


def _accounts(entities: object) -> Iterator[Account]:
    """The accounts in a list of entities, which are of the API (camel case) or of an alert."""
    if isinstance(entities, str):
        try:
            entities = json.loads(entities)
        except (ValueError, RecursionError):
            return
    for entity in entities if isinstance(entities, list) else []:
        if not isinstance(entity, Mapping):
            continue
        kinds = {_text(entity, key).lower() for key in ("kind", "Type", "type")}
        if "account" not in kinds:
            continue
        inner = entity.get("properties")
        fields = {
            key.lower(): value for key, value in (inner if isinstance(inner, Mapping) else entity).items()
        }
        if str(fields.get("isanonymized")).lower() == "true":
            yield Account("", "", "", "")
            continue
        name, suffix = _text(fields, "accountname") or _text(fields, "name"), _text(fields, "upnsuffix")
        domain = _text(fields, "ntdomain")
        upn = name if "@" in name else f"{name}@{suffix}" if name and suffix else ""
        other = f"{domain}\\{name}" if domain and name else name
        yield Account(
            upn.lower(),
            _text(fields, "aaduserid").lower(),
            _text(fields, "sid").upper(),
            "" if upn else other,
        )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value.strip() if isinstance(value, str) else ""
