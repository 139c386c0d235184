"""The alert action `irmexport`, also an adaptive response of Enterprise Security: results file to outbox.

splunkd starts it with `--execute`, JSON on standard input and the session key of the search's owner, who
needs `irmexport_run` but may not read secrets. The rows are exported as the command exports them
(``export``), so an alert that fires twice sends them once. Each run logs a receipt. splunkd copies the
standard error to splunkd.log; each line there is a level and a sentence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, BinaryIO, TextIO

from irmcore.clock import Clock, SystemClock
from irmcore.errors import ConfigurationError, DataError, OperatorError

from irmsplunk.export.export import Export, ExportRequest, ExportResult
from irmsplunk.export.messages import ERROR, FINALIZED, INFO, WARN, error_message
from irmsplunk.export.spool import Spool
from irmsplunk.search.alert_payload import AlertPayload, export_request
from irmsplunk.search.modular_action_log import FAILURE, MAX_RESULTS, SUCCESS, ModularActionLog
from irmsplunk.search.results_file import read_into, result_ids
from irmsplunk.search.search_job import SearchJob
from irmsplunk.splunk.app_log import AppLog
from irmsplunk.splunk.paths import Paths
from irmsplunk.splunk.splunkd import SplunkdRefused

#: Exit codes, the same as the command line's. splunkd logs them as "error code".
FAILED, CONFIGURATION, DATA, NEEDS_PERSON = 1, 2, 3, 4
_PAYLOAD_BYTES = 16 * 1024 * 1024
_NEEDS_PERSON = ("held", "dead", "paused", "held back")


def execute(environment: Mapping[str, str], stdin: BinaryIO, stderr: TextIO) -> int:
    """Run the action once and return the exit code."""
    clock = SystemClock()
    try:
        paths = Paths.from_environment(environment)
    except ConfigurationError as error:
        _print(stderr, ERROR, error_message(error))
        return CONFIGURATION
    app_log = AppLog(paths.logs, clock, "alert")
    try:
        payload = AlertPayload.parse(stdin.read(_PAYLOAD_BYTES))
    except ConfigurationError as error:
        app_log.write(ERROR, "failed", error=type(error).__name__, what=error.what)
        _print(stderr, ERROR, error_message(error))
        return CONFIGURATION
    return _AlertRun(payload, paths, clock, app_log, stderr).run()


def _print(stderr: TextIO, level: str, text: str) -> None:
    """One line, which splunkd.log shows with the level that it begins with."""
    stderr.write(f"{level} {' '.join(text.split())}\n")
    stderr.flush()


class _AlertRun:
    """One run of the action, from the results file to the receipt."""

    def __init__(
        self, payload: AlertPayload, paths: Paths, clock: Clock, app_log: AppLog, stderr: TextIO
    ) -> None:
        self._payload = payload
        self._paths = paths
        self._clock = clock
        self._app_log = app_log
        self._stderr = stderr
        self._job = SearchJob(payload)
        search = payload.search
        self._action_log = ModularActionLog(
            paths.logs,
            clock,
            sid=search.sid,
            search_name=search.label,
            app=search.app,
            user=search.user,
            results=result_ids(payload.results_file, MAX_RESULTS),
            per_result=payload.per_result,
        )

    def run(self) -> int:
        self._action_log.write(INFO, "Invoking modular action")
        try:
            request, allow_partial = export_request(self._payload.params)
            result = self._export(request, allow_partial=allow_partial)
        except Exception as error:  # noqa: BLE001 - the last border: splunkd gets a line and an exit code
            self._log("failed", level=ERROR, error=type(error).__name__, what=getattr(error, "what", ""))
            _print(self._stderr, ERROR, error_message(error))
            self._action_log.write(ERROR, error_message(error), FAILURE)
            return _exit_code(error)
        if result is None:
            return FAILED
        for level, text in result.messages:
            _print(self._stderr, level, text)
        needs_person = result.status.state in _NEEDS_PERSON
        last = result.messages[-1][1] if result.messages else ""
        self._action_log.write(WARN if needs_person else INFO, last, FAILURE if needs_person else SUCCESS)
        return NEEDS_PERSON if needs_person else 0

    def _export(self, request: ExportRequest, *, allow_partial: bool) -> ExportResult | None:
        """Export the results; None if they are partial and must not be sent, which is then reported."""
        search = self._payload.search
        spool = Spool(search.dispatch_dir if os.path.isdir(search.dispatch_dir) else None)
        try:
            finalized, result_count = self._job.finalized_and_count()
            finalized = finalized or search.finalized()
            if finalized and not allow_partial:
                self._log("not-queued", level=WARN, why=FINALIZED)
                _print(self._stderr, WARN, FINALIZED)
                self._action_log.write(WARN, FINALIZED, FAILURE)
                return None
            if result_count != 0 or os.path.exists(self._payload.results_file):
                read_into(spool, self._payload.results_file)
            partial = {"partial": "finalized"} if finalized else {}
            export = Export(request, search, self._paths, self._clock, self._log)
            result = export.run(spool, {"by": "alert", **partial})
        finally:
            spool.close()
        self._warn_if_truncated(result, result_count)
        accepted, status = result.accepted, result.status
        self._log(
            "receipt",
            run=accepted.run,
            state=status.state,
            reason=status.reason,
            counts=accepted.counts.as_dict(),
            batches=[name[:12] for name in accepted.batches],
            sent=status.sent,
            held=status.held,
            dead=status.dead,
            waiting=status.queued,
        )
        return result

    def _warn_if_truncated(self, result: ExportResult, result_count: int) -> None:
        """Warn that rows may be missing: splunkd silently passes at most `maxresults` rows to an action."""
        rows = result.accepted.counts.read
        if self._payload.per_result or result_count == rows:
            return
        max_results = self._job.max_results()
        if result_count > rows:
            text = f"the action got {rows:,} of the search's {result_count:,} rows; the others were not sent"
        elif rows >= max_results:
            text = (
                f"the action got as many rows as it may (maxresults = {max_results:,}); "
                "any further rows were not sent"
            )
        else:
            return
        text = (
            f"irmexport: {text}. Aggregate more in the search, or raise `maxresults` of the alert action and "
            "max_action_results in limits.conf."
        )
        self._log("cut", level=WARN, rows=rows, of=result_count, maxresults=max_results)
        result.messages.insert(0, (WARN, text))

    def _log(self, event: str, level: str = INFO, **fields: Any) -> None:
        connector = self._payload.params.get("profile", "")[:40]
        self._app_log.write(level, event, connector=connector, **self._payload.search.log_fields(), **fields)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, SplunkdRefused):
        return CONFIGURATION if 400 <= error.status < 500 else FAILED  # noqa: PLR2004 - HTTP's classes
    if isinstance(error, (ConfigurationError, OperatorError)):
        return CONFIGURATION
    if isinstance(error, DataError):
        return DATA
    return FAILED
