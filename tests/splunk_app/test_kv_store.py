"""The KV store of a cluster as a store: the contract of all stores, lag, limits, rights and failures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from irmsplunk.splunk.kv_store import KvStore
from irmsplunk.splunk.splunkd import Splunkd

from tests.common.irmcore.store.contract import StoreContract
from tests.fakes.splunk_kv import KvCluster, KvMember
from tests.fakes.splunkd_rest import Cut, SplunkdRest

LAG = 0.05


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


def open_store(rest: SplunkdRest, session: str = "system-session") -> KvStore:
    """The KV store, for the user of a session."""
    return KvStore(Splunkd(rest.uri, session))


class TestKvStoreOfAMemberThatLags(StoreContract):
    rounds = 4
    many = 1_100

    @pytest.fixture
    def store(self, rest: SplunkdRest, kv: KvMember) -> KvStore:
        return open_store(rest)
