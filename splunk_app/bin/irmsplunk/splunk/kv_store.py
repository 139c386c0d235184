"""Splunk's KV store as a store of values that never change, through splunkd on this search head.

One value is one document, its key in ``_key`` and its bytes as base64. To insert a document whose ``_key``
exists is refused (HTTP 409), and that is all that creating needs. Nothing is ever written over or repeated.

In a cluster the writes go to one member, and the others may show them later. So whoever reads through this
class first waits until its own changes can be read. It sees those of others later, but in order.

*Unverified*, because Splunk does not publish it: with which write concern KV store acknowledges a write. One
that it acknowledged may be rolled back; docs/delivery.md says what that can do.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from irmcore.clock import Clock, SystemClock
from irmcore.store.store import check_key, check_prefix, check_value

from irmsplunk.splunk import kv_failures
from irmsplunk.splunk.splunkd import NOBODY, Splunkd, SplunkdRefused, path_segment

#: The collection of collections.conf.
COLLECTION = "irmexport_outbox"
_LIMITS = "/servicesNS/nobody/system/configs/conf-limits/kvstore"
#: Keys that one request asks for, at most.
_PAGE = 1_000
#: The MB that one result must be allowed to have: the largest value as base64, and its key.
_RESULT_MB = 2
#: Seconds until this member shows a change of this process; between the first two looks, and at most.
_READABLE_SECONDS, _FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 0.05, 1.0
#: Keys that are remembered until this member shows what has become of them. They go into one URL.
_MOST_TO_SEE = 20
_NOT_FOUND, _CONFLICT = 404, 409


class _Known(NamedTuple):
    """What this process knows of a key, and since when: whether it is there."""

    there: bool
    since: float


class KvStore:
    """An :class:`irmcore.store.Store` in the app's collection. Usable by several threads at once.

    ``splunkd`` is splunkd of this search head, as the system user.
    """

    def __init__(self, splunkd: Splunkd, clock: Clock | None = None, *, collection: str = COLLECTION) -> None:
        """Nothing is sent yet."""
        self._data = f"{NOBODY}/storage/collections/data/{path_segment(collection)}"
        self._splunkd, self._clock = splunkd, clock or SystemClock()
        self._lock = threading.Lock()
        self._to_see: dict[str, _Known] = {}
        self._documents = 0

    def __repr__(self) -> str:
        return f"KvStore({self._splunkd!r}, {COLLECTION!r})"

    def create(self, key: str, value: bytes) -> bool:
        name = _name(check_key(key))
        text = base64.b64encode(check_value(value)).decode("ascii")
        self._limit()  # no value that could not be read again
        known = self._pending().get(name)
        if known is not None and not known.there:
            self._catch_up()  # what this member shows of the deleted value would be taken for this one
        begun = self._clock.monotonic()
        try:
            reply = self._exchange("create", "POST", body={"_key": name, "value": text})
        except SplunkdRefused as refused:
            if refused.status != _CONFLICT:
                raise kv_failures.translate(refused, "create", self._splunkd) from None
            self._remember(name, there=True)
            return False
        if not isinstance(reply, dict) or reply.get("_key") != name:
            raise kv_failures.unusable("create")
        self._remember(name, there=True, seen_after=begun)
        return True

    def get(self, key: str) -> bytes | None:
        name = _name(check_key(key))
        self._catch_up()
        found = self._find("get", {"_key": name})
        if not found:
            return None
        try:
            (document,) = found
            if document["_key"] == name:
                return base64.b64decode(document["value"], validate=True)
        except (KeyError, TypeError, ValueError):
            raise kv_failures.unusable("get") from None
        raise kv_failures.unusable("get")

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        check_prefix(prefix)
        self._catch_up()
        last = _name(max(prefix, after))
        # No name has a slash, which comes right behind the dot.
        end = [{"_key": {"$lt": f"{_name(prefix)[:-1]}/"}}] if prefix else []
        # To the first empty page: a result is cut without a word, at a number of documents and at a size.
        while page := self._find("keys", {"$and": [{"_key": {"$gt": last}}, *end]}, fields="_key"):
            for document in page:
                name = document.get("_key")
                if not isinstance(name, str) or name <= last:
                    raise kv_failures.unusable("keys")
                last = name
                yield _key(name)

    def delete(self, key: str) -> None:
        name = _name(check_key(key))
        if any(known.there for known in self._pending().values()) or len(self._to_see) >= _MOST_TO_SEE:
            self._catch_up()  # a key that this member does not show yet looks as if it were deleted already
        try:
            self._exchange("delete", "DELETE", f"/{name}")
        except SplunkdRefused as refused:
            if refused.status != _NOT_FOUND:
                raise kv_failures.translate(refused, "delete", self._splunkd) from None
            self._find("delete", {"_key": name})  # was it the document that was not found, or the collection?
        self._remember(name, there=False)

    # -- requests -----------------------------------------------------------------------

    def _exchange(
        self,
        verb: str,
        method: str,
        path: str = "",
        query: Mapping[str, str] = MappingProxyType({}),
        body: object = None,
    ) -> Any:
        """The JSON of a reply, None for an empty one. Raises SplunkdRefused, StoreAway."""
        data = None if body is None else json.dumps(body).encode("ascii")
        text = self._splunkd.exchange(method, f"{self._data}{path}", query, body=data)
        try:
            return json.loads(text or b"null")
        except ValueError:
            raise kv_failures.unusable(verb) from None

    def _find(self, verb: str, query: Mapping[str, Any], **more: str) -> list[dict[str, Any]]:
        """The first documents that a query finds, by their keys. Raises StoreAway, StoreRefused."""
        options = {"query": json.dumps(query), "sort": "_key:1", "limit": str(self._limit()), **more}
        try:
            found = self._exchange(verb, "GET", query=options)
        except SplunkdRefused as refused:
            raise kv_failures.translate(refused, verb, self._splunkd) from None
        if not isinstance(found, list) or not all(isinstance(document, dict) for document in found):
            raise kv_failures.unusable(verb)
        return found

    def _limit(self) -> int:
        """How many documents to ask for at once, by the server's limits. Raises StoreAway, StoreRefused."""
        if not self._documents:
            try:
                (entry,) = self._splunkd.get(_LIMITS)["entry"]
                rows, size = (
                    int(entry["content"][key]) for key in ("max_rows_per_query", "max_size_per_result_mb")
                )
            except SplunkdRefused as refused:
                raise kv_failures.translate(refused, "get", self._splunkd) from None
            except (KeyError, TypeError, ValueError):
                raise kv_failures.unusable("get") from None
            if rows < 1 or size < _RESULT_MB:
                raise kv_failures.too_small(_RESULT_MB)
            self._documents = min(rows, _PAGE)
        return self._documents

    # -- what this member may not show yet ----------------------------------------------

    def _remember(self, name: str, *, there: bool, seen_after: float = -1.0) -> None:
        """Remember what the captain has said of a key.

        It is seen after every value that was known before ``seen_after``, which can be forgotten. A deletion
        is remembered, as the key may be created again.
        """
        with self._lock:
            for other, known in list(self._to_see.items()):
                if known.there and known.since <= seen_after:
                    del self._to_see[other]
            self._to_see[name] = _Known(there, self._clock.monotonic())

    def _pending(self) -> dict[str, _Known]:
        with self._lock:
            return dict(self._to_see)

    def _catch_up(self) -> None:
        """Return when this member shows what this process knows. Raises StoreAway, StoreRefused."""
        known = self._pending()
        end = self._clock.monotonic() + _READABLE_SECONDS
        late, pause = set(known), _FIRST_PAUSE
        while late:
            query = {"$or": [{"_key": name} for name in sorted(late)]}
            found = {document.get("_key") for document in self._find("get", query, fields="_key")}
            late = {name for name in late if (name in found) != known[name].there}
            if late and self._clock.monotonic() >= end:
                break
            if late:
                self._clock.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        with self._lock:  # also what is late: somebody else may have changed it since
            for name, one in known.items():
                if self._to_see.get(name) == one:
                    del self._to_see[name]
        if late:
            raise kv_failures.late(_READABLE_SECONDS)


def _name(key: str) -> str:
    """The ``_key`` of a key: fit for a URL's path, and in the same order."""
    return key.replace(".", "-~").replace("/", ".")


def _key(name: str) -> str:
    """The key of a ``_key``."""
    return name.replace(".", "/").replace("-~", ".")
