"""Defender's DataSecurityEvents and DataSecurityBehaviors as sources of rows, by Graph's runHuntingQuery.

Promised: a time is read completely or its failure is reported. An answer with as many rows as the service
returns at most, or with more bytes than are read here, counts as cut off: its time is queried again in
halves. Late rows are found because each run reads the last days again (`OVERLAP`); the row ledger skips known
ones. A row is identified by all of its values, so a row that Defender changes is stored in each version.
Unpublished and so unverified: whether the identity of an application can have the role that Purview requires,
and how Graph reports an answer that is too large.
Sources: learn.microsoft.com/graph/api/security-security-runhuntingquery, …/graph/api/resources/
security-api-overview#quotas-and-resource-allocation, …/defender-xdr/advanced-hunting-errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from irmcore.errors import ConfigurationError, IrmError, WaitError

from irmsentinel.azure.graph_client import GraphClient, TooLarge
from irmsentinel.collector import records
from irmsentinel.collector.api_errors import ApiError, ErrorKind, ErrorMeaning
from irmsentinel.collector.management_api import ContentItem
from irmsentinel.collector.rate_limit import RateLimiter
from irmsentinel.collector.records import Row
from irmsentinel.content.artefacts import Column

PERMISSION = "ThreatHunting.Read.All"
#: Queries a minute for each of the two tables: the service allows a tenant at least 45.
PER_MINUTE = 22
#: The most rows of one answer.
MAX_ROWS = 100_000
#: The most bytes of one answer that are read. In memory it can take four times as much.
MAX_BYTES = 16 * 1024 * 1024
#: Seconds for one query: the service ends it after three minutes.
DEADLINE = 200.0
#: Seconds that each run reads again: rows can be two days late, and a behavior sums up one day.
OVERLAP = 72 * 3600

_DAY = 86_400
#: Defender's times count units of 100 ns.
_TICKS = 10_000_000
_BAD_REQUEST = 400
#: What Defender's errors say of a query that reads too much. Graph's codes do not tell.
_TOO_MUCH = re.compile(r"size|time-?out|resource consumption", re.IGNORECASE)
_FULL_INSTANT = ErrorMeaning(
    ErrorKind.SETTINGS,
    f"more rows have the same time than one answer can have ({MAX_ROWS:,} rows, {MAX_BYTES:,} bytes), so "
    "some are missing in the workspace",
    "What was read is stored. Report this: only another query can read the rest.",
)


class Activities:
    """One of Defender's two tables, as the identity sees it.

    Every method raises ApiError, TokenTrouble and IrmError; a missing permission or table is a
    ConfigurationError that says what to grant.
    """

    name = "Microsoft Graph"
    max_window = 5 * _DAY
    retention = 30 * _DAY

    def __init__(self, client: GraphClient, limiter: RateLimiter, table: str) -> None:
        self._client = client
        self._limiter = limiter
        self._table = table

    def close(self) -> None:
        """Do nothing: each request has a connection of its own."""

    def check(self) -> float:
        """The service's own time in seconds since 1970."""
        self._client.begin()
        return self._query({"Query": f"{self._table} | take 0"})[1]

    def content(self, start: int, end: int) -> Iterator[ContentItem]:
        """The complete answers for ``start <= Timestamp < end``, oldest first, each with its rows."""
        full = False
        spans = [(start * _TICKS, end * _TICKS)]
        while spans:
            first, last = spans.pop()
            rows, complete = self._rows(first, last)
            if complete:
                self._client.begin()  # a round may be long, as long as it gets on
            if not complete and last - first > 1:
                middle = (first + last) // 2
                spans += [(middle, last), (first, middle)]
                continue
            full = full or not complete
            if rows:
                # A span may be read again with later rows: then it is another item.
                name = f"{first}-{last}-{records.key(repr(rows)).hex()}"
                yield ContentItem(name, "", first // _TICKS, rows)
        if full:
            raise ApiError("full-instant", _FULL_INSTANT)

    def records(self, item: ContentItem, *, attempts: int) -> list[Any]:
        """The rows of an answer."""
        return list(item.record)

    def _rows(self, first: int, last: int) -> tuple[list[Any], bool]:
        """The rows of ``first <= Timestamp < last``, in ticks, and whether these are all."""
        # The query has the exact limits. The time span has a second more, because Microsoft does not say
        # whether it includes its ends.
        span = f"{_text(first - _TICKS)}/{_text(last + _TICKS)}"
        limits = f"Timestamp >= datetime({_text(first)}) and Timestamp < datetime({_text(last)})"
        try:
            answer, _ = self._query({"Query": f"{self._table} | where {limits}", "Timespan": span})
        except TooLarge:
            return [], False
        if "error" in answer:
            return [], False
        rows = answer.get("results")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise WaitError(
                "the answer to a hunting query has no rows",
                where=self.name,
                next_step="Check whether a proxy answers here. The next run tries again.",
            )
        return rows, len(rows) < MAX_ROWS

    def _query(self, body: Mapping[str, str]) -> tuple[Mapping[str, Any], float]:
        """The answer and the service's time; an answer with `error` is to a query that reads too much."""
        self._limiter.acquire()
        answer, at = self._client.single(
            "/v1.0/security/runHuntingQuery", PERMISSION, "POST", {_BAD_REQUEST}, json=body
        )
        if "error" in answer:
            message = str(answer["error"].get("message") if isinstance(answer["error"], dict) else "")
            if f"'{self._table}'" in message:
                raise self._no_table()
            if not _TOO_MUCH.search(message):
                raise ConfigurationError(
                    f"Defender refused the query of {self._table} (HTTP {_BAD_REQUEST})",
                    where=self.name,
                    next_step="Run it in the Defender portal (Advanced hunting) to see why: " + body["Query"],
                )
        return answer, at

    def _no_table(self) -> IrmError:
        return ConfigurationError(
            f"Defender has no table {self._table} for this identity",
            where=self.name,
            next_step="In Purview, turn on Insider Risk Management > Settings > Data sharing > Share user "
            "risk details with other security solutions, and give the identity the role Insider Risk "
            "Management Analyst or Investigator. Whether an application or a managed identity can have "
            "that role is unverified.",
        )


def row(found: Mapping[str, Any], columns: tuple[Column, ...]) -> Row:
    """The row for the table of activities with these columns. A column that Defender left empty is absent."""
    given = {name: value for name, value in found.items() if value not in (None, "")}
    return replace(records.row(given, columns), day=records.day(given.get("Timestamp")))


def _text(ticks: int) -> str:
    """A time in ticks since 1970, as ISO 8601 with seven digits after the second."""
    seconds, rest = divmod(ticks, _TICKS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:07}Z"
