"""The fake KV store accepts and refuses what Splunk publishes, and shows what its switches say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.splunk_kv import CAPTAIN, FOLLOWER, KvCluster, KvMember, KvRequest

COLLECTION = "irmexport_outbox"


def request(
    member: KvMember, method: str, *key: str, body: Any = None, user: str = "nobody", **query: str
) -> tuple[int, Any]:
    """A request of somebody with every right."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/json" if body is not None else ""
    return member.answer(KvRequest(method, (user, COLLECTION, *key), query, kind, sent), lambda *_: True)


def insert(member: KvMember, *keys: str) -> list[int]:
    """Insert documents; returns the statuses."""
    return [request(member, "POST", body={"_key": key, "value": key.upper()})[0] for key in keys]


def keys(member: KvMember, **query: str) -> list[str]:
    """The keys of the documents that a query finds."""
    status, found = request(member, "GET", **query)
    assert status == 200, found
    return [document["_key"] for document in found]


def text(reply: tuple[int, Any]) -> tuple[int, str]:
    """A refusal's status and text."""
    status, document = reply
    return status, document["messages"][0]["text"]


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the cluster."""
    return FakeClock()


@pytest.fixture
def cluster(clock: FakeClock) -> KvCluster:
    """Two members that show writes at once, and one that shows them 5 seconds late."""
    found = KvCluster(clock)
    for lag in (0.0, 0.0, 5.0):
        found.member(lag=lag)
    return found


def test_a_key_is_inserted_once(cluster: KvCluster) -> None:
    """On whichever member; the reply to the second insert is the one that public apps match."""
    first, _, last = cluster.members
    assert request(first, "POST", body={"_key": "a", "value": "x"}) == (201, {"_key": "a"})
    again = request(last, "POST", body={"_key": "a", "value": "y"})
    assert text(again) == (409, "A document with the same key and user already exists.")
    assert request(first, "GET", "a") == (200, {"_key": "a", "_user": "nobody", "value": "x"})


def test_a_guard_can_be_taken_out(cluster: KvCluster) -> None:
    """Then an insert of some keys overwrites, as no KV store does."""
    member = cluster.members[0]
    cluster.overwrites = lambda key: key.startswith("state")
    assert insert(member, "state.1", "state.1", "log.1", "log.1") == [201, 201, 201, 409]
    assert len(cluster.changes) == 3


def test_users_have_parts_of_their_own(cluster: KvCluster) -> None:
    """The owner in the URL is a part of the identity of a document."""
    member = cluster.members[0]
    insert(member, "a")
    assert request(member, "POST", body={"_key": "a"}, user="ana")[0] == 201
    assert request(member, "GET", "a", user="bob")[0] == 404


def test_a_document_without_a_key_gets_one(cluster: KvCluster) -> None:
    """The reply has it."""
    member = cluster.members[0]
    _, made = request(member, "POST", body={"value": "x"})
    assert keys(member) == [made["_key"]]


def test_a_write_to_a_key_replaces_the_whole_document(cluster: KvCluster) -> None:
    """No field of the old one is left, and no such key is made."""
    member = cluster.members[0]
    request(member, "POST", body={"_key": "a", "value": "x", "more": 1})
    assert request(member, "POST", "a", body={"value": "y"}) == (200, {"_key": "a"})
    assert request(member, "GET", "a")[1] == {"_key": "a", "_user": "nobody", "value": "y"}
    assert request(member, "POST", "b", body={"value": "y"})[0] == 404


def test_a_deletion_without_a_query_deletes_everything(cluster: KvCluster) -> None:
    """With one only what it finds, by key one document, which must exist."""
    member = cluster.members[0]
    insert(member, "a", "b", "c", "d")
    assert request(member, "DELETE", "a")[0] == 200
    assert request(member, "DELETE", "a")[0] == 404
    request(member, "DELETE", query='{"_key": "b"}')
    assert keys(member) == ["c", "d"]
    request(member, "DELETE")
    assert keys(member) == []


QUERIES = {
    '{"_key": "b"}': ["b"],
    '{"_key": {"$gt": "b"}}': ["c", "d"],
    '{"$and": [{"_key": {"$gte": "b"}}, {"_key": {"$lt": "d"}}]}': ["b", "c"],
    '{"$or": [{"_key": "d"}, {"value": "A"}]}': ["a", "d"],
    '{"$not": {"_key": {"$lte": "b"}}}': ["c", "d"],
    '{"value": {"$ne": "C"}}': ["a", "b", "d"],
    "{}": ["a", "b", "c", "d"],
}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_finds_documents(cluster: KvCluster, query: str) -> None:
    """With the operators of the reference, in the order of the keys."""
    insert(cluster.members[0], "c", "a", "d", "b")
    assert keys(cluster.members[0], query=query) == QUERIES[query]


def test_results_can_be_sorted_skipped_and_limited(cluster: KvCluster) -> None:
    """And reduced to fields."""
    member = cluster.members[0]
    insert(member, "c", "a", "b")
    assert keys(member, sort="_key:-1") == ["c", "b", "a"]
    assert keys(member, sort="value", skip="1", limit="1") == ["b"]
    assert request(member, "GET", fields="_key")[1][0] == {"_key": "a", "_user": "nobody"}
    assert request(member, "GET", fields="value,_key:0")[1][0] == {"_user": "nobody", "value": "A"}


def test_a_result_is_cut_without_a_word(cluster: KvCluster) -> None:
    """At a number of documents, whatever limit is asked for, and at a size."""
    member = cluster.members[0]
    insert(member, "a", "b", "c")
    member.limits["max_rows_per_query"] = "2"
    assert keys(member, limit="100") == ["a", "b"]
    member.limits.update(max_rows_per_query="50000", max_size_per_result_mb="1")
    request(member, "POST", body={"_key": "d", "value": "x" * (1 << 20)})
    assert keys(member) == ["a", "b", "c"]
    assert keys(member, query='{"_key": "d"}') == []


@pytest.mark.parametrize(
    "body", [b"{", b"[]", {"_key": "a", "value": 1}, {"_key": "a", "value": "x" * (16 << 20)}],
    ids=["no JSON", "a list", "another type", "too large"],
)  # fmt: skip
def test_a_document_that_does_not_fit_is_refused(cluster: KvCluster, body: Any) -> None:
    """And nothing is stored."""
    member = cluster.members[0]
    assert request(member, "POST", body=body)[0] == 400
    assert keys(member) == []


def test_only_collections_of_the_app_exist(cluster: KvCluster) -> None:
    """Others are not found."""
    missing = KvRequest("GET", ("nobody", "other"), {}, "", b"")
    assert cluster.members[0].answer(missing, lambda *_: True)[0] == 404


def test_a_member_shows_writes_late_and_in_order(cluster: KvCluster, clock: FakeClock) -> None:
    """Those of itself too, while an insert is refused at once."""
    late = cluster.members[2]
    insert(late, "a")
    clock.advance(3)
    insert(late, "b")
    assert (keys(late), insert(late, "a", "b")) == ([], [409, 409])
    clock.advance(2)
    assert keys(late) == ["a"]
    clock.advance(3)
    assert keys(late) == ["a", "b"]


def test_the_captain_shows_its_writes_at_once(cluster: KvCluster) -> None:
    """Whichever member it is now; without more than half of the members there is none."""
    first, second, late = cluster.members
    insert(late, "a")
    assert (cluster.captain, keys(late)) == (first, [])
    cluster.move_captain()
    cluster.move_captain()
    assert (cluster.captain, keys(late)) == (late, ["a"])
    assert late.status()["current"]["replicationStatus"] == CAPTAIN
    assert second.status()["current"]["replicationStatus"] == FOLLOWER
    first.cut_off = second.cut_off = True
    assert cluster.captain is None


def test_while_the_captain_moves_nothing_is_written(cluster: KvCluster, clock: FakeClock) -> None:
    """Reads go on."""
    member = cluster.members[0]
    insert(member, "a")
    cluster.move_captain(seconds=10)
    assert insert(member, "b") == [503]
    assert keys(member) == ["a"]
    clock.advance(10)
    assert insert(member, "b") == [201]


def test_a_member_that_is_cut_off_shows_what_it_had(cluster: KvCluster) -> None:
    """It cannot write, the others can, and it catches up afterwards."""
    first, second, _ = cluster.members
    insert(first, "a")
    second.cut_off = True
    insert(first, "b")
    assert (keys(second), insert(second, "c")) == (["a"], [503])
    assert second.status()["current"]["replicationStatus"] == "Unknown status"
    second.cut_off = False
    assert keys(second) == ["a", "b"]


def test_a_rollback_takes_back_what_was_acknowledged(cluster: KvCluster) -> None:
    """The newest writes, deletions too, on every member."""
    first, second, _ = cluster.members
    insert(first, "a", "b")
    request(first, "DELETE", "a")
    assert keys(second) == ["b"]
    cluster.roll_back(2)
    assert (keys(first), keys(second)) == (["a"], ["a"])


def test_a_kv_store_that_starts_says_so(cluster: KvCluster) -> None:
    """To every request, in the words that public apps match."""
    member = cluster.members[0]
    member.state = "starting"
    for method in ("GET", "POST", "DELETE"):
        reply = request(member, method, body={"_key": "a"})
        assert text(reply) == (503, "KV Store is initializing. Please try again later.")
    assert member.status()["current"]["status"] == "starting"


def test_a_right_that_is_missing_is_refused(cluster: KvCluster) -> None:
    """Reading and writing each need their own."""
    member = cluster.members[0]
    get, post = (KvRequest(method, ("nobody", COLLECTION), {}, "", b"") for method in ("GET", "POST"))
    assert member.answer(get, lambda right, _: right == "write")[0] == 403
    assert member.answer(post, lambda right, _: right == "read")[0] == 403
