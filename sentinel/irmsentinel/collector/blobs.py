"""Fetch content blobs, many at a time, and turn the wanted records of each into rows.

`Source` is the seam to a service that has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

from irmcore.errors import IrmError

from irmsentinel.collector.api_errors import ApiError
from irmsentinel.collector.management_api import ContentItem
from irmsentinel.collector.rate_limit import RateLimiter
from irmsentinel.collector.records import Row

#: Requests queued for each of several connections. They keep it busy while a part is made durable and sent.
#: A single connection has one: its answers may be too large for several to be in memory.
_AHEAD = 8


class Source(Protocol):
    """A service with blobs of records, listed by the time at which they became available.

    ``name`` is for messages. ``max_window``: the longest span of one list; ``retention``: how far back the
    service has records; both in seconds. Every method raises ApiError, TokenTrouble and IrmError.
    """

    name: str
    max_window: int
    retention: int

    def close(self) -> None:
        """Close all connections; the next request opens one."""

    def check(self) -> float:
        """The service's own time in seconds since 1970, if it can be read."""

    def content(self, start: int, end: int) -> Iterator[ContentItem]:
        """The blobs of ``start <= t < end``, in seconds since 1970."""

    def records(self, item: ContentItem, *, attempts: int) -> list[Any]:
        """The records of a blob."""


@dataclass(frozen=True)
class Blob:
    """A fetched blob: how many records it has, and the rows of the wanted ones."""

    records: int
    rows: list[Row]


@dataclass(frozen=True)
class BlobFetcher:
    """Fetches blobs over at most ``connections`` connections.

    ``to_rows`` makes rows of those of a blob's records that are wanted. ``attempts``: how often a blob may be
    requested, asked when its turn comes.
    """

    feed: Source
    limiter: RateLimiter
    connections: int
    to_rows: Callable[[list[Any]], list[Row]]
    attempts: Callable[[], int]

    def fetch(self, items: Iterator[ContentItem]) -> Iterator[tuple[ContentItem, Blob | ApiError]]:
        """Each blob as it arrives, or the error of its request, while ``items`` goes on.

        An error of ``items`` is raised after the blobs that were listed before it.
        """
        pool = ThreadPoolExecutor(self.connections, thread_name_prefix="irmexport-blob")
        most = _AHEAD * self.connections if self.connections > 1 else 1
        pending: dict[Future[Blob | ApiError], ContentItem] = {}
        list_error: ApiError | IrmError | None = None
        try:
            try:
                for item in items:
                    pending[pool.submit(self._fetch, item)] = item
                    if len(pending) >= most:
                        yield from _completed(pending)
            except (ApiError, IrmError) as error:
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
        return Blob(len(found), self.to_rows(found))


def _completed(
    pending: dict[Future[Blob | ApiError], ContentItem],
) -> Iterator[tuple[ContentItem, Blob | ApiError]]:
    for future in wait(pending, return_when=FIRST_COMPLETED).done:
        yield pending.pop(future), future.result()
