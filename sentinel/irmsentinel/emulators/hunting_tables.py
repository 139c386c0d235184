"""Emulates Defender's advanced hunting for the two kinds of queries that the collector sends.

Promised, as Microsoft's pages describe it: Query and Timespan, 30 days of data, the most rows and bytes of an
answer, and errors of queries in Graph's form. A query of another form is refused like one with an error.
Not promised, because nobody publishes it: the order of rows, whether an answer that is too large is an error
(here it is, as in Defender's former API) and what an identity without a role sees (here: no table). It shares
no code with the client that it tests.
Sources: learn.microsoft.com/graph/api/security-security-runhuntingquery,
…/defender-endpoint/api/run-advanced-query-api, …/defender-xdr/advanced-hunting-errors.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from irmemulator.graph_errors import RefusedError

from irmsentinel.emulators.collector_options import Options
from irmsentinel.emulators.iso_timespan import parse_timespan

_RETENTION = timedelta(days=30)
_TIME = r"datetime\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z)\)"
_QUERY = re.compile(rf"(\w+) \| (?:take 0|where Timestamp >= {_TIME} and Timestamp < {_TIME})")


class HuntingTables:
    """Rows by table. Safe between threads.

    Attributes:
        after_query: Called after each query, for tests.
    """

    def __init__(self, options: Options) -> None:
        self.after_query: Callable[[], None] = lambda: None
        self._options = options
        self._rows: dict[str, list[Mapping[str, Any]]] = {}
        self._lock = threading.Lock()

    def put(self, table: str, *rows: Mapping[str, Any]) -> None:
        """Add rows. Their Timestamp has seven digits after the second and a Z."""
        with self._lock:
            self._rows.setdefault(table, []).extend(rows)

    def run(self, body: bytes) -> dict[str, Any]:
        """The answer to a query. Raises RefusedError."""
        try:
            asked = json.loads(body)
            query, now = str(asked["Query"]), datetime.fromtimestamp(self._options.now(), UTC)
            start, end = parse_timespan(str(asked.get("Timespan", "P30D")), now)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _refused("The request is invalid.") from None
        match = _QUERY.fullmatch(query)
        if match is None:
            raise _refused("A recognition error occurred. Fix syntax errors in your query.")
        if match[1] not in self._options.hunted:
            raise _refused(
                f"'where' operator: Failed to resolve table or column expression named '{match[1]}'. "
                "Fix semantic errors in your query."
            )
        with self._lock:
            found = [
                row
                for row in self._rows.get(match[1], ())
                if match[2]
                and match[2] <= row["Timestamp"] < match[3]
                and max(start, now - _RETENTION) <= datetime.fromisoformat(row["Timestamp"]) <= end
            ][: self._options.hunting_rows]
        if len(json.dumps(found)) > self._options.hunting_bytes:
            raise _refused(
                "Query execution has exceeded the allowed result size. Optimize your query by limiting the "
                "number of results and try again."
            )
        self.after_query()
        columns = dict.fromkeys(name for row in found for name in row)
        return {"schema": [{"name": name, "type": "String"} for name in columns], "results": found}


def _refused(message: str) -> RefusedError:
    return RefusedError(400, "BadRequest", message)
