"""Counts of shaped rows that are compared with published limits: people, and rows before the look-back."""

from __future__ import annotations

from collections.abc import Sequence

from irmcore.profile import Profile
from irmcore.profile.published_limits import LIMITS, Finding, of_rows, of_users
from irmcore.shaping import times
from irmcore.shaping.scenario_rows import ScenarioRows

_DAY = 86_400_000_000


class RowCounts:
    """What is counted of the rows of one profile. ``old``: rows from before the look-back of all signals."""

    def __init__(self, profile: Profile, now: float) -> None:
        """``now`` is in seconds since 1970."""
        self._profile = profile
        self._since = int(now * 1_000_000) - LIMITS["look-back"].most * _DAY
        self._scenarios = ScenarioRows(profile, now) if profile.scenarios else None
        roles = [column.role for column in profile.columns]
        self._user_at = roles.index("user")
        self._time_at = roles.index("time") if "time" in roles else None
        self._users: set[str] = set()
        self.rows = self.old = 0

    def add(self, fields: Sequence[str]) -> None:
        """Count a row, whose fields are canonical texts."""
        self.rows += 1
        self._users.add(fields[self._user_at])
        if self._scenarios is not None:
            time = self._scenarios.date(fields)[1]
        else:
            time = times.parse(fields[self._time_at or 0], zone=None)
        self.old += time < self._since

    def findings(self) -> list[Finding]:
        """What the rows come near to or pass."""
        return [*of_rows([(self._profile, self.rows)]), *of_users(self._profile, len(self._users))]

    def old_text(self) -> str:
        """What the rows' age means; "" if none is old."""
        limit = LIMITS["look-back"]
        if not self.old:
            return ""
        return (
            f"{self.old:,} of {self.rows:,} rows are older than {limit.most} days, the look-back of Insider "
            f"Risk Management ({limit.source}, read on {limit.read}). What it does with them is unverified."
        )
