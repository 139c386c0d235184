"""Management API → outbox: what is new, each record once, and how far that goes.

    windows ─▶ list of content ─▶ blobs (many at a time) ─▶ wanted records ─▶ rows ─▶ outbox ─▶ cursor

The order is the promise: rows are durable in the outbox before a blob counts as read, and all blobs of a
time before the cursor passes it. A process killed anywhere fetches some blobs again, and the row ledger skips
their records. What cannot be fetched any more is a gap, told and counted, never passed over in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace

from irmcore import __version__
from irmcore.clock import iso
from irmcore.counts import Counts
from irmcore.errors import ConfigurationError, IrmError, OutboxBusy, WaitError
from irmcore.http.auth import TokenTrouble
from irmcore.intake.commit import commit, disk_error, wait_for_intake_lock
from irmcore.intake.ledger.index import Ledger
from irmcore.intake.ledger.recovery import open_ledger
from irmcore.outbox import Draft, Origin, Outbox, Run, Staging, runs
from irmcore.outbox.retention import sweep
from irmcore.outbox.rowkeys import KEY_BYTES, RowKey, pack

from irmsentinel.azure import ingestion
from irmsentinel.azure.ingestion import Target
from irmsentinel.collector import cursor as cursors
from irmsentinel.collector import records
from irmsentinel.collector.api_errors import ErrorKind
from irmsentinel.collector.cursor import Gap
from irmsentinel.collector.management_api import MAX_WINDOW, RETENTION, ApiError, ContentItem, Feed
from irmsentinel.collector.rate_limit import RateLimiter
from irmsentinel.collector.records import RecordFilter, Row
from irmsentinel.content.artefacts import Column

#: Blobs after which what was read is made durable, so that a kill costs no more than these.
COMMIT_BLOBS = 500
#: Blobs asked for ahead, for each connection, which keep it busy while a part is made durable and sent.
AHEAD = 8
#: Seconds that the oldest window stays inside the API's 7 days, as a run takes its time.
MARGIN = 600
#: Blobs in a row that cannot be fetched, after which the rest of a window is left to the next round.
MAX_CONSECUTIVE_FAILURES = 8
#: What is wrong with one blob alone, and says nothing of the service.
_OF_ONE_BLOB = {"not-json", "not-a-list", "foreign-address", "too-large", "AF20052"}


@dataclass(frozen=True)
class Options:
    """``overlap`` in seconds: how far behind the cursor each run reads again; ``connections`` at a time."""

    wanted: RecordFilter = field(default_factory=RecordFilter)
    overlap: int = 24 * 3600
    connections: int = 24
    fingerprint: str = ""


@dataclass
class CollectResult:
    """What a run did. Blobs: ``listed`` of which ``known`` before, ``fetched``, ``gone``, ``failed``.

    Records: ``read``, ``wanted`` of which ``new``, ``repeated``; ``cut``: rows with a field too long.
    ``collected``: until when all is in the outbox (seconds since 1970); ``gaps``: found by this run.
    """

    windows: int = 0
    listed: int = 0
    known: int = 0
    fetched: int = 0
    gone: int = 0
    failed: int = 0
    read: int = 0
    wanted: int = 0
    new: int = 0
    repeated: int = 0
    cut: int = 0
    batches: int = 0
    collected: int = 0
    trouble: str = ""
    warning: str = ""
    gaps: list[Gap] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether everything that was listed was read."""
        return not self.failed


#: Told after each stored part of a run.
Progress = Callable[[CollectResult], None]


@dataclass(frozen=True)
class Collector:
    """One tenant's alerts into one outbox; ``columns`` are those of the table."""

    feed: Feed
    limiter: RateLimiter
    outbox: Outbox
    target: Target
    columns: tuple[Column, ...]
    options: Options
    origin: Origin

    def run(self, *, backfill: bool = False, progress: Progress = lambda _: None) -> CollectResult:
        """Read what is new into the outbox; with ``backfill`` all that the API still has, known or not.

        Raises OutboxBusy, OutboxFull, ConfigurationError (a setting, the subscription) and WaitError (the
        service is away); what was stored before stays.
        """
        self.outbox.create()
        ingestion.save(self.outbox, self.target)
        lock = self.outbox.disk.try_lock(f"{self.outbox.path}/collect.lock")
        if lock is None:
            raise OutboxBusy(
                "another process is collecting for this table",
                where=self.outbox.path,
                next_step="It will bring these records too.",
            )
        self.limiter.restart()
        run = _Run(self, backfill=backfill, progress=progress)
        try:
            return run.all()
        except ApiError as fault:
            raise refusal(fault) from None
        except TokenTrouble as trouble:
            raise no_token(trouble) from None
        except OSError as error:
            raise disk_error(error, self.outbox.path, in_part=True) from error
        finally:
            lock.release()


def refusal(fault: ApiError) -> IrmError:
    """A fault of the API as the operator's next step."""
    kind = WaitError if fault.kind in (ErrorKind.WAIT, ErrorKind.THROTTLED) else ConfigurationError
    step = fault.next_step or "The next run asks again."
    return kind(fault.words, where=f"Management API, {fault.code}", next_step=step)


def no_token(trouble: TokenTrouble) -> IrmError:
    """No token, as the operator's next step."""
    kind = WaitError if trouble.wait else ConfigurationError
    return kind("Entra ID gave no token", where=trouble.code, next_step=trouble.advice)


class _Run:
    """One run of a collector."""

    def __init__(self, collector: Collector, *, backfill: bool, progress: Progress) -> None:
        self._of = collector
        self._feed = collector.feed
        self._outbox = collector.outbox
        self._options = collector.options
        self._progress = progress
        self._backfill = backfill
        self._cursor = cursors.load(self._outbox)
        self._started = self._outbox.clock.now()
        self._done = CollectResult(collected=self._cursor.collected)
        self._failed_at: list[float] = []
        self._troubles = 0
        self._rows: list[Row] = []
        self._items: list[ContentItem] = []
        self._window = (0, 0)

    def all(self) -> CollectResult:
        """Every window, oldest first."""
        now = int(self._feed.check())
        oldest = now - RETENTION + MARGIN
        at = self._cursor.collected
        if at and at < oldest:
            self._gap(Gap(at, oldest, "older than 7 days"))
        if at > now:  # set by a clock that was wrong: what it passed over is looked for again
            self._cursor.collected = at = 0
        self._before = at
        begin = max(at - self._options.overlap, oldest) if at and not self._backfill else oldest
        try:
            for start, end in windows(begin, now):
                self._read(start, end)
        finally:
            self._record()
        return self._done

    def _gap(self, gap: Gap) -> None:
        # A gap that grew since a round that did not come to its end is one gap.
        same = [one for one in self._cursor.gaps if (one.start, one.why) == (gap.start, gap.why)]
        self._cursor.gaps = [one for one in self._cursor.gaps if one not in same] + [gap]
        self._done.gaps.append(gap)

    # -- a window -----------------------------------------------------------------------

    def _read(self, start: int, end: int) -> None:
        self._window = (start, end)
        self._troubles = 0
        self._of.limiter.restart()
        self._done.windows += 1
        try:
            for item, found in self._fetched(self._unknown(self._feed.content(start, end))):
                self._take(item, found)
                if len(self._items) >= COMMIT_BLOBS:
                    self._store()
                if self._troubles >= MAX_CONSECUTIVE_FAILURES:
                    self._failed_at.append(start)
                    break
        finally:
            # Also after a fault: what was fetched is kept, and need not be fetched again.
            self._store()
        if self._failed_at:
            # Not back behind where it was: each round reads a day before that again anyway.
            to = max(int(min(self._failed_at)), self._before)
        else:
            to = max(end, self._cursor.collected)
        self._cursor.move(to, self._options.overlap)
        cursors.store(self._outbox, self._cursor)
        self._done.collected = to
        self._progress(self._done)

    def _unknown(self, items: Iterator[ContentItem]) -> Iterator[ContentItem]:
        """What was not read yet, each once: a list can name a blob twice."""
        met: set[str] = set()
        for item in items:
            if item.id in met:
                continue
            met.add(item.id)
            self._done.listed += 1
            if self._cursor.knows(item.id) and not self._backfill:
                self._done.known += 1
                continue
            yield item

    def _fetched(
        self, items: Iterator[ContentItem]
    ) -> Iterator[tuple[ContentItem, tuple[int, list[Row]] | ApiError]]:
        """Blobs as they come, many at a time, while the list goes on; a fault is a value."""
        pool = ThreadPoolExecutor(self._options.connections, thread_name_prefix="irmexport-blob")
        waiting: dict[Future[tuple[int, list[Row]] | ApiError], ContentItem] = {}
        broken: ApiError | None = None
        try:
            try:
                for item in items:
                    waiting[pool.submit(self._blob, item)] = item
                    if len(waiting) >= AHEAD * self._options.connections:
                        yield from self._ready(waiting)
            except ApiError as fault:
                broken = fault  # the list ends here; what was asked for is still taken
            while waiting:
                yield from self._ready(waiting)
            if broken is not None:
                raise broken
        finally:
            if waiting:
                self._of.limiter.stop()
            pool.shutdown(wait=True, cancel_futures=True)

    def _ready(
        self, waiting: dict[Future[tuple[int, list[Row]] | ApiError], ContentItem]
    ) -> Iterator[tuple[ContentItem, tuple[int, list[Row]] | ApiError]]:
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            yield waiting.pop(future), future.result()

    def _blob(self, item: ContentItem) -> tuple[int, list[Row]] | ApiError:
        """How many records a blob has, and the rows of those that are wanted."""
        try:
            found = self._feed.records(item)
        except ApiError as fault:
            return fault
        wanted = filter(self._options.wanted.accepts, found)
        return len(found), [records.row(record, self._of.columns) for record in wanted]

    def _take(self, item: ContentItem, found: tuple[int, list[Row]] | ApiError) -> None:
        done = self._done
        if not isinstance(found, ApiError):
            self._troubles = 0
            done.fetched += 1
            done.read += found[0]
            self._rows.extend(found[1])
            self._items.append(item)
            return
        if found.kind is ErrorKind.GONE:
            done.gone += 1
            self._cursor.gone += 1
            self._gap(Gap(int(item.created), int(item.created) + 1, found.code))
            self._items.append(item)
            return
        if found.kind in (ErrorKind.SUBSCRIBE, ErrorKind.TOKEN):
            raise found
        done.failed += 1
        self._failed_at.append(item.created)
        done.trouble = found.code
        done.warning = f"{found.code}: {found.words}"
        self._troubles += found.code not in _OF_ONE_BLOB

    # -- what makes it durable ----------------------------------------------------------

    def _store(self) -> None:
        """Rows into the outbox, durably; then their blobs count as read. Raises OutboxBusy, OutboxFull."""
        if not self._items:
            return
        if self._rows:
            lock = wait_for_intake_lock(self._outbox)
            try:
                self._accept()
            finally:
                lock.release()
            self._rows = []  # they are in the outbox, also if the cursor cannot be written
        for item in self._items:
            self._cursor.add(item.id, item.created)
        cursors.store(self._outbox, self._cursor)
        self._items = []
        self._progress(self._done)

    def _accept(self) -> None:
        outbox = self._outbox
        sweep(outbox)
        known = open_ledger(outbox)
        fresh: dict[bytes, Row] = {}
        for row in self._rows:
            if row.key not in fresh and not known.day(row.day).has(_key(row)):
                fresh[row.key] = row
        rows = list(fresh.values())
        if rows:
            self._commit(rows, known)
        # Not before they are durable: a full disk must not leave a record of rows that were not kept.
        self._done.wanted += len(self._rows)
        self._done.repeated += len(self._rows) - len(rows)
        self._done.new += len(rows)
        self._done.cut += sum(bool(row.cut) for row in rows)

    def _commit(self, rows: list[Row], known: Ledger) -> None:
        outbox = self._outbox
        counts = Counts(len(self._rows), len(rows), 0, len(self._rows) - len(rows), 0)
        with Staging(outbox) as staging:
            at = 0
            for payload, count in ingestion.chunks(row.line for row in rows):
                keys = _RowKeys(rows[at : at + count])
                staging.add(Draft(payload, ingestion.CONTENT_TYPE, self._of.target.destination, count, keys))
                at += count
            names = staging.ids()
            profile = {"name": self._of.target.name, "sha256": self._options.fingerprint}
            run = Run(runs.new_run_id(self._started), outbox.clock.now(), self._origin(), profile, counts)
            warning = commit(outbox, staging, known, run)
        self._done.batches += len(names)
        self._done.warning = warning or self._done.warning

    def _origin(self) -> Origin:
        """Who made a batch, and of which window: ``since`` is what ``feed_cursor.acknowledged`` looks at."""
        start, end = self._window
        details = {"since": str(start), "until": str(end), "source": "Management Activity API"}
        return replace(self._of.origin, app="collector", details=details)

    def _record(self) -> None:
        """The run's own record, for `irmexport audit`; that it cannot be written stops nothing."""
        done = self._done
        if not (done.new or done.gaps or done.failed or self._backfill):
            return
        run = runs.new_run_id(self._started)
        document = {
            "run": run,
            "at": iso(self._started),
            "profile": self._of.target.name,
            "origin": asdict(self._of.origin),
            "collected": asdict(done),
            "tool": f"irmexport {__version__}",
        }
        try:
            runs.write_record(self._outbox, run, document)
        except OSError as error:
            done.warning = f"the run's record could not be written ({error.strerror})"


class _RowKeys:
    """The ``rowkeys`` file of a batch, once the batch has its id."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def __call__(self, batch: bytes) -> bytes:
        return pack(
            RowKey(int.from_bytes(row.key[8:], "big"), _key(row), row.day, batch[:8]) for row in self._rows
        )


def _key(row: Row) -> bytes:
    """The row key of a record: it has no threshold."""
    return row.key.ljust(KEY_BYTES, b"\0")


def windows(start: int, end: int) -> Iterator[tuple[int, int]]:
    """From ``start`` to ``end`` in parts that the API takes; each begins where the last one ended."""
    while start < end:
        yield start, min(start + MAX_WINDOW, end)
        start += MAX_WINDOW
