"""The contract of all stores for the KV store at SPLUNKD_URI; test_kv_store.py runs it on old Pythons."""

from __future__ import annotations

import os
import time

import pytest
from irmsplunk.splunk.kv_store import COLLECTION, KvStore
from irmsplunk.splunk.splunkd import NOBODY, Splunkd

from tests.common.irmcore.store.contract import StoreContract


class TestKvStore(StoreContract):
    rounds = 3
    many = 1_100

    @pytest.fixture
    def store(self) -> KvStore:
        splunkd = Splunkd(os.environ["SPLUNKD_URI"], "system-session")
        store = KvStore(splunkd)
        store.create(
            "z", b"deleted last"
        )  # once that can be seen, the member shows nothing of an earlier test
        assert store.get("z")
        splunkd.delete(f"{NOBODY}/storage/collections/data/{COLLECTION}")
        while store.get("z"):
            time.sleep(0.01)
        return store
