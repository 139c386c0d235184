"""Managed identities with the real azure-identity: for queries, for the collector and for ingestion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from irmcore.disk import PosixDisk
from irmcore.errors import WaitError
from irmcore.http.auth import TokenTrouble
from irmcore.profile.model import CredentialRef
from irmemulator.entra import Entra, TokenEndpoint
from irmsentinel.azure import identity, ingestion
from irmsentinel.azure.bounded_transport import Network
from irmsentinel.azure.identity import Identity
from irmsentinel.azure.managed_identity import ManagedIdentityTokens
from irmsentinel.azure.workspace import Workspace
from irmsentinel.collector import settings as collector_settings
from irmsentinel.collector.service import CollectorService
from irmsentinel.collector.settings import TABLES, CollectorSettings
from irmsentinel.emulators import graph_security, management_api
from irmsentinel.emulators.collector_options import Options
from irmsentinel.emulators.collector_services import CollectorServicesEmulator
from irmsentinel.emulators.collector_session import APP, RULES, TENANT, read_secret, transforms_by_rule
from irmsentinel.emulators.synthetic_records import activities_of_three_days, alert_record, graph_alert

from tests.fakes.clock import FakeClock
from tests.fakes.managed_identity import ManagedIdentity
from tests.fakes.tunnel import Tunnel
from tests.sentinel.irmsentinel.collector.collecting import NOW, ORIGIN

USER_ASSIGNED = "88888888-8888-4888-8888-888888888888"
IDENTITIES: dict[str | None, str] = {None: "object-of-the-system", USER_ASSIGNED: "object-of-the-user"}
#: The names under which the emulators answer here.
API, INGESTION = "manage.office.com", "irm.westeurope-1.ingest.monitor.azure.com"
GRAPH = "graph.microsoft.com"


@pytest.fixture(params=[None, USER_ASSIGNED], ids=["system", "user-assigned"])
def client_id(request: pytest.FixtureRequest) -> str | None:
    """The system-assigned identity, or a user-assigned one."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[ManagedIdentity]:
    """A process in a Function with both identities."""
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with ManagedIdentity(IDENTITIES) as fake:
        for name, value in fake.environment().items():
            monkeypatch.setenv(name, value)
        yield fake


def accepted_by(entra: Entra, secret: str, azure: ManagedIdentity) -> None:
    """Let the identities' tokens be ones that the emulator's services accept."""

    def issue(_client: str | None, resource: str) -> str:
        form = {"grant_type": "client_credentials", "client_id": APP, "client_secret": secret}
        body = urlencode({**form, "scope": f"{resource}/.default"}).encode()
        reply = entra.token(TokenEndpoint(TENANT, v2=True), body)
        return str(json.loads(reply.body)["access_token"])

    azure.issue = issue


def in_azure(name: str, proxy: str, ca_file: Path, source: str = "audit") -> CollectorSettings:
    """The settings of a collector that signs in as a managed identity, behind a proxy."""
    text = f"""
tenant_id: {TENANT}
credential: {{managed_identity: {name}}}
endpoint: https://{INGESTION}
rule_id: {RULES["Compliance_IRM_AuditGeneral_CL"]}
graph_rule_id: {RULES["IRMAlertsGraph_CL"]}
events_rule_id: {RULES["IRMDataSecurityEvents_CL"]}
behaviors_rule_id: {RULES["IRMDataSecurityBehaviors_CL"]}
health_rule_id: {RULES["IRMExportHealth_CL"]}
proxy: {proxy}
ca_file: {ca_file}
"""
    return next(
        one for one in collector_settings.parse(text, "collector.yaml", "all") if one.source == source
    )


def test_the_collector_needs_no_secret(tmp_path: Path, azure: ManagedIdentity, client_id: str | None) -> None:
    """Alerts go from the API to the table, with tokens of the identity alone, which no proxy sees."""
    clock = FakeClock(NOW)
    known = Options(TENANT, APP, transforms_by_rule(), now=clock.now)
    hosts = (API, GRAPH, INGESTION)
    services = CollectorServicesEmulator(known, tmp_path / "emulator", names=hosts)
    accepted_by(services.entra, services.secret, azure)
    services.feed.add(NOW - 3_600, [alert_record(1, 0, NOW - 4_200, TENANT)])
    services.graph.put(graph_alert(1, 0, NOW - 4_200, NOW - 3_600))
    for table, row in activities_of_three_days(NOW, 1):
        services.graph.hunting.put(table, row)
    (tmp_path / "outbox").mkdir(mode=0o700)
    with (
        services as server,
        Tunnel(hosts, int(server.url.rpartition(":")[2])) as proxy,
    ):
        for source in TABLES:
            settings = in_azure(client_id or "system", proxy.url, server.ca_file, source)
            service = CollectorService(
                settings, str(tmp_path / "outbox"), read_secret, ORIGIN, disk=PosixDisk(), clock=clock
            )
            assert service.round().succeeded
    assert [len(services.ingestion.rows[table]) for table in TABLES.values()] == [1, 1, 1, 1]
    assert [request.path for request in services.requests if "oauth2" in request.path] == []
    asked = {resource for _, resource in azure.issued}
    assert asked == {management_api.RESOURCE, graph_security.RESOURCE, "https://monitor.azure.com"}
    assert {client for client, _ in azure.issued} == {client_id}


def test_an_emulator_gets_no_token_of_an_identity(tmp_path: Path, azure: ManagedIdentity) -> None:
    """Settings that lead to this machine cannot have the identity's token sent there."""
    settings = in_azure("system", "http://127.0.0.1:1", tmp_path / "ca.pem")
    target = replace(
        settings.target, emulator=True, endpoint="https://127.0.0.1:1", ca_file=None, proxy=None,
        credential=CredentialRef("file", str(tmp_path / "none")),
    )  # fmt: skip
    tokens = ingestion.tokens_for(target, "https://monitor.azure.com/.default", read_secret)
    with pytest.raises(Exception, match="credential file cannot be read"):
        tokens.token()
    assert azure.issued == []


@pytest.mark.parametrize("kind", ["managed-identity", "default"])
def test_a_query_of_an_export_needs_no_secret(
    tmp_path: Path, azure: ManagedIdentity, client_id: str | None, kind: str
) -> None:
    """The token is for Log Analytics, and a proxy of the environment is not asked for it."""
    identity_ = Identity(kind, client_id=client_id)
    make = identity.maker(identity_, "public", {"IRMEXPORT_PROXY": "http://127.0.0.1:1"})
    with pytest.raises(WaitError, match="not be reached"):
        Workspace("w", make(), "https://127.0.0.1:1", Network()).query("Heartbeat | count")
    assert [client for client, _ in azure.issued] == [client_id]


def test_an_identity_that_is_not_assigned_is_named(azure: ManagedIdentity) -> None:
    """The message says what to check; nothing of the platform's answer is shown."""
    tokens = ManagedIdentityTokens(
        "77777777-7777-4777-8777-777777777777", "https://monitor.azure.com/.default"
    )
    with pytest.raises(TokenTrouble, match="is assigned to the Azure resource") as refused:
        tokens.token()
    assert "no such version" not in str(refused.value)


def test_a_machine_outside_azure_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an endpoint there is no token, and the message says where there is one."""
    monkeypatch.delenv("IDENTITY_ENDPOINT", raising=False)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1")
    with pytest.raises(TokenTrouble, match="the Azure resource that runs this"):
        ManagedIdentityTokens("system", "https://monitor.azure.com/.default").token()


def test_a_token_is_asked_for_once_until_it_is_refused(azure: ManagedIdentity) -> None:
    """It is cached; `refresh`, which follows a 401, asks the platform again."""
    tokens = ManagedIdentityTokens("system", "https://monitor.azure.com/.default")
    assert tokens.token() == tokens.token()
    assert len(azure.issued) == 1
    tokens.refresh()
    tokens.token()
    assert len(azure.issued) == 2
