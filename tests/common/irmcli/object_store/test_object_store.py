from __future__ import annotations

import secrets

import pytest
from irmcli.object_store.address import parse
from irmcli.object_store.object_store import ObjectStore
from irmcore.clock import SystemClock
from irmcore.errors import StoreAway, StoreRefused
from irmcore.store import claim

from tests.common.irmcore.store.contract import StoreContract, unique
from tests.fakes.chaos import ChaosProxy, Weather
from tests.fakes.cloud_servers import CONTAINER, Azurite, CloudServer, MotoS3, Token


@pytest.fixture(autouse=True)
def aws_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """An access key as AWS's tools read it; obstore reads it from the process's environment itself."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")


def open_store(server: CloudServer, address: str, deadline: float = 60.0) -> ObjectStore:
    """The store at an address of that server."""
    environment = {"IRMEXPORT_CA_FILE": str(server.ca_file)}
    return ObjectStore(parse(address), environment, credential=Token, deadline=deadline)


@pytest.mark.needs("azurite")
class TestAzureBlobStorage(StoreContract):
    rounds = 10
    many = 1_100

    @pytest.fixture
    def store(self, azurite: Azurite) -> ObjectStore:
        return open_store(azurite, azurite.address(secrets.token_hex(8)))


class TestS3(StoreContract):
    rounds = 10
    many = 1_100

    @pytest.fixture
    def store(self, s3: MotoS3) -> ObjectStore:
        return open_store(s3, s3.address(secrets.token_hex(8)))


@pytest.fixture(params=[pytest.param("azurite", marks=pytest.mark.needs("azurite")), "s3"])
def server(request: pytest.FixtureRequest) -> Azurite | MotoS3:
    """Each server in turn."""
    found: Azurite | MotoS3 = request.getfixturevalue(request.param)
    return found


def test_outboxes_of_one_container_do_not_meet(server: Azurite | MotoS3) -> None:
    """Two prefixes have keys of their own, also if one begins like the other."""
    name = secrets.token_hex(8)
    one, two, whole = (open_store(server, server.address(prefix)) for prefix in (name, f"{name}2", ""))
    assert one.create("a", b"1")
    assert two.create("a", b"2")
    assert (one.get("a"), two.get("a"), list(one.keys(""))) == (b"1", b"2", ["a"])
    assert whole.get(f"{name}/a") == b"1"


def test_a_missing_container_is_named(server: Azurite | MotoS3) -> None:
    """By every verb; none takes it for a missing value."""
    store = open_store(server, server.address("x", container="not-there"))
    for call in (
        lambda: store.create("a", b"x"),
        lambda: store.get("a"),
        lambda: list(store.keys("")),
        lambda: store.delete("a"),
    ):
        with pytest.raises(StoreRefused, match=r"(container|bucket) not-there does not exist"):
            call()


def test_a_lost_answer_is_read_back(server: Azurite | MotoS3) -> None:
    """The connection is cut at bytes of the answer to a create: the claim knows that it succeeded."""
    host, port = server.url.removeprefix("https://").split(":")
    with ChaosProxy((host, int(port))) as proxy:
        prefix = secrets.token_hex(8)
        direct = open_store(server, server.address(prefix))
        through = server.address(prefix).replace(server.url, proxy.url)
        assert open_store(server, through).create("whole", unique("mine"))
        size = proxy.passed[-1].down
        lost = 0
        for number, missing in enumerate((50, 100, 150, 200, 250, size)):
            key, value = f"log/{number:03}", unique("mine")
            store = open_store(server, through)
            proxy.weather = Weather(down_cut=size - missing)
            try:
                store.create(key, value)
            except StoreAway:
                lost += direct.get(key) == value
            proxy.weather = Weather()
            assert claim(store, key, value, SystemClock())
            assert not claim(direct, key, unique("other"), SystemClock())
        assert lost, "no answer to a create that succeeded was lost"


def test_a_server_that_the_ca_file_does_not_vouch_for_gets_nothing(server: Azurite | MotoS3) -> None:
    """Without its CA the TLS handshake fails, and the message says what to check."""
    with pytest.raises(StoreAway, match="IRMEXPORT_CA_FILE"):
        ObjectStore(parse(server.address("x")), {}, credential=Token).get("a")


def test_a_store_that_does_not_answer_ends_at_the_deadline(server: Azurite | MotoS3) -> None:
    """A connection that hangs is given up, and the outcome is unknown."""
    host, port = server.url.removeprefix("https://").split(":")
    with ChaosProxy((host, int(port))) as proxy:
        proxy.weather = Weather(down_cut=0, hang=True)
        store = open_store(server, server.address("x").replace(server.url, proxy.url), deadline=0.5)
        with pytest.raises(StoreAway, match="did not answer in time"):
            store.get("a")


def test_a_repr_shows_the_place_alone() -> None:
    """Neither a token nor an endpoint."""
    store = ObjectStore(parse("az://contoso/outboxes/one"), {}, credential=Token)
    assert repr(store) == f"ObjectStore('az://contoso/{CONTAINER}/one')"
