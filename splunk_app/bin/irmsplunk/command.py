"""`| irmexport`: the requests with rows; what is done with the rows is in ``handover``.

Each request's body is read to its full length, spooled and echoed as it came. The rows are shaped and
queued once, with the request that says finished; not in a preview, nor where the search was cut short.
The process is also started for getinfo alone, so nothing happens before the first request.
"""

from __future__ import annotations

import csv
import io
import os
import socket
import sys
import traceback
from typing import Any, BinaryIO

from irmcore.clock import SystemClock
from irmcore.errors import ConfigurationError, InputError, IrmError, OutboxFull, TooManyRefused

from irmsplunk import connectors, frames, splunkd, telling
from irmsplunk.handover import Handed, Handover, Standing, with_fields
from irmsplunk.journal import Journal
from irmsplunk.opening import Options
from irmsplunk.places import Places
from irmsplunk.search import Search
from irmsplunk.spool import Spool
from irmsplunk.telling import ERROR, INFO, WARN

CAPABILITY = "irmexport_run"
_NAME = "search results"
#: Result rows in one reply.
_MOST = 50_000


def said_of(error: BaseException) -> str:
    """An error for the analyst: ours as it is, any other by type and place alone."""
    if isinstance(error, IrmError):
        return f"irmexport: {error}"
    at = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"irmexport: {type(error).__name__} at {os.path.basename(at.filename)}:{at.lineno}: this is a fault "
        "of irmexport. Nothing more was queued; please report it with this line."
    )


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
        self._refused = b""

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
        why_not = self._why_not()
        if why_not:
            self._log("not-queued", why=why_not[1])
            self._echo(spool, length, finished=True, messages=[why_not] if why_not[0] != "" else [])
            return
        try:
            messages, body = self._hand_over(spool)
        except Exception as error:  # noqa: BLE001 - one border: whatever it is, splunkd gets its reply
            code = type(error).__name__
            self._log("failed", level=ERROR, error=code, what=getattr(error, "what", ""))
            frames.write(
                self._replies,
                frames.metadata([(ERROR, said_of(error))], finished=True),
                *self._rows_of(error),
            )
            raise SystemExit(1) from None
        if self._options.output == "rows":
            self._echo(spool, length, finished=True, messages=messages)
        else:
            frames.write(self._replies, frames.metadata(messages, finished=True), len(body), [body])

    def _why_not(self) -> tuple[str, str] | None:
        """Why nothing is queued though the results ended, as a message; silence in a preview."""
        if self._search.preview:
            return "", "preview"
        if self._search.finalized() and not self._options.allowpartial:
            return WARN, (
                "irmexport: the search was finalized before its end, so nothing was queued. "
                "Run it to its end, or set allowpartial=t."
            )
        return None

    def _hand_over(self, spool: Spool) -> tuple[list[tuple[str, str]], bytes]:
        """Shape, queue, wait and tell; gives the messages and the body of outputs other than rows."""
        options = self._options
        user = self._allowed()
        configured = connectors.fetch(self._splunkd(), options.profile)
        profile = with_fields(configured.profile, options.fields)
        table = spool.table([column.field for column in profile.columns], _NAME)
        handover = Handover(configured, self._places.outbox, self._clock)
        keep = options.output == "rejects"
        if options.dryrun:
            handed = handover.rehearse(table, profile, name=_NAME, keep_rejects=keep)
            standing = Standing("dry run")
        else:
            self._refuse_placeholders(profile)
            self._places.outbox_ready()
            details = {"fields": options.fields} if options.fields else {}
            if options.allowpartial and self._search.finalized():
                details["partial"] = "finalized"
            try:
                handed = handover.accept(
                    table,
                    profile,
                    self._search.origin(user, socket.gethostname(), details),
                    name=_NAME,
                    max_refused=options.maxrejects,
                    keep_rejects=keep,
                )
            except TooManyRefused as error:
                self._refused = handover.refused_rows(error.where) if keep else b""
                raise
            self._log("queued", run=handed.run, batches=len(handed.batches), counts=handed.counts.as_dict())
            standing = self._stood(handover, handed)
        messages = telling.counted(handed, dry=options.dryrun)
        if handed.batches:
            alive = handover.sender_alive()
            messages.append(telling.stood(standing, alive=alive, waited=float(options.wait)))
            self._log("stood", run=handed.run, state=standing.state, reason=standing.reason)
        return messages, self._body(handed, standing)

    def _stood(self, handover: Handover, handed: Handed) -> Standing:
        """How the queued batches stand. What fails from here on does not undo that they are queued."""
        if not handed.batches:
            return Standing("nothing to send")
        try:
            return handover.wait(handed, float(self._options.wait))
        except (IrmError, OSError) as error:
            self._log("status-unreadable", level=WARN, error=type(error).__name__)
            return Standing("queued", waiting=handed.counts.shaped, reason="status-unreadable")

    def _allowed(self) -> str:
        """Who runs the search, on the server's word. Raises ConfigurationError without the capability."""
        user, may = splunkd.capabilities(self._splunkd())
        if CAPABILITY not in may:
            raise ConfigurationError(
                f"you do not have the capability {CAPABILITY}, so nothing was queued",
                where="| irmexport",
                next_step="Ask an administrator to give it to one of your roles.",
            )
        return user

    def _splunkd(self) -> splunkd.Splunkd:
        return splunkd.Splunkd(self._search.splunkd_uri, self._search.session_key)

    def _refuse_placeholders(self, profile: Any) -> None:
        unfilled = profile.connector.placeholders()
        if unfilled:
            raise ConfigurationError(
                f"{', '.join(f'`{key}`' for key in unfilled)} of this connector still has the placeholder",
                where=profile.name,
                next_step="An administrator fills in the IDs; dryrun=t works without.",
            )

    def _rows_of(self, error: BaseException) -> tuple[int, list[bytes]]:
        """With output=rejects, the refused rows come along with the error that they were too many."""
        body = _most(self._refused) if isinstance(error, TooManyRefused) else b""
        return len(body), [body]

    def _body(self, handed: Handed, standing: Standing) -> bytes:
        if self._options.output == "rejects":
            return _most(handed.rejects)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, telling.SUMMARY, lineterminator="\n")
        writer.writeheader()
        writer.writerow(telling.summary(self._options.profile, handed, standing))
        return text.getvalue().encode("utf-8")

    def _log(self, event: str, level: str = INFO, **fields: Any) -> None:
        search = self._search
        self._journal.write(
            level, event, connector=self._options.profile, user=search.user, sid=search.sid, **fields
        )


def _most(lines: bytes) -> bytes:
    """The header and as many rows as one reply may have; a row of the reject file is one line."""
    return b"".join(lines.splitlines(keepends=True)[: _MOST + 1])
