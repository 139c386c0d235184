"""A version of an alert as an event of Splunk: Graph's JSON on one line, and `user` if it is certain.

`user` is the one whom `irmcore.alert_list.user_of` finds. In doubt the event has none, and whoever reads it
looks at its evidence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from irmcore import alert_list

#: The keys at the end: KV_MODE = json reads only the beginning of a long event (limits.conf, [kv] maxchars).
_LAST = ("description", "recommendedActions", "additionalData", "customDetails", "comments", "evidence")


def event(alert: Mapping[str, Any], at: float) -> str:
    """The event in splunkd's XML, with the time ``at`` in seconds since 1970."""
    fields = {key: value for key, value in alert.items() if key != "user" and key not in _LAST}
    user = alert_list.user_of(alert)
    if user is not None:
        fields["user"] = user
    fields.update((key, alert[key]) for key in _LAST if key in alert)
    text = json.dumps(fields, separators=(",", ":"))  # ASCII, without control characters
    return f"<event><time>{at:.3f}</time><data>{escape(text)}\n</data></event>\n"
