"""The log that Enterprise Security reads about an adaptive response: one line for each result.

The format is that of `cim_actions.py` in the Common Information Model add-on: the file
`<action>_modalert.log`, the words "sendmodaction - ", then the fields in a fixed order, without the empty
ones. Incident Review finds an action by `sid` and `rid`, or by `orig_sid` and `orig_rid`.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Sequence

from irmcore.clock import Clock

from irmsplunk import APP
from irmsplunk.search.results_file import ResultId
from irmsplunk.splunk.app_log import append_line

FILE = f"{APP}_modalert.log"
SUCCESS, FAILURE = "success", "failure"
#: Results of one run that get lines of their own, so that a run with thousands does not flood the log.
MAX_RESULTS = 100


class ModularActionLog:
    """The lines of one run. Like the app's log they hold no row value, only the ids of the results."""

    def __init__(
        self,
        directory: str,
        clock: Clock,
        *,
        sid: str,
        search_name: str,
        app: str,
        user: str,
        results: Sequence[ResultId],
        per_result: bool,
    ) -> None:
        self._path = os.path.join(directory, FILE)
        self._clock = clock
        self._before = (("action_name", APP), ("search_name", search_name), ("sid", sid))
        self._after = (
            ("app", app),
            ("user", user),
            ("digest_mode", "0" if per_result else "1"),
            ("action_mode", "saved" if "scheduler" in sid else "adhoc"),
        )
        self._results = list(results) or [ResultId()]

    def write(self, level: str, signature: str, status: str = "") -> None:
        """One line for each result."""
        at = datetime.datetime.fromtimestamp(self._clock.now(), datetime.timezone.utc)
        time = f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03d}+0000"
        for result in self._results:
            fields = (
                ("signature", signature),
                *self._before,
                ("orig_sid", result.orig_sid),
                ("rid", result.rid),
                ("orig_rid", result.orig_rid),
                *self._after,
                ("action_status", status),
            )
            text = " ".join(f'{name}="{_quotable(value)}"' for name, value in fields if value)
            append_line(self._path, f"{time} {level} sendmodaction - {text}\n".encode())


def _quotable(text: str) -> str:
    """Without quotes, line breaks and control characters: a name must not forge a field or a line."""
    return re.sub(r"[\x00-\x1f\x7f\u0085\u2028\u2029\ud800-\udfff]", " ", text.replace('"', "'"))
