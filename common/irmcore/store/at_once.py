"""Several requests to a store at a time, where their order does not matter."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Callable, TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class AtOnce:
    """Makes so many ``requests`` at a time. With 1, the caller's thread makes them all."""

    def __init__(self, requests: int = 1) -> None:
        self._pool = ThreadPoolExecutor(requests, "store") if requests > 1 else None
        self._later: list[Future[None]] = []

    def each(self, do: Callable[[_In], _Out], items: Iterable[_In]) -> list[_Out]:
        """``do`` for each item. Raises what the first one raised, once none is under way any more."""
        if self._pool is None:
            return list(map(do, items))
        begun = [self._pool.submit(do, item) for item in items]
        wait(begun)
        return [one.result() for one in begun]

    def ahead(self, do: Callable[[_In], _Out], item: _In) -> Future[_Out] | None:
        """Begin what will be needed soon; None if the caller's thread makes all requests."""
        return None if self._pool is None else self._pool.submit(do, item)

    def later(self, do: Callable[[_In], None], item: _In) -> None:
        """Do it by the next ``finish``, which says nothing of what it raised."""
        if self._pool is None:
            do(item)
        else:
            self._later.append(self._pool.submit(do, item))

    def finish(self) -> None:
        """Wait for everything that was to be done later."""
        wait(self._later)
        self._later.clear()
