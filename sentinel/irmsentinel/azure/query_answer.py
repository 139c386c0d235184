"""Read an answer of the Log Analytics query API: a result, or an error with the operator's next step.

A partial result is an error, never a shorter table. No message contains a value of a row or the query's text.

Microsoft's client signs in, sends and retries, but its reader is not used: it parses the JSON twice, and
converts values that become text again into dates, lists and dictionaries, which takes 30 µs per row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from irmcore.errors import ConfigurationError, DataError, WaitError
from irmcore.http.outcome import error_code

from irmsentinel.azure import rows_text
from irmsentinel.azure.query_errors import QueryRefused, Throttled, TooMuch
from irmsentinel.azure.rows_text import Rows
from irmsentinel.content.artefacts import Column
from irmsentinel.kql.result import Result

#: The service's limit of rows. An answer that reaches it may be truncated.
MAX_ROWS = 500_000
_OK = 200
_REJECTED = {400, 404}
_FORBIDDEN = {401, 403}
_TIMEOUT = 504
_LATER = {429, 503}
#: Parts of the service's error codes that mean that the query exceeded a limit.
_LIMITS = ("LimitsExceeded", "SizeLimitExceeded", "E_RUNAWAY_QUERY")
_MAX_WAIT_S = 3600.0


class Answer:
    """Status, Retry-After header and document of an answer; the document is None if it is not JSON."""

    def __init__(self, status: int, retry_after: str, text: str) -> None:
        self.status, self._retry_after = status, retry_after
        try:
            self.document: Any = rows_text.loads(text)
        except (ValueError, RecursionError):
            self.document = None

    @property
    def _error(self) -> Any:
        return self.document.get("error") if isinstance(self.document, dict) else None

    @property
    def partial(self) -> bool:
        """Whether the answer has an error besides its result."""
        return bool(self._error)

    def _errors(self) -> Iterator[dict[str, Any]]:
        """The error in Azure's format, then the errors nested in it."""
        detail = self._error
        while isinstance(detail, dict):
            yield detail
            detail = detail.get("innererror")

    @property
    def code(self) -> str:
        """Azure's innermost error code: the most specific one. What does not look like one is not shown."""
        codes = list(filter(None, (error_code(detail.get("code")) for detail in self._errors())))
        return codes[-1] if codes else "no code"

    @property
    def position(self) -> str:
        """Line and column in the query, if the service names them. Its own message may quote the query."""
        for detail in self._errors():
            if isinstance(detail.get("line"), int) and isinstance(detail.get("pos"), int):
                return f" at line {detail['line']}, column {detail['pos']}"
        return ""

    @property
    def wait(self) -> float | None:
        """The seconds that the service asks to wait, at most an hour; None if it does not say."""
        try:
            return min(max(float(self._retry_after), 0.0), _MAX_WAIT_S)
        except ValueError:
            return None


def result(answer: Answer, where: str) -> Result:
    """The result in an answer; ``where`` names the workspace in messages.

    Raises TooMuch, Throttled, QueryRefused, ConfigurationError or WaitError.
    """
    if answer.status != _OK:
        raise _failure(answer, where)
    if answer.partial:
        raise too_much("the result is only partial", where)
    try:
        table = answer.document["tables"][0]
        columns = tuple(Column(column["name"], column["type"]) for column in table["columns"])
        rows = table["rows"] or ()
    except (LookupError, TypeError):
        raise not_an_answer("no table", where) from None
    if rows and not (isinstance(rows, Rows) and rows.widths == {len(columns)}):
        raise not_an_answer("no table", where)
    if len(rows) >= MAX_ROWS:
        raise too_much("the result has as many rows as the service returns at most", where)
    return Result(columns, rows)


def too_much(what: str, where: str) -> TooMuch:
    """The query must ask for less."""
    return TooMuch(
        what,
        where=where,
        next_step="Query a shorter time (starttime, endtime): at most 500,000 rows, 64 MB, 10 minutes.",
    )


def not_an_answer(why: str, where: str) -> WaitError:
    """The reply is not an answer of Log Analytics, or only a part of one."""
    return WaitError(
        f"the answer is incomplete or does not come from Log Analytics ({why})",
        where=where,
        next_step="Check whether a proxy shows a sign-in page here, then run the command again.",
    )


def _failure(answer: Answer, where: str) -> ConfigurationError | DataError | WaitError:
    status, said = answer.status, f"(HTTP {answer.status}, {answer.code})"
    later = "Wait, then run the command again."
    if status in _FORBIDDEN:
        what = f"this identity may not read the workspace {said}"
        step = "Give the identity the role Log Analytics Reader on the workspace."
        return ConfigurationError(what, where=where, next_step=step)
    if status == _TIMEOUT:
        return too_much(f"the query timed out {said}", where)
    if any(limit in answer.code for limit in _LIMITS):
        return too_much(f"the query exceeded a limit of the service {said}", where)
    if status in _REJECTED:
        step = "Check the workspace ID. Deploy the functions: irmexport sentinel template FILE"
        return QueryRefused(f"the query was rejected{answer.position} {said}", where=where, next_step=step)
    if status in _LATER:
        what = f"Log Analytics throttles this identity {said}"
        return Throttled(what, where=where, seconds=answer.wait, next_step=later)
    return WaitError(f"Log Analytics did not answer the query {said}", where=where, next_step=later)
