"""A source of IRM alerts or activities → outbox: collect what is new, each record once, and remember how far.

    windows ─▶ content list ─▶ blobs (in parallel) ─▶ wanted records ─▶ rows ─▶ outbox ─▶ cursor

Rows are durable in the outbox before their blob counts as read, and all blobs of a window before the cursor
moves past it. After a crash the next run fetches some blobs again, and the row ledger skips their records.
Content that can no longer be fetched is a gap: counted and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from irmcore import __version__
from irmcore.clock import iso
from irmcore.errors import ConfigurationError, IrmError, OutboxBusy, WaitError
from irmcore.http.auth import TokenTrouble
from irmcore.intake.commit import disk_error
from irmcore.outbox import Origin, audit_log, runs

from irmsentinel.azure.target import Target, save_target
from irmsentinel.collector import cursor
from irmsentinel.collector.acceptance import Acceptance
from irmsentinel.collector.api_client import ATTEMPTS, RETRIED
from irmsentinel.collector.api_errors import ApiError, ErrorKind
from irmsentinel.collector.blobs import Blob, BlobFetcher, Source
from irmsentinel.collector.cursor import Gap
from irmsentinel.collector.management_api import ContentItem
from irmsentinel.collector.rate_limit import RateLimiter
from irmsentinel.collector.records import RecordFilter, Row
from irmsentinel.collector.result import CollectResult
from irmsentinel.collector.spool import Spool

#: Seconds by which the oldest window stays inside what the service still has, because a run takes time.
_MARGIN = 600
#: Failures in a row after which the others get one attempt each, in case the service is out of order.
_FEW_FAILURES = 8
#: Failed blobs in a row after which a run leaves the rest of the window to the next round, which begins with
#: the blobs that have not failed yet: with an answer about the blob, and without one.
_MAX_FAILURES, _MAX_UNANSWERED = 100, 8
_MAX_FAILED_LISTS = 2  # in a row, each after retries
#: Answers that say nothing about the blob.
_NOT_THE_BLOB = (ErrorKind.TOKEN, ErrorKind.SUBSCRIBE)


@dataclass(frozen=True)
class Options:
    """What to collect and how.

    ``overlap``: seconds before the cursor that each run lists again; ``commit_blobs``: blobs after which a
    run makes its rows durable, the most fetches that a crash costs; ``fingerprint``: the digest of the
    settings.
    """

    filter: RecordFilter = field(default_factory=RecordFilter)
    overlap: int = 24 * 3600
    connections: int = 24
    commit_blobs: int = 500
    fingerprint: str = ""


#: Called with the result so far, after each part of a run that became durable.
Progress = Callable[[CollectResult], None]


@dataclass(frozen=True)
class Collector:
    """Collects one tenant's alerts into one outbox. ``to_rows`` makes rows of the records that are wanted."""

    feed: Source
    limiter: RateLimiter
    spool: Spool
    target: Target
    to_rows: Callable[[list[Any]], list[Row]]
    options: Options
    origin: Origin

    def run(self, *, backfill: bool = False, progress: Progress = lambda _: None) -> CollectResult:
        """Collect what is new; with ``backfill`` everything that the API still has.

        Raises OutboxBusy, OutboxFull, ConfigurationError (a setting, the subscription) and WaitError (the
        service or the store is not available). What was accepted before the error stays.
        """
        own = self.spool.own
        own.create()
        save_target(own, self.target)
        lock = own.disk.try_lock(f"{own.path}/collect.lock")
        if lock is None:
            raise OutboxBusy(
                "another process is collecting into this table",
                where=own.path,
                next_step="Let it finish: it collects the same records.",
            )
        self.limiter.restart()
        try:
            self.spool.promote()  # what a run that was killed has left
            return _Run(self, backfill=backfill, progress=progress).all()
        except ApiError as error:
            raise api_failure(error, self.feed.name) from None
        except TokenTrouble as error:
            raise token_failure(error) from None
        except OSError as error:
            raise disk_error(error, own.path, in_part=True) from error
        finally:
            lock.release()


def api_failure(error: ApiError, name: str) -> IrmError:
    """An error of the API with this name, with the operator's next step."""
    kind = WaitError if error.kind in RETRIED else ConfigurationError
    step = error.next_step or "The next run tries again."
    return kind(error.message, where=f"{name}, {error.code}", next_step=step)


def token_failure(error: TokenTrouble) -> IrmError:
    """An error of the sign-in, with the operator's next step."""
    kind = WaitError if error.wait else ConfigurationError
    return kind("Entra ID issued no token", where=error.code, next_step=error.advice)


class _Run:
    """One run of a collector."""

    def __init__(self, collector: Collector, *, backfill: bool, progress: Progress) -> None:
        options = collector.options
        self._collector = collector
        self._outbox = collector.spool.outbox
        self._overlap = options.overlap
        self._fetcher = BlobFetcher(
            collector.feed,
            collector.limiter,
            options.connections,
            collector.to_rows,
            self._attempts,
        )
        self._acceptance = Acceptance(collector.spool, collector.target, options.fingerprint)
        self._progress = progress
        self._backfill = backfill
        self._cursor = cursor.load(self._outbox)
        self._started = self._outbox.clock.now()
        self._result = CollectResult(collected=self._cursor.collected)
        self._failed_at: list[float] = []
        self._causes: dict[str, ApiError] = {}
        self._list_error: ApiError | None = None
        self._failures = self._unanswered = self._failed_lists = 0  # in a row
        self._rows: list[Row] = []  # fetched, and not yet durable
        self._items: list[ContentItem] = []  # the blobs of these rows
        self._window = (0, 0)

    def all(self) -> CollectResult:
        """Collect every window, oldest first."""
        feed = self._collector.feed
        now = int(feed.check())
        oldest = now - feed.retention + _MARGIN
        at = self._cursor.collected
        if at and at < oldest:
            self._add_gap(Gap(at, oldest, f"older than {feed.retention // 86_400} days"))
        if at > now:  # set by a wrong clock: list again what it passed over
            self._cursor.collected = at = 0
        self._before = at
        begin = max(at - self._overlap, oldest) if at and not self._backfill else oldest
        try:
            for start, end in windows(begin, now, feed.max_window):
                self._read(start, end)
                if self._failed_lists == _MAX_FAILED_LISTS:
                    break
        finally:
            self._report_failures()
            self._save_record()
        if self._list_error is not None:
            raise self._list_error
        return self._result

    def _add_gap(self, gap: Gap) -> None:
        # A gap that grew since an unfinished run is one gap.
        same = [one for one in self._cursor.gaps if one.why == gap.why and gap.start in (one.start, one.end)]
        gap = replace(gap, start=min([gap.start, *(one.start for one in same)]))
        self._cursor.gaps = [one for one in self._cursor.gaps if one not in same] + [gap]
        self._result.gaps.append(gap)

    def _add_gone(self, at: int, why: str) -> None:
        """Count a blob that is gone. All of a window with the same cause are one gap."""
        gap = Gap(at, at + 1, why, 1)
        for one in self._result.gaps:
            if one.why == why and one.start >= self._window[0]:
                gap = Gap(min(one.start, at), max(one.end, at + 1), why, one.blobs + 1)
                self._result.gaps.remove(one)
                self._cursor.gaps.remove(one)
                break
        self._cursor.gaps.append(gap)
        self._result.gaps.append(gap)

    def _report_failures(self) -> None:
        """Say each cause once, with its number and its next step."""
        result = self._result
        counts = sorted(result.failures.items(), key=lambda each: -each[1])
        for code, count in counts:
            cause = self._causes[code]
            step = cause.next_step or "The next run tries again."
            text = f"{count:,} failed with {code}: {cause.message}. {step}"
            result.warning = f"{result.warning} {text}".strip()
        if counts:
            result.trouble = counts[0][0]

    # -- a window -----------------------------------------------------------------------

    def _read(self, start: int, end: int) -> None:
        self._window = (start, end)
        self._failures = self._unanswered = 0
        self._collector.limiter.restart()
        self._result.windows += 1
        try:
            new = self._new_items(self._collector.feed.content(start, end))
            for item, blob in self._fetcher.fetch(new):
                self._add(item, blob)
                if len(self._items) >= self._collector.options.commit_blobs:
                    self._commit()
                if self._failures >= _MAX_FAILURES or self._unanswered >= _MAX_UNANSWERED:
                    self._failed_at.append(start)
                    break
            self._failed_lists = 0
        except ApiError as error:  # of the list: the other windows may have theirs
            self._list_error = self._list_error or error
            self._failed_lists += error.kind in RETRIED
            self._add_failure(start, error)
        finally:
            # Also after an error: what was fetched need not be fetched again.
            self._commit()
        if self._failed_at:
            # Never before the last cursor: each run lists the overlap before it again anyway.
            to = max(int(min(self._failed_at)), self._before)
        else:
            to = max(end, self._cursor.collected)
        self._cursor.move(to, self._overlap)
        cursor.store(self._outbox, self._cursor)
        self._result.collected = to
        self._progress(self._result)

    def _new_items(self, items: Iterator[ContentItem]) -> Iterator[ContentItem]:
        """The blobs to fetch, those that failed before last. A list can name a blob twice."""
        seen: set[str] = set()
        failed_before = []
        for item in items:
            if item.id in seen:
                continue
            seen.add(item.id)
            self._result.listed += 1
            if self._cursor.knows(item.id) and not self._backfill:
                self._result.known += 1
                continue
            if cursor.digest(item.id) in self._cursor.failed:
                failed_before.append(item)
            else:
                yield item
        yield from failed_before

    def _attempts(self) -> int:
        return ATTEMPTS if self._failures < _FEW_FAILURES else 1

    def _add(self, item: ContentItem, blob: Blob | ApiError) -> None:
        result = self._result
        if isinstance(blob, Blob):
            self._failures = self._unanswered = 0
            result.fetched += 1
            result.read += blob.records
            self._rows.extend(blob.rows)
            self._items.append(item)
            return
        if blob.kind is ErrorKind.GONE:
            result.gone += 1
            self._cursor.gone += 1
            self._add_gone(int(item.created), blob.code)
            self._items.append(item)
            return
        result.failed += 1
        self._cursor.add_failed(item.id, item.created)
        self._add_failure(item.created, blob)
        self._failures += 1
        other = not blob.answered or blob.kind in _NOT_THE_BLOB
        self._unanswered = self._unanswered + 1 if other else 0

    def _add_failure(self, at: float, error: ApiError) -> None:
        self._failed_at.append(at)
        self._causes.setdefault(error.code, error)
        self._result.failures[error.code] = self._result.failures.get(error.code, 0) + 1

    # -- durability ---------------------------------------------------------------------

    def _commit(self) -> None:
        """Accept the rows durably, then count their blobs as read. Raises OutboxBusy, OutboxFull, OSError."""
        if not self._items:
            return
        if self._rows:
            self._accept()
            self._rows = []  # accepted, even if the cursor cannot be written below
        for item in self._items:
            self._cursor.add(item.id, item.created)
        cursor.store(self._outbox, self._cursor)
        self._items = []
        self._progress(self._result)

    def _accept(self) -> None:
        accepted = self._acceptance.accept(
            self._rows, run=runs.new_run_id(self._started), origin=self._origin()
        )
        # Counted only now: with a full disk, no count may include rows that were not accepted.
        result = self._result
        result.wanted += len(self._rows)
        result.new += accepted.new
        result.repeated += accepted.repeated
        result.cut += accepted.cut
        result.batches += accepted.batches
        result.warning = accepted.warning or result.warning

    def _origin(self) -> Origin:
        """Where a batch comes from. `cursor.acknowledged` reads ``since``."""
        start, end = self._window
        details = {"since": str(start), "until": str(end), "source": self._collector.feed.name}
        return replace(self._collector.origin, app="collector", details=details)

    def _save_record(self) -> None:
        """Write the run record, for `irmexport audit`. A failure is only a warning."""
        result = self._result
        if not (result.new or result.gaps or result.failures or self._backfill):
            return
        run = runs.new_run_id(self._started)
        document = {
            "event": "run",
            "run": run,
            "started": iso(self._started),
            "profile": self._collector.target.name,
            "origin": asdict(self._collector.origin),
            "collected": asdict(result),
            "tool": f"irmexport {__version__}",
        }
        try:
            audit_log.append(self._outbox, document)
        except OSError as error:
            result.warning = f"the run could not be recorded in the audit log ({error.strerror})"


def windows(start: int, end: int, longest: int) -> Iterator[tuple[int, int]]:
    """The time from ``start`` to ``end`` in adjacent windows of at most ``longest`` seconds."""
    while start < end:
        yield start, min(start + longest, end)
        start += longest
