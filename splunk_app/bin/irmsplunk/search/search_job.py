"""What splunkd knows about the search behind an alert: whether it was finalized, and how many rows it found.

Advisory: if splunkd refuses or does not know, the answer is a default, never an error.
"""

from __future__ import annotations

from typing import Any

from irmsplunk import APP
from irmsplunk.search.alert_payload import AlertPayload
from irmsplunk.splunk.splunkd import NOBODY, Splunkd, SplunkdRefused, path_segment

#: What default/alert_actions.conf sets. An administrator may have changed it.
DEFAULT_MAX_RESULTS = 50_000


class SearchJob:
    """The search job of one alert, read with the session of the alert's owner."""

    def __init__(self, payload: AlertPayload) -> None:
        self._payload = payload
        self._splunkd = Splunkd(payload.search.splunkd_uri, payload.search.session_key)

    def finalized_and_count(self) -> tuple[bool, int]:
        """Whether the search was finalized, and its number of results; -1 if unknown."""
        content = self._content(f"/services/search/jobs/{path_segment(self._payload.search.sid)}")
        finalized = str(content.get("isFinalized", "")).lower() in ("1", "true")
        try:
            return finalized, int(content.get("resultCount", -1))
        except (TypeError, ValueError):
            return finalized, -1

    def max_results(self) -> int:
        """The `maxresults` in force: the saved search's own, else the action's, else the app's default."""
        search = self._payload.search
        value: Any = None
        if search.label:
            owner = path_segment(self._payload.owner or "nobody")
            path = (
                f"/servicesNS/{owner}/{path_segment(search.app)}/saved/searches/{path_segment(search.label)}"
            )
            value = self._content(path).get(f"action.{APP}.maxresults")
        value = value or self._content(f"{NOBODY}/configs/conf-alert_actions/{APP}").get("maxresults")
        try:
            return int(value)
        except (TypeError, ValueError):
            return DEFAULT_MAX_RESULTS

    def _content(self, path: str) -> dict[str, Any]:
        try:
            return self._splunkd.content(path)
        except SplunkdRefused:
            return {}
