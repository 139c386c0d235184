"""The state machine of the outbox on a store, in front of Azurite and of moto's S3: few of its worlds."""

from __future__ import annotations

import secrets

import pytest
from irmcli.object_store.address import parse
from irmcli.object_store.object_store import ObjectStore

from tests.common.irmcore.outbox.on_store.test_model import run_model
from tests.fakes.cloud_servers import AWS, CloudServer, Token
from tests.fakes.store import RealService


@pytest.mark.parametrize(
    ("kind", "worlds"), [pytest.param("azurite", 4, marks=pytest.mark.needs("azurite")), ("s3", 2)]
)
def test_nothing_is_lost_and_nothing_sent_twice_on_a_real_store(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str, worlds: int
) -> None:
    """Whatever fails, and in whichever order the calls of all processes come."""
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    server: CloudServer = request.getfixturevalue(kind)

    def empty() -> RealService:
        environment = {"IRMEXPORT_CA_FILE": str(server.ca_file)}
        address = parse(server.address(secrets.token_hex(8)))
        return RealService(ObjectStore(address, environment, credential=Token))

    run_model(worlds, empty)
