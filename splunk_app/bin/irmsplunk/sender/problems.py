"""A connector's problem: reported once, in the log and as a bulletin, until it is solved."""

from __future__ import annotations

from typing import Any

from irmsplunk.sender.bulletin import Bulletin
from irmsplunk.splunk.app_log import AppLog
from irmsplunk.splunk.next_steps import in_splunk


class Problems:
    """One current problem per connector."""

    def __init__(self, app_log: AppLog, bulletin: Bulletin) -> None:
        self._app_log = app_log
        self._bulletin = bulletin
        self._reported: dict[str, str] = {}
        self._cleared: set[str] = set()

    def report(self, name: str, level: str, event: str, **fields: Any) -> None:
        """Report a problem when it begins or changes, not each time it is seen."""
        fields = {field: in_splunk(v) if isinstance(v, str) else v for field, v in fields.items()}
        cause = fields.get("code") or fields.get("what")
        key = f"{event} {cause}"
        if self._reported.get(name) == key:
            return
        self._reported[name] = key
        self._app_log.write(level, event, connector=name, **fields)
        self._bulletin.post(name, f"{cause or event}. {fields.get('next_step') or ''}".strip())

    def is_clear(self, name: str) -> bool:
        """Whether there is nothing to take back, neither of this process nor of an earlier one."""
        return name not in self._reported and name in self._cleared

    def clear(self, name: str) -> None:
        """Take back the connector's bulletin, which an earlier process may have posted."""
        self._reported.pop(name, None)
        self._cleared.add(name)
        self._bulletin.clear(name)
