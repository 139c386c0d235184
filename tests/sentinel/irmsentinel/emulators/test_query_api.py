"""The emulated query API, as Microsoft's own client sees it over HTTPS."""

import http.client
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.monitor.query import LogsQueryClient, LogsQueryPartialResult, LogsQueryResult
from irmcore.errors import AddressRefused, ConfigurationError, DataError
from irmsentinel.azure.bounded_transport import Network
from irmsentinel.azure.workspace import Workspace
from irmsentinel.content import artefacts as content
from irmsentinel.content import tables
from irmsentinel.emulators.iso_timespan import parse_timespan
from irmsentinel.emulators.query_api import Options, QueryApiEmulator, result_document
from irmsentinel.kql.engine import Engine
from irmsentinel.kql.result import Result, cell

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WORKSPACE = "00000000-0000-0000-0000-00000000c0de"
ROWS = [
    {"TimeGenerated": "2026-11-20T08:00:00Z", "OperationName": "new", "InitiatedBy": {"user": {"id": "1"}}},
    {"TimeGenerated": "2026-11-01T08:00:00Z", "OperationName": "old"},
]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[QueryApiEmulator]:
    """An emulator with two audit events and a limit of two rows in an answer."""
    loaded = content.load()
    known = tables.shapes(tables.load(loaded.root / "tables"))
    with Engine(loaded.local_functions()) as engine:
        engine.insert(known["AuditLogs"][""], ROWS)
        with QueryApiEmulator(engine, Options(WORKSPACE, NOW, max_rows=2), tmp_path) as emulator:
            yield emulator


def credential(running: QueryApiEmulator, secret: str | None = None) -> ClientSecretCredential:
    """A credential that signs in at the emulator."""
    return ClientSecretCredential(
        running.options.tenant_id,
        running.options.app_id,
        secret or running.secret,
        authority=running.url,
        disable_instance_discovery=True,
        connection_verify=str(running.ca_file),
    )


def client(running: QueryApiEmulator, secret: str | None = None) -> LogsQueryClient:
    """Microsoft's client, with the emulator as endpoint."""
    return LogsQueryClient(
        credential(running, secret),
        endpoint=f"{running.url}/v1",
        connection_verify=str(running.ca_file),
        retry_total=0,
    )


def workspace(running: QueryApiEmulator, name: str = WORKSPACE) -> Workspace:
    """The workspace as irmexport uses it."""
    return Workspace(name, credential(running), f"{running.url}/v1", Network(ca_file=str(running.ca_file)))


def test_the_real_client_reads_a_table_with_its_types(running: QueryApiEmulator) -> None:
    """The client gets times as datetimes, dynamic values as text and numbers as numbers."""
    columns = "TimeGenerated, InitiatedBy, Size = strlen(OperationName)"
    kql = f"AuditLogs | top 1 by TimeGenerated | project {columns}"
    given = client(running).query_workspace(WORKSPACE, kql, timespan=None)
    assert isinstance(given, LogsQueryResult)
    (table,) = given.tables
    assert list(table.columns) == ["TimeGenerated", "InitiatedBy", "Size"]
    assert list(table.columns_types) == ["datetime", "dynamic", "long"]
    assert list(table.rows[0]) == [datetime(2026, 11, 20, 8, tzinfo=UTC), '{"user":{"id":"1"}}', 3]


@pytest.mark.parametrize(
    ("span", "names"),
    [
        (None, ["new", "old"]),
        (timedelta(days=1), ["new"]),
        (timedelta(days=30), ["new", "old"]),
        ((NOW - timedelta(days=20), timedelta(days=5)), ["old"]),
        ((NOW - timedelta(days=20), NOW), ["new", "old"]),
    ],
)
def test_a_timespan_bounds_every_table(running: QueryApiEmulator, span: object, names: list[str]) -> None:
    """The client's timespan hides the rows outside it, for that query only."""
    asked = client(running)
    kql = "AuditLogs | project OperationName | sort by OperationName asc"
    given = asked.query_workspace(WORKSPACE, kql, timespan=span)  # type: ignore[arg-type]
    assert isinstance(given, LogsQueryResult)
    assert [row[0] for row in given.tables[0].rows] == names
    again = asked.query_workspace(WORKSPACE, kql, timespan=None)
    assert isinstance(again, LogsQueryResult)
    assert len(again.tables[0].rows) == 2


def test_a_wrong_query_gets_azures_error(running: QueryApiEmulator) -> None:
    """A wrong query gets HTTP 400 with the nested code of the real service."""
    with pytest.raises(HttpResponseError) as refused:
        client(running).query_workspace(WORKSPACE, "NoSuchTable", timespan=None)
    assert refused.value.status_code == 400
    assert refused.value.error is not None
    assert refused.value.error.code == "BadArgumentError"


def test_too_many_rows_are_a_partial_result(running: QueryApiEmulator) -> None:
    """The client does not raise; it returns a partial result."""
    given = client(running).query_workspace(WORKSPACE, "union AuditLogs, AuditLogs", timespan=None)
    assert isinstance(given, LogsQueryPartialResult)
    assert len(given.partial_data[0].rows) == 2


def test_a_partial_result_is_an_error(running: QueryApiEmulator) -> None:
    """Irmexport never takes a partial table for the whole."""
    with pytest.raises(DataError, match="only partial"):
        workspace(running).query("union AuditLogs, AuditLogs", timespan=None)


def test_a_wrong_secret_is_refused(running: QueryApiEmulator) -> None:
    """A wrong secret gets Entra's code, which the client includes in its own error."""
    with pytest.raises(HttpResponseError, match="AADSTS7000215"):
        client(running, "not the secret").query_workspace(WORKSPACE, "AuditLogs", timespan=None)


def test_errors_give_the_next_step(running: QueryApiEmulator) -> None:
    """The error for an unknown function or workspace has a code and the next step, not only a status."""
    with pytest.raises(DataError, match=r"HTTP 400, SemanticError.*irmexport sentinel template"):
        workspace(running).query("NoSuchFunction()", timespan=None)
    with pytest.raises(DataError, match="HTTP 404, WorkspaceNotFoundError"):
        workspace(running, "another").query("AuditLogs", timespan=None)


def test_the_error_for_a_wrong_sign_in_names_the_settings(running: QueryApiEmulator) -> None:
    """The message names the variables, never the secret."""
    network = Network(ca_file=str(running.ca_file))
    there = Workspace(WORKSPACE, credential(running, "a-wrong-secret"), f"{running.url}/v1", network)
    with pytest.raises(ConfigurationError, match="AZURE_CLIENT_ID") as refused:
        there.query("AuditLogs", timespan=None)
    assert "a-wrong-secret" not in str(refused.value)


def test_a_function_gives_the_same_as_locally(running: QueryApiEmulator) -> None:
    """IRMAuditEvents through the real client gives the same rows as the local engine."""
    query = "IRMAuditEvents(ago(60d), now(), dynamic([])) | project AadUserId, UserPrincipalName, Role"
    given = workspace(running).query(query, timespan=None)
    assert [tuple(row) for row in given.rows] == [("1", "", "initiator")]


def test_a_token_goes_to_no_other_host(running: QueryApiEmulator) -> None:
    """Only Microsoft's query hosts and loopback are accepted."""
    with pytest.raises(AddressRefused):
        Workspace(WORKSPACE, credential(running), "https://logs.example.com/v1")


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (datetime(2026, 11, 20, 8, 0, 0, 5, tzinfo=UTC), "datetime", "2026-11-20T08:00:00.000005Z"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4), "timespan", "1.02:03:04"),
        (-timedelta(microseconds=1), "timespan", "-00:00:00.0000010"),
        (float("nan"), "real", "NaN"),
        (float("-inf"), "real", "-Infinity"),
        (["a", 1], "dynamic", '["a", 1]'),
        ('{"a":1}', "dynamic", '{"a":1}'),
        (None, "dynamic", None),
        (True, "bool", True),
        (7, "long", 7),
    ],
)
def test_values_have_azures_form(value: object, kind: str, text: object) -> None:
    """Each type has Azure's form."""
    assert cell(value, kind) == text


def test_an_answer_within_the_limit_has_no_error() -> None:
    """An answer with exactly the maximum of rows is complete."""
    whole = Result((content.Column("A", "long"),), ((1,), (2,)))
    assert "error" not in result_document(whole, 2)
    assert result_document(whole, 1)["error"]["code"] == "PartialError"


@pytest.mark.parametrize(
    "body",
    [
        b'{"query": "AuditLogs", "timespan": 7}',
        b'{"query": "AuditLogs", "timespan": "P99999999999999D"}',
        b'{"query": "AuditLogs", "timespan": "0001-01-01/P1D/P1D"}',
        b'{"query": 5}',
        b'{"query": "\\ud800"}',
        b'["AuditLogs"]',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_a_malformed_request_is_answered_as_azure_does(running: QueryApiEmulator, body: bytes) -> None:
    """A malformed request gets HTTP 400 and BadArgumentError, never a dropped connection."""
    token = credential(running).get_token("https://api.loganalytics.io/.default").token
    given = requests.post(
        f"{running.url}/v1/workspaces/{WORKSPACE}/query",
        data=body,
        headers={"Authorization": f"Bearer {token}"},
        verify=str(running.ca_file),
        timeout=30,
    )
    assert given.status_code == 400
    assert given.json()["error"]["code"] == "BadArgumentError"


@pytest.mark.parametrize("length", ["-1", "seven", "99999999999999999999"])
def test_a_malformed_length_is_answered(running: QueryApiEmulator, length: str) -> None:
    """A malformed or enormous length gets HTTP 413."""
    trust = ssl.create_default_context(cafile=running.ca_file)
    connection = http.client.HTTPSConnection(running.url.removeprefix("https://"), context=trust)
    connection.putrequest("POST", f"/v1/workspaces/{WORKSPACE}/query")
    connection.putheader("Content-Length", length)
    connection.endheaders()
    assert connection.getresponse().status == 413


def test_a_timespan_may_be_in_weeks_and_without_an_offset() -> None:
    """A duration can be in weeks, and a time without an offset is UTC."""
    assert parse_timespan("P1W", NOW) == (NOW - timedelta(days=7), NOW)
    start, end = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    assert parse_timespan("2026-11-01/2026-11-02T00:00:00", NOW) == (start, end)


@pytest.mark.parametrize("text", ["", "P", "yesterday", "PT1H/PT1H", "2026-11-20/", "P1WT", "9999-12-31/P9D"])
def test_a_malformed_timespan_is_refused(text: str) -> None:
    """A malformed timespan is refused rather than read as something else."""
    with pytest.raises(ValueError, match=r"."):
        parse_timespan(text, NOW)
