"""Security alerts of Microsoft Graph (`alerts_v2`): request, versions, a whole reading of the list, the user.

Promised: each version of an alert that the list shows is yielded, in whatever order its pages come and while
alerts are created, updated and deleted. Versions that came and went between two readings are not in the list.
How it is kept:

- The list has no end time, so an update cannot move an alert out of it; a new version has a later time and is
  read by the next run at the latest.
- A deletion moves later alerts to an earlier page, where one can be missed. So a list of several pages is
  read again, until a reading finds nothing that the first one should have had, and has every alert of the
  one before: then none of these was deleted while that one was read.

Nothing here sends a request: each host has its own client. Unpublished and so unverified: what Insider Risk
Management puts into an alert, and how long Graph shows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Callable, NamedTuple, Protocol
from urllib.parse import quote

from irmcore.errors import WaitError

#: The least privileged application permission: learn.microsoft.com/graph/api/security-list-alerts_v2.
PERMISSION = "SecurityAlert.Read.All"
SERVICE_SOURCE = "microsoftInsiderRiskManagement"
#: Without it, Graph sends `unknownFutureValue` in place of newer words such as the source's.
HEADERS: Mapping[str, str] = {"Prefer": "include-unknown-enum-members"}
#: The time of a version.
UPDATED = "lastUpdateDateTime"
USER_EVIDENCE = "#microsoft.graph.security.userEvidence"
PAGE_SIZE = 100  # that of Microsoft's example; the largest is unpublished
_READINGS = 5
_UPN = re.compile(r"[^@\s]+@[^@\s]+")
_VIOLATOR = "policyviolator"
#: Graph writes seven digits after the second, which Python 3.9 does not read.
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?")


class Page(Protocol):
    """A page of the list. ``at`` is the service's time when it answered, in seconds since 1970."""

    @property
    def items(self) -> Sequence[Mapping[str, Any]]: ...

    @property
    def at(self) -> float: ...


class Version(NamedTuple):
    """A version of an alert: its identity, and the time of the update in seconds since 1970."""

    name: str
    at: float
    alert: Mapping[str, Any]


def path(since: float, page_size: int = PAGE_SIZE) -> str:
    """The path of the list of alerts that were updated since ``since``, in seconds since 1970."""
    time = datetime.fromtimestamp(since, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    wanted = quote(f"serviceSource eq '{SERVICE_SOURCE}' and {UPDATED} ge {time}")
    return f"/v1.0/security/alerts_v2?$filter={wanted}&$top={page_size}"


def versions(pages: Callable[[], Iterable[Page]], since: float, where: str) -> Iterator[Version]:
    """Each version once. ``pages`` begins a reading of the list since ``since``; ``where`` names the source.

    Raises what ``pages`` raises, and WaitError if the list never stays whole, after all that was found.
    """
    seen: set[str] = set()
    before: set[str] = set()
    began = 0.0
    for reading in range(_READINGS):
        number, missed = 0, False
        alerts: set[str] = set()
        for page in pages():
            number += 1
            began = began or page.at
            for alert in page.items:
                name, at = version(alert), seconds(alert.get(UPDATED), since)
                alerts.add(str(alert.get("id")))
                if name in seen:
                    continue
                seen.add(name)
                missed = missed or (reading > 0 and at < began)
                yield Version(name, at, alert)
        if number == 1 or (reading > 0 and not missed and before <= alerts):
            return
        before = alerts
    raise WaitError(
        f"the list of alerts lost entries during each of {_READINGS} readings",
        where=where,
        next_step="What was read is stored. The next run reads the list again.",
    )


def version(alert: Mapping[str, Any]) -> str:
    """The identity of a version of an alert: id and time of the update, or all of it if it lacks one."""
    parts = [alert.get("id"), alert.get(UPDATED)]
    return "|".join(map(str, parts)) if all(parts) else json.dumps(alert, sort_keys=True)


def is_of_irm(alert: Mapping[str, Any]) -> bool:
    """Whether an alert says that it is one of Insider Risk Management."""
    return str(alert.get("serviceSource")).lower() == SERVICE_SOURCE.lower()


def is_about_a_user(evidence: Any) -> bool:
    """Whether an entry of an alert's evidence names a user."""
    return isinstance(evidence, dict) and evidence.get("@odata.type") == USER_EVIDENCE


def user_of(alert: Mapping[str, Any]) -> str | None:
    """The user whom an alert is about, by user principal name in lower case; None if in doubt.

    It is the user of the userEvidence whose role is policyViolator, "a violator of a customer defined policy"
    (learn.microsoft.com/graph/api/resources/security-alertevidence); if no user has that role, of any
    userEvidence. Other evidence names nobody. None if that is not exactly one account with a full name, such
    as with a pseudonym. That Insider Risk Management fills userEvidence and its roles is unverified.
    """
    evidence = alert.get("evidence")
    users = [one for one in evidence if is_about_a_user(one)] if isinstance(evidence, list) else []
    violators = [one for one in users if _is_violator(one.get("roles"))]
    accounts = [one.get("userAccount") for one in violators or users]
    if not all(isinstance(account, dict) for account in accounts):
        return None
    names = {str(one.get("userPrincipalName") or "").strip().lower() for one in accounts}
    ids = {str(one["azureAdUserId"]).strip().lower() for one in accounts if one.get("azureAdUserId")}
    if len(names) != 1 or len(ids) > 1:
        return None
    (name,) = names
    return name if _UPN.fullmatch(name) else None


def _is_violator(roles: Any) -> bool:
    return isinstance(roles, list) and _VIOLATOR in [str(role).lower() for role in roles]


def seconds(text: Any, default: float) -> float:
    """A time of Graph's as seconds since 1970; ``default`` if it cannot be read."""
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return default
    try:
        moment = datetime.fromisoformat(found[1] + (found[3] or "Z").replace("Z", "+00:00"))
    except ValueError:
        return default
    return moment.timestamp() + float(found[2] or 0)
