"""`| irmexport`: the requests with rows; what is done with the rows is in ``handover``.

Each request's body is read to its full length, spooled and echoed as it came. The rows are shaped and
queued once, with the request that says finished; not in a preview, nor where the search was cut short.
The process is also started for getinfo alone, so nothing happens before the first request.
"""

from __future__ import annotations

import csv
import io
import os
import sys
from typing import Any, BinaryIO

from irmcore.clock import SystemClock
from irmcore.errors import InputError, OutboxFull, TooManyRefused

from irmsplunk.export import export
from irmsplunk.export import messages as telling
from irmsplunk.export.export import Asked, Export, said_of
from irmsplunk.export.handover import Handed, Standing
from irmsplunk.export.messages import ERROR, INFO, WARN
from irmsplunk.export.search import Search
from irmsplunk.export.spool import Spool
from irmsplunk.search import frames
from irmsplunk.search.getinfo import Options
from irmsplunk.splunk.journal import Journal
from irmsplunk.splunk.paths import Places

#: Result rows in one reply.
_MOST = 50_000


def talk(options: Options, metadata: object, requests: BinaryIO, replies: BinaryIO) -> None:
    """The execute requests, to the end of the process; whatever goes wrong is told in the search."""
    try:
        Talk(options, metadata, requests, replies).run()
    except Exception as error:  # noqa: BLE001 - one border: splunkd gets its reply
        frames.write(replies, frames.metadata([(ERROR, said_of(error))], finished=True))
        sys.stderr.write(f"{said_of(error)}\n")
        raise SystemExit(1) from None


class Talk:
    """The execute requests of one process, one reply each."""

    def __init__(self, options: Options, metadata: object, requests: BinaryIO, replies: BinaryIO) -> None:
        """``metadata`` is that of getinfo, as objects with attributes."""
        self._options = options
        self._requests = requests
        self._replies = replies
        self._clock = SystemClock()
        self._search = Search.of(metadata)
        self._places = Places.of(os.environ)
        self._journal = Journal(self._places.logs, self._clock, "command")
        self._export = Export(
            Asked(
                who="| irmexport",
                profile=options.profile,
                fields=options.fields,
                dry=options.dryrun,
                wait=float(options.wait),
                max_refused=options.maxrejects,
                keep_rejects=options.output == "rejects",
            ),
            self._search,
            self._places,
            self._clock,
            self._log,
        )

    def run(self) -> None:
        """Until the last request, or the end of the stream, which is a cancelled search."""
        spool: Spool | None = None
        try:
            spool = Spool(self._search.dispatch_dir or None)
            while True:
                head = frames.read_head(self._requests)
                if head is None:
                    self._log("cancelled")
                    return
                length = spool.add(frames.pieces(self._requests, head.body))
                if head.finished:
                    self._last(spool, length)
                    return
                self._echo(spool, length, finished=False, messages=[])
        except InputError as error:
            # The stream broke off inside a request: nobody is there to be answered.
            self._log("broken-off", level=ERROR, error=type(error).__name__, what=error.what)
            sys.stderr.write(f"{said_of(error)}\n")
            raise SystemExit(1) from None
        except OutboxFull as error:
            self._log("failed", level=ERROR, error=type(error).__name__, what=error.what)
            frames.write(self._replies, frames.metadata([(ERROR, said_of(error))], finished=True))
            raise SystemExit(1) from None
        finally:
            if spool is not None:
                spool.close()

    def _echo(self, spool: Spool, length: int, *, finished: bool, messages: list[tuple[str, str]]) -> None:
        metadata = frames.metadata(messages, finished=finished)
        if self._options.output == "rows" or self._search.preview:
            frames.write(self._replies, metadata, length, spool.last())
        else:
            frames.write(self._replies, metadata)

    def _last(self, spool: Spool, length: int) -> None:
        """The request that says finished: the one moment at which something is queued."""
        why_not = export.why_not(self._search, allow_partial=self._options.allowpartial)
        if why_not:
            self._log("not-queued", why=why_not[1])
            self._echo(spool, length, finished=True, messages=[why_not] if why_not[0] != "" else [])
            return
        try:
            messages, body = self._hand_over(spool)
        except Exception as error:  # noqa: BLE001 - one border: whatever it is, splunkd gets its reply
            code = type(error).__name__
            self._log("failed", level=ERROR, error=code, what=getattr(error, "what", ""))
            length_of_rows, rows, messages = self._rows_of(error)
            messages.insert(0, (ERROR, said_of(error)))
            frames.write(self._replies, frames.metadata(messages, finished=True), length_of_rows, rows)
            raise SystemExit(1) from None
        if self._options.output == "rows":
            self._echo(spool, length, finished=True, messages=messages)
        else:
            frames.write(self._replies, frames.metadata(messages, finished=True), len(body), [body])

    def _hand_over(self, spool: Spool) -> tuple[list[tuple[str, str]], bytes]:
        """Shape, queue, wait and tell; gives the messages and the body of outputs other than rows."""
        partial = export.partial(self._search, allow_partial=self._options.allowpartial)
        done = self._export.run(spool, partial)
        messages = done.messages
        if self._options.output == "rejects" and done.handed.counts.rejected > _MOST:
            messages.append((WARN, telling.cut(done.handed.counts.rejected, _MOST)))
        return messages, self._body(done.handed, done.standing)

    def _rows_of(self, error: BaseException) -> tuple[int, list[bytes], list[tuple[str, str]]]:
        """With output=rejects, the refused rows come along with the error that they were too many."""
        refused = self._export.refused if isinstance(error, TooManyRefused) else b""
        body, rows = _most(refused), refused.count(b"\n") - 1
        return len(body), [body], [(WARN, telling.cut(rows, _MOST))] if rows > _MOST else []

    def _body(self, handed: Handed, standing: Standing) -> bytes:
        if self._options.output == "rejects":
            return _most(handed.rejects)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, telling.SUMMARY, lineterminator="\n")
        writer.writeheader()
        writer.writerow(telling.summary(self._options.profile, handed, standing))
        return text.getvalue().encode("utf-8")

    def _log(self, event: str, level: str = INFO, **fields: Any) -> None:
        self._journal.write(level, event, connector=self._options.profile, **self._search.facts(), **fields)


def _most(lines: bytes) -> bytes:
    """The header and as many rows as one reply may have; a row of the reject file is one line."""
    return b"".join(lines.splitlines(keepends=True)[: _MOST + 1])
