"""A version of an alert as an event of Splunk: Graph's JSON on one line, and `user` if it is certain.

`user` is the user principal name of the userEvidence whose role is policyViolator, "a violator of a customer
defined policy" (learn.microsoft.com/graph/api/resources/security-alertevidence); if no user has that role,
of any userEvidence. Other evidence names nobody. If that is not exactly one account with a full name, such as
with a pseudonym, the event has no `user`, and whoever reads it looks at its evidence. That Insider Risk
Management fills userEvidence and its roles is unverified.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from irmcore import alert_list

_UPN = re.compile(r"[^@\s]+@[^@\s]+")
_VIOLATOR = "policyviolator"
#: The keys at the end: KV_MODE = json reads only the beginning of a long event (limits.conf, [kv] maxchars).
_LAST = ("description", "recommendedActions", "additionalData", "customDetails", "comments", "evidence")


def user_of(alert: Mapping[str, Any]) -> str | None:
    """The user whom the alert is about, None if in doubt."""
    evidence = alert.get("evidence")
    users = [one for one in evidence if alert_list.is_about_a_user(one)] if isinstance(evidence, list) else []
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


def event(alert: Mapping[str, Any], at: float) -> str:
    """The event in splunkd's XML, with the time ``at`` in seconds since 1970."""
    fields = {key: value for key, value in alert.items() if key != "user" and key not in _LAST}
    user = user_of(alert)
    if user is not None:
        fields["user"] = user
    fields.update((key, alert[key]) for key in _LAST if key in alert)
    text = json.dumps(fields, separators=(",", ":"))  # ASCII, without control characters
    return f"<event><time>{at:.3f}</time><data>{escape(text)}\n</data></event>\n"
