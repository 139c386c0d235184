"""`| irmexport` after getinfo: spool and echo each request, export once with the last one.

Nothing is exported from a preview, a finalized search (unless allowed) or a stream that ends early. splunkd
also starts the process for getinfo alone, so nothing happens before the first request. ``export`` has the
work on the rows.
"""

from __future__ import annotations

import csv
import io
import os
import sys
from typing import Any, BinaryIO

from irmcore.clock import SystemClock
from irmcore.errors import InputError, OutboxFull, TooManyRefused

from irmsplunk.export.export import Export, ExportRequest, ExportResult
from irmsplunk.export.messages import (
    ERROR,
    FINALIZED,
    INFO,
    SUMMARY_FIELDS,
    WARN,
    error_message,
    summary_row,
    truncated_preview,
    truncated_rejects,
)
from irmsplunk.export.search import Search
from irmsplunk.export.spool import Spool
from irmsplunk.search.chunked_protocol import pieces, read_head, reply_metadata, write
from irmsplunk.search.getinfo import Options
from irmsplunk.splunk.app_log import AppLog
from irmsplunk.splunk.paths import Paths

#: The most result rows in one reply.
_REPLY_ROWS = 50_000


def run(options: Options, metadata: object, requests: BinaryIO, replies: BinaryIO) -> None:
    """Serve the execute requests to the end of the process; an unexpected error becomes a message."""
    try:
        SearchCommand(options, metadata, requests, replies).run()
    except Exception as error:  # noqa: BLE001 - the last border: splunkd must get its reply
        write(replies, reply_metadata([(ERROR, error_message(error))], finished=True))
        sys.stderr.write(f"{error_message(error)}\n")
        raise SystemExit(1) from None


class SearchCommand:
    """The execute requests of one process, with one reply to each."""

    def __init__(self, options: Options, metadata: object, requests: BinaryIO, replies: BinaryIO) -> None:
        """``metadata`` is that of getinfo, as objects with attributes."""
        self._options = options
        self._requests = requests
        self._replies = replies
        clock = SystemClock()
        self._search = Search.from_getinfo(metadata)
        paths = Paths.from_environment(os.environ)
        self._app_log = AppLog(paths.logs, clock, "command")
        request = ExportRequest(
            caller="| irmexport",
            profile=options.profile,
            fields=options.fields,
            dry_run=options.dryrun or options.output == "preview",
            wait=float(options.wait),
            max_refused=options.maxrejects,
            keep_rejects=options.output == "rejects",
            preview_rows=_REPLY_ROWS if options.output == "preview" else 0,
        )
        self._export = Export(request, self._search, paths, clock, self._log)

    def run(self) -> None:
        """Until the last request, or the end of the stream, which means that the search was cancelled."""
        spool: Spool | None = None
        try:
            spool = Spool(self._search.dispatch_dir or None)
            while True:
                head = read_head(self._requests)
                if head is None:
                    self._log("cancelled")
                    return
                length = spool.add(pieces(self._requests, head.body))
                if head.finished:
                    self._finish(spool, length)
                    return
                self._echo(spool, length, finished=False, messages=[])
        except InputError as error:
            # The stream broke off inside a request: nobody is left to answer.
            self._log("broken-off", level=ERROR, error=type(error).__name__, what=error.what)
            sys.stderr.write(f"{error_message(error)}\n")
            raise SystemExit(1) from None
        except OutboxFull as error:
            self._log("failed", level=ERROR, error=type(error).__name__, what=error.what)
            write(self._replies, reply_metadata([(ERROR, error_message(error))], finished=True))
            raise SystemExit(1) from None
        finally:
            if spool is not None:
                spool.close()

    def _echo(self, spool: Spool, length: int, *, finished: bool, messages: list[tuple[str, str]]) -> None:
        """Reply with the request's own rows, if the output is the rows."""
        metadata = reply_metadata(messages, finished=finished)
        if self._options.output == "rows" or self._search.preview:
            write(self._replies, metadata, length, spool.last())
        else:
            write(self._replies, metadata)

    def _finish(self, spool: Spool, length: int) -> None:
        """Answer the last request, the only one that queues anything."""
        if self._search.preview:
            self._log("not-queued", why="preview")
            self._echo(spool, length, finished=True, messages=[])
            return
        finalized = self._search.finalized()
        if finalized and not self._options.allowpartial:
            self._log("not-queued", why=FINALIZED)
            self._echo(spool, length, finished=True, messages=[(WARN, FINALIZED)])
            return
        try:
            result = self._export.run(spool, {"partial": "finalized"} if finalized else {})
        except Exception as error:  # noqa: BLE001 - splunkd must get its reply, whatever went wrong
            self._log("failed", level=ERROR, error=type(error).__name__, what=getattr(error, "what", ""))
            self._reply_failed(error)
            raise SystemExit(1) from None
        if self._options.output == "rows":
            self._echo(spool, length, finished=True, messages=result.messages)
        else:
            self._reply_result(result)

    def _reply_failed(self, error: Exception) -> None:
        """The error; with output=rejects, the refused rows too if there were too many of them."""
        rejects = self._export.rejects if isinstance(error, TooManyRefused) else b""
        refused = rejects.count(b"\n") - 1
        messages = [(ERROR, error_message(error))]
        if refused > _REPLY_ROWS:
            messages.append((WARN, truncated_rejects(refused, _REPLY_ROWS)))
        body = _first_rows(rejects)
        write(self._replies, reply_metadata(messages, finished=True), len(body), [body])

    def _reply_result(self, result: ExportResult) -> None:
        """The summary, the refused rows or the preview in place of the search's rows."""
        messages, refused = result.messages, result.accepted.counts.rejected
        if self._options.output == "preview":
            body = result.preview
            shaped = result.accepted.counts.shaped
            if shaped > _REPLY_ROWS:
                messages.append((WARN, truncated_preview(shaped, _REPLY_ROWS)))
        elif self._options.output == "rejects":
            body = _first_rows(result.rejects)
            if refused > _REPLY_ROWS:
                messages.append((WARN, truncated_rejects(refused, _REPLY_ROWS)))
        else:
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, SUMMARY_FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerow(summary_row(result.connector, result.accepted, result.status))
            body = text.getvalue().encode("utf-8")
        write(self._replies, reply_metadata(messages, finished=True), len(body), [body])

    def _log(self, event: str, level: str = INFO, **fields: Any) -> None:
        connector = self._options.profile or self._export.connector
        self._app_log.write(level, event, connector=connector, **self._search.log_fields(), **fields)


def _first_rows(lines: bytes) -> bytes:
    """The header and as many rows as fit in one reply; a row of the reject file is one line."""
    return b"".join(lines.splitlines(keepends=True)[: _REPLY_ROWS + 1])
