"""The KV store of a cluster as a store: the contract of all stores, lag, limits, rights and failures."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from irmcore.clock import SystemClock
from irmcore.errors import StoreAway, StoreRefused
from irmcore.store import MAX_VALUE_BYTES, Store, claim
from irmsplunk.splunk.kv_store import COLLECTION, KvStore
from irmsplunk.splunk.splunkd import NOBODY, Splunkd, SplunkdRefused

from tests.common.irmcore.store.contract import unique
from tests.fakes.clock import FakeClock
from tests.fakes.splunk_kv import KvCluster, KvMember
from tests.fakes.splunkd_rest import Cut, SplunkdRest
from tests.test_old_pythons import OLD_PYTHONS, python_with_the_locked_packages
from tests.test_old_pythons import run as run_in_tree

LAG = 0.05
DATA = f"{NOBODY}/storage/collections/data/{COLLECTION}"


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SplunkdRest]:
    """A splunkd, whose KV store each test replaces."""
    with SplunkdRest(tmp_path_factory.mktemp("splunkd")) as found:
        yield found


@pytest.fixture
def kv(rest: SplunkdRest) -> Iterator[KvMember]:
    """The KV store of a member that is not the captain, and shows writes late."""
    cluster = KvCluster()
    cluster.member()
    rest.state.kv = cluster.member(lag=LAG)
    cluster.member()
    yield rest.state.kv
    rest.state.cut = lambda *_: Cut.NEVER


@pytest.fixture
def store(rest: SplunkdRest, kv: KvMember) -> KvStore:
    """The store on that member."""
    return KvStore(system(rest))


def system(rest: SplunkdRest) -> Splunkd:
    """Splunkd, as the system user."""
    return Splunkd(rest.uri, "system-session")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", OLD_PYTHONS)
@pytest.mark.usefixtures("kv")
def test_it_keeps_the_contract_of_all_stores(version: str, rest: SplunkdRest, tmp_path: Path) -> None:
    """On a member that lags, on each of Splunk's Pythons."""
    python = python_with_the_locked_packages(version)
    ran = run_in_tree(
        *(python, "-m", "pytest", "-q", "--noconftest", "-o", f"cache_dir={tmp_path}"),
        "tests/splunk_app/kv_contract.py",
        PYTHONPATH="common:splunk_app/bin",
        SPLUNKD_URI=rest.uri,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout


def test_a_process_sees_what_it_has_written(store: KvStore, kv: KvMember) -> None:
    """At once, in any order of creates, deletes and reads, though its member lags."""
    decide, there = random.Random(1), set()  # noqa: S311 - the same on each run
    for _ in range(60):
        key = f"k/{decide.randrange(6)}"
        if decide.random() < 0.6:
            assert store.create(key, b"x") == (key not in there)
            there.add(key)
        else:
            store.delete(key)
            there.discard(key)
        if decide.random() < 0.4:
            assert set(store.keys("k/")) == there
            assert (store.get(key) is not None) == (key in there)


def test_a_key_that_was_deleted_and_created_again_hides_nothing(rest: SplunkdRest) -> None:
    """A member that still shows the former value shows nothing that was created since."""
    clock = FakeClock()
    cluster = KvCluster(clock)
    cluster.member()
    rest.state.kv = cluster.member(lag=2.0)
    store = KvStore(system(rest), clock)
    store.create("k/1", b"x")
    assert list(store.keys("k/")) == ["k/1"]
    clock.advance(60)
    store.delete("k/1")
    store.create("k/2", b"y")
    assert store.create("k/1", b"z")
    assert list(store.keys("k/")) == ["k/1", "k/2"]
    assert store.get("k/1") == b"z"


def test_whoever_sees_a_value_sees_everything_before_it(rest: SplunkdRest) -> None:
    """Also what another member has created, whose reader lags by more than the writer takes."""
    cluster = KvCluster()
    cluster.member()
    rest.state.kv = cluster.member(lag=0.3)
    reader = KvStore(system(rest))
    for number in range(5):
        cluster.write((COLLECTION, "nobody", f"k.{number}"), {"_key": f"k.{number}", "value": "eA=="})
    seen: list[str] = []
    while len(seen) < 5:
        seen = list(reader.keys("k/"))
        assert seen == [f"k/{number}" for number in range(len(seen))]


def test_a_write_that_a_member_never_shows_is_reported(rest: SplunkdRest) -> None:
    """After a minute, as slow replication; the next read does not wait again."""
    cluster = KvCluster()
    cluster.member()
    rest.state.kv = cluster.member(lag=10_000)
    clock = FakeClock()
    store = KvStore(system(rest), clock)
    store.create("a", b"x")
    with pytest.raises(StoreAway, match=r"replication is slow.*`splunk show kvstore-status`"):
        store.get("a")
    assert clock.monotonic() >= 60
    assert store.get("a") is None


def test_a_write_that_is_rolled_back_is_reported(rest: SplunkdRest, kv: KvMember) -> None:
    """To the process that wrote it, at its next read. What it has read before cannot be known to be gone."""
    store = KvStore(system(rest), FakeClock())
    store.create("a", b"x")
    kv.cluster.roll_back(1)
    with pytest.raises(StoreAway, match="replication is slow"):
        list(store.keys(""))


def test_several_threads_may_write_and_read(store: KvStore) -> None:
    """Each sees its own writes."""

    def work(number: int) -> bool:
        key = f"k/{number}"
        return store.create(key, key.encode()) and store.get(key) == key.encode()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(40)))


def test_a_lost_answer_is_read_back(rest: SplunkdRest, store: KvStore) -> None:
    """Whether the create happened or not: a claim knows, and no create is sent twice by itself."""
    faults = [Cut.AFTER, Cut.BEFORE]

    def cut(method: str, path: str) -> Cut:
        return faults.pop() if faults and method == "POST" else Cut.NEVER

    rest.state.cut = cut
    mine, before = unique("mine"), len(rest.state.requests)
    with pytest.raises(StoreAway):
        claim(store, "a", mine, SystemClock())
    assert store.get("a") is None
    with suppress(StoreAway):  # on a member that lags it is not known yet
        assert claim(store, "a", mine, SystemClock())
    posts = [method for _, method, _ in rest.state.requests[before:] if method == "POST"]
    assert posts == ["POST"]  # the other one did not arrive
    assert claim(store, "a", mine, SystemClock())
    assert not claim(store, "a", unique("other"), SystemClock())


def test_results_that_are_cut_are_read_to_their_end(kv: KvMember, store: KvStore) -> None:
    """At any number, also one that the server gets after this process has read its limits."""
    made = [f"log/{number:03}" for number in range(25)]
    for key in made:
        store.create(key, b"x")
    for most in ("7", "1", "24", "25"):
        kv.limits["max_rows_per_query"] = most
        assert list(store.keys("log/")) == made


def test_no_request_asks_for_more_than_the_servers_limit(kv: KvMember, store: KvStore) -> None:
    """Splunkd would cut the result."""
    kv.limits["max_rows_per_query"] = "200"
    assert list(store.keys("log/")) == []
    assert [request.query["limit"] for request in kv.requests] == ["200"]


@pytest.mark.parametrize("limits", [{"max_size_per_result_mb": "1"}, {"max_rows_per_query": "0"}])
def test_limits_that_are_too_small_are_refused(kv: KvMember, store: KvStore, limits: dict[str, str]) -> None:
    """Before anything is written: a large value would look as if it were not there."""
    kv.limits.update(limits)
    for verb in ("create", "get", "keys"):
        with pytest.raises(StoreRefused, match=r"limits.conf \[kvstore\].*max_size_per_result_mb to 2"):
            CALLS[verb](store)
    assert not kv.requests


def test_the_largest_value_fits_the_smallest_limit(kv: KvMember, store: KvStore) -> None:
    """A document with 1 MiB as base64, under the longest key."""
    kv.limits["max_size_per_result_mb"] = "2"
    key = "k" * 512
    assert store.create(key, b"\xff" * MAX_VALUE_BYTES)
    assert store.get(key) == b"\xff" * MAX_VALUE_BYTES


#: Each verb once.
CALLS: dict[str, Callable[[Store], object]] = {
    "create": lambda store: store.create("a", b"x"),
    "get": lambda store: store.get("a"),
    "keys": lambda store: list(store.keys("")),
    "delete": lambda store: store.delete("a"),
}


@pytest.mark.parametrize("session", ["analyst", "power", "connectors", "sc_admin"])
def test_only_the_system_user_may_read_or_write(rest: SplunkdRest, kv: KvMember, session: str) -> None:
    """No role that anybody has, whatever it may do with connectors."""
    roles = {"analyst": "irmexport_user", "connectors": "irmexport_configure"}
    rest.sign_in(session, session, "irmexport_run", roles=("user", roles.get(session, session)))
    for call in CALLS.values():
        with pytest.raises(StoreRefused, match="does not let"):
            call(KvStore(Splunkd(rest.uri, session)))
    assert not KvStore(system(rest)).get("a")


def test_a_session_that_has_ended_is_no_refusal(rest: SplunkdRest, kv: KvMember) -> None:
    """Nobody has to do anything: the next sender has a new one."""
    with pytest.raises(StoreAway, match="session of this process has ended"):
        KvStore(Splunkd(rest.uri, "no-such-session")).get("a")


STATES = {
    ("starting", ""): (StoreAway, "KV store is starting"),
    ("shuttingdown", ""): (StoreAway, "KV store is stopping"),
    ("failed", ""): (StoreAway, "KV store has failed.*`splunk show kvstore-status`"),
    ("unknown", ""): (StoreAway, "state of the KV store on this search head is unknown"),
    ("disabled", ""): (StoreRefused, "KV store is disabled.*Remove `disabled = true`"),
    ("ready", "Startup"): (StoreAway, "KV store is starting"),
    ("ready", "Initial Sync"): (StoreAway, "copying the data of another member"),
    ("ready", "Recovering"): (StoreAway, "catching up with the other members"),
    ("ready", "Rollback"): (StoreAway, "rolling back writes.*Look for held batches"),
    ("ready", "Down"): (StoreAway, "KV store is down"),
    ("ready", "Removed"): (StoreAway, "not part of the cluster's KV store.*`splunk resync kvstore`"),
    ("ready", "Unknown status"): (StoreAway, "has lost the other members"),
    ("ready", "something newer"): (StoreAway, r"could not \w+ .HTTP 503.: its captain may be changing"),
}  # fmt: skip


@pytest.mark.parametrize("state", STATES, ids=" ".join)
def test_each_state_of_the_kv_store_has_its_message(
    store: KvStore, kv: KvMember, state: tuple[str, str]
) -> None:
    """Of every verb; it says what to do, or that nothing has to be done."""
    kind, message = STATES[state]
    kv.state, kv.replication = state
    for call in CALLS.values():
        with pytest.raises(kind, match=message) as raised:
            call(store)
        assert raised.value.where == "KV store, collection irmexport_outbox"


def test_without_a_captain_reads_go_on(store: KvStore, kv: KvMember) -> None:
    """While it changes, or if the others are gone, only writes fail."""
    store.create("a", b"x")
    assert store.get("a") == b"x"
    for lose in (lambda: kv.cluster.move_captain(seconds=600), lambda: setattr(kv, "cut_off", True)):
        lose()
        for verb in ("create", "delete"):
            with pytest.raises(StoreAway, match=r"captain may be changing|lost the other members"):
                CALLS[verb](store)
        assert (store.get("a"), list(store.keys(""))) == (b"x", ["a"])


def test_splunkd_that_does_not_answer_is_away(rest: SplunkdRest, store: KvStore) -> None:
    """Each verb says so, and that replication may be slow."""
    rest.state.cut = lambda *_: Cut.BEFORE
    for call in CALLS.values():
        with pytest.raises(StoreAway, match=r"or did not answer in time\. Check that the other members"):
            call(store)


def test_a_missing_collection_is_named(rest: SplunkdRest, kv: KvMember) -> None:
    """By every verb; none takes it for a missing value."""
    store = KvStore(system(rest), collection="not_there")
    for call in CALLS.values():
        with pytest.raises(StoreRefused, match=r"the collection does not exist.*Install the app"):
            call(store)


FOREIGN = {
    "no value": {"_key": "a"},
    "not base64": {"_key": "a", "value": "%%%"},
}


@pytest.mark.parametrize("document", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_document_of_somebody_else_is_not_taken_for_a_value(
    rest: SplunkdRest, kv: KvMember, store: KvStore, document: dict[str, str]
) -> None:
    """Neither for a missing one."""
    kv.lag = 0.0
    system(rest).exchange("POST", DATA, body=json.dumps(document).encode())
    with pytest.raises(StoreAway, match="cannot be used"):
        store.get("a")


def test_keys_are_documents_whose_names_need_no_quoting(
    rest: SplunkdRest, kv: KvMember, store: KvStore
) -> None:
    """A slash in a path would be another path; the names sort as the keys do."""
    kv.lag = 0.0
    store.create("days/2026-11-30/7.0-9.1", b"x")
    (document,) = json.loads(system(rest).exchange("GET", DATA))
    assert document["_key"] == "days.2026-11-30.7-~0-9-~1"


def test_a_repr_shows_no_session(rest: SplunkdRest) -> None:
    """Only the host and the collection."""
    assert "system-session" not in repr(KvStore(system(rest)))


def test_a_refusal_of_splunkd_keeps_its_status(rest: SplunkdRest) -> None:
    """For what else uses splunkd's REST API."""
    with pytest.raises(SplunkdRefused) as raised:
        system(rest).get("/services/elsewhere")
    assert raised.value.status == 404
