"""A fake of the KV store of a search head cluster: one replica set, and what each member shows of it.

:class:`KvCluster` is what all members share, :class:`KvMember` the KV store of one search head. What it
accepts and refuses, with the source of each rule:

* An insert whose `_key` exists is refused with 409, "A document with the same key and user already exists."
  A key or a collection that does not exist is 404. A KV store that starts is 503, "KV Store is initializing.
  Please try again later." (Public apps on GitHub match these texts.)
* `POST data/COLLECTION/KEY` replaces the whole document; `DELETE data/COLLECTION` deletes all documents, or
  those of a query (REST API Reference, KV store endpoints). No request compares before it sets.
* A result is cut without a word at `max_rows_per_query` documents and at `max_size_per_result_mb`
  (limits.conf.spec; that no reply says so: splunk-sdk-python issue 617).
* There are the collections of collections.conf, and `enforceTypes` refuses a field of another type
  (collections.conf.spec).
* Reading and writing need the rights of default.meta (default.meta.spec), or `admin_all_objects`.
* A document has at most 16 MB, and keys are in the order of their bytes (MongoDB's manual).
* The states of `kvstore/status` (REST API Reference).

*Unverified*, because nothing is published, and so left to the test: with which write concern a write is
acknowledged (``KvCluster.roll_back`` takes acknowledged ones back), how late a member shows it
(``KvMember.lag``), what is replied while there is no captain (here 503, and reads go on), and the texts of
other refusals.
"""

from __future__ import annotations

import bisect
import itertools
import json
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Callable, NamedTuple

from irmcore.clock import Clock, SystemClock

from tests.fakes.splunk_conf import read_conf

APP = Path(__file__).parent.parent.parent / "splunk_app"
#: limits.conf [kvstore], as Splunk ships it.
LIMITS = {"max_rows_per_query": "50000", "max_size_per_result_mb": "50"}
CAPTAIN, FOLLOWER = "KV store captain", "Non-captain KV store member"
_DOCUMENT_BYTES = 16 << 20
_MEGABYTE = 1 << 20
_TYPES = {"string": str, "number": (int, float), "bool": bool}

#: A document of one user's part of a collection: collection, user, `_key`.
Id = tuple[str, str, str]
Document = Mapping[str, Any]


class KvRequest(NamedTuple):
    """A request to `storage/collections/data`; ``path``: user, collection and perhaps a key."""

    method: str
    path: tuple[str, ...]
    query: Mapping[str, str]
    content_type: str
    body: bytes


class KvRefusal(Exception):
    """An HTTP status with splunkd's message."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class _Change(NamedTuple):
    at: float
    id: Id
    document: Document | None


class _View:
    """Documents by id, with their ids in order."""

    def __init__(self) -> None:
        self.documents: dict[Id, Document] = {}
        self.ids: list[Id] = []

    def apply(self, change: _Change) -> None:
        there = change.id in self.documents
        if change.document is not None:
            self.documents[change.id] = change.document
            if not there:
                bisect.insort(self.ids, change.id)
        elif there:
            del self.documents[change.id]
            del self.ids[bisect.bisect_left(self.ids, change.id)]


class KvCluster:
    """The replica set: every acknowledged write in order, and which member is its captain."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.lock = threading.RLock()
        self.changes: list[_Change] = []
        self.newest = _View()
        self.members: list[KvMember] = []
        #: Whether an insert of this `_key` overwrites what is there, and so guards nothing.
        self.overwrites: Callable[[str], bool] = lambda _: False
        #: Counts the rollbacks: a member that has seen another number reads everything again.
        self.term = 0
        self._no_captain_until = 0.0
        self._captain: KvMember | None = None

    def member(self, name: str = "", *, lag: float = 0.0) -> KvMember:
        """A new member, which shows each write ``lag`` seconds late."""
        found = KvMember(self, name or f"sh{len(self.members) + 1}", lag)
        self.members.append(found)
        return found

    @property
    def captain(self) -> KvMember | None:
        """The member that takes the writes. Without more than half of the members there is none."""
        connected = [member for member in self.members if member.connected]
        if 2 * len(connected) <= len(self.members) or self.clock.monotonic() < self._no_captain_until:
            return None
        if self._captain not in connected:
            self._captain = connected[0]
        return self._captain

    def move_captain(self, seconds: float = 0.0) -> None:
        """Elect the next member, which takes so long; until then nobody takes writes."""
        with self.lock:
            at = self.members.index(self._captain) + 1 if self._captain else 0
            ring = [*self.members[at:], *self.members[:at]]
            self._captain = next((member for member in ring if member.connected), None)
            self._no_captain_until = self.clock.monotonic() + seconds

    def roll_back(self, writes: int) -> None:
        """Take back the newest acknowledged writes, as if only the old captain had had them."""
        with self.lock:
            self.changes = self.changes[: max(0, len(self.changes) - writes)]
            self.newest = _View()
            for change in self.changes:
                self.newest.apply(change)
            self.term += 1

    def write(self, id: Id, document: Document | None) -> None:  # noqa: A002 - what it is
        change = _Change(self.clock.monotonic(), id, document)
        self.changes.append(change)
        self.newest.apply(change)


class KvMember:
    """The KV store of one search head. ``state`` is `current.status` of `kvstore/status`."""

    def __init__(self, cluster: KvCluster, name: str, lag: float) -> None:
        self.cluster, self.name, self.lag = cluster, name, lag
        self.state = "ready"
        #: `current.replicationStatus`, while that is not simply captain or follower.
        self.replication = ""
        self.limits = dict(LIMITS)
        #: The requests so far, without their bodies.
        self.requests: list[KvRequest] = []
        self._cut_off = False
        self._view, self._term, self._seen = _View(), 0, 0

    @property
    def connected(self) -> bool:
        return self.state == "ready" and not self.replication and not self._cut_off

    @property
    def cut_off(self) -> bool:
        """Whether it has lost the other members: it shows what it had, and can write nothing."""
        return self._cut_off

    @cut_off.setter
    def cut_off(self, value: bool) -> None:
        with self.cluster.lock:
            self._shown()
            self._cut_off = value

    def status(self) -> dict[str, Any]:
        """The entry of `kvstore/status`."""
        with self.cluster.lock:
            role = CAPTAIN if self.cluster.captain is self else FOLLOWER
            lost = "Unknown status" if self._cut_off else ""
            replication = self.replication or lost or role
        return {"current": {"status": self.state, "replicationStatus": replication, "guid": self.name}}

    def answer(self, request: KvRequest, may: Callable[[str, str], bool]) -> tuple[int, Any]:
        """The status and the JSON of a reply; ``may``: may the session "read" or "write" a collection?"""
        self.requests.append(request._replace(body=b""))
        try:
            with self.cluster.lock:
                return self._answer(request, may)
        except KvRefusal as refusal:
            return refusal.status, {"messages": [{"type": "ERROR", "text": refusal.text}]}

    def _answer(self, request: KvRequest, may: Callable[[str, str], bool]) -> tuple[int, Any]:
        user, collection, *key = request.path
        settings = read_conf(APP / "default" / "collections.conf").get(collection)
        if settings is None or len(key) > 1:
            raise KvRefusal(404, "Could not find object.")
        if not may("read" if request.method == "GET" else "write", collection):
            raise KvRefusal(403, "You do not have permission to perform this operation.")
        self._check_state(request.method)
        where = (collection, user)
        if request.method == "GET":
            return 200, self._get(where, key, request.query)
        if request.method == "DELETE":
            self._delete(where, key, request.query)
            return 200, {}
        return self._post(where, key, settings, request)

    def _check_state(self, method: str) -> None:
        if self.state == "starting":
            raise KvRefusal(503, "KV Store is initializing. Please try again later.")
        if self.state != "ready" or self.replication:
            raise KvRefusal(503, f"KV Store is not available: {self.state} {self.replication}")
        if method != "GET" and (self._cut_off or self.cluster.captain is None):
            raise KvRefusal(503, "KV Store has no captain.")

    # -- reading ------------------------------------------------------------------------

    def _shown(self) -> _View:
        """What this member shows now."""
        cluster = self.cluster
        if self._term != cluster.term:
            self._view, self._term, self._seen = _View(), cluster.term, 0
        if self._cut_off:
            return self._view
        until = cluster.clock.monotonic() - (0.0 if cluster.captain is self else self.lag)
        while self._seen < len(cluster.changes) and cluster.changes[self._seen].at <= until:
            self._view.apply(cluster.changes[self._seen])
            self._seen += 1
        return self._view

    def _get(self, where: tuple[str, str], key: list[str], query: Mapping[str, str]) -> Any:
        view = self._shown()
        if key:
            found = view.documents.get((*where, key[0]))
            if found is None:
                raise KvRefusal(404, "Could not find object.")
            return found
        documents = _found(view, where, _parsed(query.get("query", "{}")))
        order = [part.partition(":") for part in query.get("sort", "_key").split(",")]
        if order[0][0] != "_key" or order[0][2] == "-1":
            documents = iter(_sorted(documents, order))
        skip, limit = int(query.get("skip", "0")), int(query.get("limit", "0"))
        most = int(self.limits["max_rows_per_query"])
        documents = itertools.islice(documents, skip, skip + min(limit or most, most))
        left = int(self.limits["max_size_per_result_mb"]) * _MEGABYTE
        kept = []
        for document in documents:
            one = _with_fields(document, query.get("fields", ""))
            left -= len(json.dumps(one))
            if left < 0:
                break
            kept.append(one)
        return kept

    # -- writing ------------------------------------------------------------------------

    def _post(
        self, where: tuple[str, str], key: list[str], settings: Mapping[str, str], request: KvRequest
    ) -> tuple[int, Any]:
        if not request.content_type.startswith("application/json"):
            raise KvRefusal(400, "Must supply content type application/json.")
        document = _parsed(request.body.decode("utf-8", "replace"))
        if len(request.body) > _DOCUMENT_BYTES:
            raise KvRefusal(400, "Document exceeds the maximum size.")
        for name, value in document.items():
            kind = _TYPES.get(settings.get(f"field.{name}", ""))
            if kind and not isinstance(value, kind) and settings.get("enforceTypes") == "true":
                raise KvRefusal(400, "JSON in the request is invalid: field has another type.")
        name = key[0] if key else str(document.get("_key") or secrets.token_hex(12))
        exists = (*where, name) in self.cluster.newest.documents
        if exists and not key and not self.cluster.overwrites(name):
            raise KvRefusal(409, "A document with the same key and user already exists.")
        if key and not exists:
            raise KvRefusal(404, "Could not find object.")
        self.cluster.write((*where, name), {**document, "_key": name, "_user": where[1]})
        return 200 if key else 201, {"_key": name}

    def _delete(self, where: tuple[str, str], key: list[str], query: Mapping[str, str]) -> None:
        newest = self.cluster.newest
        if key and (*where, key[0]) not in newest.documents:
            raise KvRefusal(404, "Could not find object.")
        wanted = {"_key": key[0]} if key else _parsed(query.get("query", "{}"))
        for document in list(_found(newest, where, wanted)):
            self.cluster.write((*where, document["_key"]), None)


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise KvRefusal(400, "JSON in the request is invalid.")
    return found


def _sorted(documents: Iterable[Document], order: list[tuple[str, str, str]]) -> list[Document]:
    found = list(documents)
    for field, _, direction in reversed(order):
        found.sort(key=lambda document: document.get(field, ""), reverse=direction == "-1")
    return found


def _with_fields(document: Document, fields: str) -> Document:
    """The fields that a request asks for: "a,b", and "_key:0" leaves one out."""
    names = {field.partition(":")[0]: field.endswith(":0") for field in fields.split(",") if field}
    wanted = {name for name, left_out in names.items() if not left_out}
    if wanted:
        wanted |= {"_key", "_user"}
    return {
        name: value
        for name, value in document.items()
        if name in (wanted or document) and not names.get(name)
    }


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda a, b: type(a) is type(b) and a > b,
    "$gte": lambda a, b: type(a) is type(b) and a >= b,
    "$lt": lambda a, b: type(a) is type(b) and a < b,
    "$lte": lambda a, b: type(a) is type(b) and a <= b,
    "$ne": lambda a, b: a != b,
}


def _matches(document: Document, query: Mapping[str, Any]) -> bool:
    return all(_meets(document, name, wanted) for name, wanted in query.items())


def _meets(document: Document, name: str, wanted: Any) -> bool:
    if name == "$and":
        return all(_matches(document, part) for part in wanted)
    if name == "$or":
        return any(_matches(document, part) for part in wanted)
    if name == "$not":
        return not _matches(document, wanted)
    if not isinstance(wanted, dict):
        return bool(document.get(name) == wanted)
    if name.startswith("$") or not set(wanted) <= set(_COMPARE):
        raise KvRefusal(400, "Query operator is not supported.")
    return all(_COMPARE[operator](document.get(name), value) for operator, value in wanted.items())


def _found(view: _View, where: tuple[str, str], query: Mapping[str, Any]) -> Iterator[Document]:
    """The documents of a query, in the order of their keys."""
    low, high = _range(query)
    for at in range(
        bisect.bisect_left(view.ids, (*where, low)), bisect.bisect_right(view.ids, (*where, high))
    ):
        document = view.documents[view.ids[at]]
        if _matches(document, query):
            yield document


def _range(query: Mapping[str, Any]) -> tuple[str, str]:
    """The first and the last key that a query can have, as far as its conditions simply say so."""
    low, high = "", "\U0010ffff"
    for part in (query, *query.get("$and", ())):
        key = part.get("_key")
        if isinstance(key, str):
            return key, key
        if isinstance(key, dict):
            low, high = max(low, key.get("$gt", "")), min(high, key.get("$lt", high))
    return low, high
