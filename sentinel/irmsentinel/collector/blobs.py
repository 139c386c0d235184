"""Fetch content blobs, many at a time, and turn the wanted records of each into rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from irmsentinel.collector import records
from irmsentinel.collector.api_errors import ApiError
from irmsentinel.collector.management_api import ContentItem, Feed
from irmsentinel.collector.rate_limit import RateLimiter
from irmsentinel.collector.records import RecordFilter, Row
from irmsentinel.content.artefacts import Column

#: Requests queued for each connection. They keep it busy while a part is made durable and sent.
_AHEAD = 8


@dataclass(frozen=True)
class Blob:
    """A fetched blob: how many records it has, and the rows of the wanted ones."""

    records: int
    rows: list[Row]


@dataclass(frozen=True)
class BlobFetcher:
    """Fetches blobs over at most ``connections`` connections.

    ``attempts``: how often a blob may be requested, asked when its turn comes.
    """

    feed: Feed
    limiter: RateLimiter
    connections: int
    filter: RecordFilter
    columns: tuple[Column, ...]
    attempts: Callable[[], int]

    def fetch(self, items: Iterator[ContentItem]) -> Iterator[tuple[ContentItem, Blob | ApiError]]:
        """Each blob as it arrives, or the error of its request, while ``items`` goes on.

        An ApiError of ``items`` is raised after the blobs that were listed before it.
        """
        pool = ThreadPoolExecutor(self.connections, thread_name_prefix="irmexport-blob")
        pending: dict[Future[Blob | ApiError], ContentItem] = {}
        list_error: ApiError | None = None
        try:
            try:
                for item in items:
                    pending[pool.submit(self._fetch, item)] = item
                    if len(pending) >= _AHEAD * self.connections:
                        yield from _completed(pending)
            except ApiError as error:
                list_error = error
            while pending:
                yield from _completed(pending)
            if list_error is not None:
                raise list_error
        finally:
            if pending:
                self.limiter.stop()
            pool.shutdown(wait=True, cancel_futures=True)

    def _fetch(self, item: ContentItem) -> Blob | ApiError:
        try:
            found = self.feed.records(item, attempts=self.attempts())
        except ApiError as error:
            return error
        wanted = filter(self.filter.accepts, found)
        return Blob(len(found), [records.row(record, self.columns) for record in wanted])


def _completed(
    pending: dict[Future[Blob | ApiError], ContentItem],
) -> Iterator[tuple[ContentItem, Blob | ApiError]]:
    for future in wait(pending, return_when=FIRST_COMPLETED).done:
        yield pending.pop(future), future.result()
