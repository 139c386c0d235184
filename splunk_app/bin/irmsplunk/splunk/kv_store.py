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
from irmsplunk.splunk.splunkd import NOBODY, Splunkd, SplunkdRefused

#: The collection of collections.conf.
COLLECTION = "irmexport_outbox"
_DATA = f"{NOBODY}/storage/collections/data/{COLLECTION}"
_LIMITS = "/servicesNS/nobody/system/configs/conf-limits/kvstore"
#: Keys that one request asks for, at most.
_PAGE = 1_000
#: The MB that one result must be allowed to have: the largest value as base64, and its key.
_RESULT_MB = 2
#: Seconds until this member shows a change of this process, and between two looks.
READABLE_SECONDS, PAUSE = 60.0, 0.05
_NOT_FOUND, _CONFLICT = 404, 409


class _Change(NamedTuple):
    """A change of this process: whether the key is there since, and when it was done."""

    there: bool
    done: float


class KvStore:
    """An :class:`irmcore.store.Store` in the app's collection. Usable by several threads at once.

    ``splunkd`` is splunkd of this search head, as the system user.
    """

    def __init__(self, splunkd: Splunkd, clock: Clock | None = None) -> None:
        """Nothing is sent yet."""
        self._splunkd, self._clock = splunkd, clock or SystemClock()
        self._lock = threading.Lock()
        self._changes: dict[str, _Change] = {}
        self._documents = 0

    def __repr__(self) -> str:
        return f"KvStore({self._splunkd!r}, {COLLECTION!r})"

    def create(self, key: str, value: bytes) -> bool:
        name = _name(check_key(key))
        text = base64.b64encode(check_value(value)).decode("ascii")
        self._limit()  # no value that could not be read again
        begun = self._clock.monotonic()
        try:
            reply = self._exchange("create", "POST", body={"_key": name, "value": text})
            if not isinstance(reply, dict) or reply.get("_key") != name:
                raise kv_failures.unusable("create")
            created = True
        except SplunkdRefused as refused:
            if refused.status != _CONFLICT:
                raise kv_failures.translate(refused, "create", self._splunkd) from None
            created = False
        self._changed(name, begun, there=True)
        return created

    def get(self, key: str) -> bytes | None:
        name = _name(check_key(key))
        self._wait_for_own_changes()
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
        self._wait_for_own_changes()
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
        begun = self._clock.monotonic()
        try:
            self._exchange("delete", "DELETE", f"/{name}")
        except SplunkdRefused as refused:
            if refused.status != _NOT_FOUND:
                raise kv_failures.translate(refused, "delete", self._splunkd) from None
            self._find("delete", {"_key": name})  # was it the document that was not found, or the collection?
        self._changed(name, begun, there=False)

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
        text = self._splunkd.exchange(method, f"{_DATA}{path}", query, body=data)
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

    # -- what this member does not show yet ---------------------------------------------

    def _changed(self, name: str, begun: float, *, there: bool) -> None:
        """Remember a change, and forget those that were done before it began: it is seen after them."""
        with self._lock:
            earlier = [other for other, change in self._changes.items() if change.done <= begun]
            for other in earlier:
                del self._changes[other]
            self._changes[name] = _Change(there, self._clock.monotonic())

    def _wait_for_own_changes(self) -> None:
        """Return when this member shows what this process has changed. Raises StoreAway, StoreRefused."""
        with self._lock:
            changes = dict(self._changes)
        end = self._clock.monotonic() + READABLE_SECONDS
        while changes:
            query = {"$or": [{"_key": name} for name in changes]}
            found = {document.get("_key") for document in self._find("get", query, fields="_key")}
            late = {name for name, change in changes.items() if (name in found) != change.there}
            if late and self._clock.monotonic() < end:
                self._clock.sleep(PAUSE)
                continue
            with self._lock:  # also those that are late: somebody else may have changed them since
                for name, change in changes.items():
                    if self._changes.get(name) == change:
                        del self._changes[name]
            if late:
                raise kv_failures.late(READABLE_SECONDS)
            return


def _name(key: str) -> str:
    """The ``_key`` of a key: fit for a URL's path, and in the same order."""
    return key.replace(".", "-~").replace("/", ".")


def _key(name: str) -> str:
    """The key of a ``_key``."""
    return name.replace(".", "/").replace("-~", ".")
