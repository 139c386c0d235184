"""The hosts of each cloud, and answers that the query API would not give."""

from __future__ import annotations

import gzip
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.transport import HttpRequest as OldRequest
from azure.core.rest import HttpRequest
from irmcore.errors import AddressRefused, WaitError
from irmcore.http.deadlines import MAX_TOKEN_BYTES
from irmemulator.fault_queue import Faults
from irmemulator.faults import Fault
from irmemulator.http_messages import Reply, Request, error_reply, json_reply
from irmemulator.loopback_server import LoopbackServer
from irmemulator.routing import Route
from irmsentinel.azure import workspace
from irmsentinel.azure.bounded_transport import Network
from irmsentinel.azure.identity import AUTHORITIES
from irmsentinel.azure.query_errors import TooMuch
from irmsentinel.azure.workspace import Workspace
from irmsentinel.content.artefacts import Column
from irmsentinel.export.rows import table
from irmsentinel.kql.result import Result

HTML = (("Content-Type", "text/html; charset=utf-8"),)
COLUMNS = [{"name": "Name", "type": "string"}, {"name": "Id", "type": "guid"}]


class SignedIn:
    """A credential with a token."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken("made-up", int(time.time()) + 3600)


class OneReply:
    """A service that gives every request the same reply, and remembers the requests."""

    refuse = staticmethod(error_reply)

    def __init__(self, reply: Reply) -> None:
        self.faults = Faults(("query",))
        self.requests: list[Request] = []
        self._reply = reply

    def route(self, _head: Request) -> Route:
        return Route("query", self._answer)

    def _answer(self, request: Request, _fault: Fault | None) -> Reply:
        self.requests.append(request)
        return self._reply


def asked(
    directory: Path, reply: Reply, *, timespan: timedelta | None = None, fault: Fault | None = None
) -> tuple[Result, Request]:
    """What a workspace makes of a reply, and the request that it sent."""
    service = OneReply(reply)
    if fault is not None:
        service.faults.next(fault)
    with LoopbackServer(service, directory=directory) as running:
        there = Workspace("name", SignedIn(), f"{running.url}/v1", Network(ca_file=str(running.ca_file)))
        return there.query("T", timespan=timespan), service.requests[0]


def document(rows: list[list[Any]], **more: Any) -> dict[str, Any]:
    """An answer in Azure's format."""
    return {"tables": [{"name": "PrimaryResult", "columns": COLUMNS, "rows": rows}], **more}


def test_an_answer_without_end_is_not_read(tmp_path: Path) -> None:
    """The service's own limit is lower, so the answer is not the service's."""
    body = gzip.compress(json.dumps(document([])).encode() + b" " * workspace.MAX_BYTES, 1)
    with pytest.raises(WaitError):
        asked(tmp_path, Reply(200, (("Content-Encoding", "gzip"),), body))


def test_a_sign_in_answer_without_end_is_not_read(tmp_path: Path) -> None:
    """azure-identity uses the same transport, with requests of an older kind; the limit is a megabyte."""
    answer = json.dumps({"access_token": "x", "token_type": "Bearer", "expires_in": 3599}).encode()
    packed = (("Content-Encoding", "gzip"),)
    service = OneReply(Reply(200, packed, gzip.compress(answer + b" " * MAX_TOKEN_BYTES)))
    with LoopbackServer(service, directory=tmp_path) as running:
        transport = Network(ca_file=str(running.ca_file)).transport(60)
        for request in (OldRequest("GET", running.url), HttpRequest("GET", running.url)):
            with pytest.raises(ServiceResponseError):
                transport.send(request)


def test_every_cloud_signs_in_where_it_queries() -> None:
    """Each cloud has its own query host and login host, and shares neither with another cloud."""
    assert AUTHORITIES.keys() == workspace.HOSTS.keys()
    assert AUTHORITIES == {
        "public": "login.microsoftonline.com",
        "us-government": "login.microsoftonline.us",
        "china": "login.chinacloudapi.cn",
    }


@pytest.mark.parametrize(
    "endpoint",
    [
        f"{workspace.HOSTS['public']}/",
        "https://api.loganalytics.io.example.com/v1",
        "https://api.loganalytics.io/v1.example.com",
        "https://api.loganalytics.io/v1@example.com",
        "https://api.loganalytics.io@example.com/v1",
        "https://api.loganalytics.iox/v1",
        "http://api.loganalytics.io/v1",
        "https://localhost.example.com/v1",
        "https://127.0.0.1.example.com/v1",
        "https://localhost@example.com/v1",
        "",
    ],
)
def test_a_token_goes_to_no_other_host(endpoint: str) -> None:
    """An address that only begins or ends as one of Microsoft's, or of this machine, is refused."""
    with pytest.raises(AddressRefused):
        Workspace("name", SignedIn(), endpoint)


def test_the_request_is_as_azure_documents_it(tmp_path: Path) -> None:
    """Path, token, the server's time limit of ten minutes, the query and its time span."""
    _, request = asked(tmp_path, json_reply(200, document([])), timespan=timedelta(hours=1))
    assert (request.method, request.path) == ("POST", "/v1/workspaces/name/query")
    assert request.headers["authorization"] == "Bearer made-up"
    assert request.headers["prefer"] == "wait=600"
    assert json.loads(request.body) == {"query": "T", "timespan": "PT3600.0S"}


def test_values_are_as_the_answer_has_them(tmp_path: Path) -> None:
    """Null stays null, and characters beyond ASCII stay unchanged."""
    result, _ = asked(tmp_path, json_reply(200, document([["Zoë", None], ["", "0-1"]])))
    assert result.columns == (Column("Name", "string"), Column("Id", "guid"))
    assert [row.values for row in table(result).rows] == [("Zoë", ""), ("", "0-1")]


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, HTML, b"<html>sign in to the proxy</html>"),
        Reply(200, body=b'{"tables": [{"columns": [], "rows": ['),
        json_reply(200, []),
        json_reply(200, {}),
        json_reply(200, {"tables": []}),
        json_reply(200, {"tables": [{"name": "PrimaryResult", "columns": COLUMNS}]}),
        json_reply(200, document([["a", "b"], ["a"]])),
        json_reply(200, document([["a", "b"], ["a", "b", "c"]])),
        Reply(502, HTML, b"<html>bad gateway</html>"),
    ],
)
def test_an_invalid_result_is_never_used(tmp_path: Path, answer: Reply) -> None:
    """A proxy's page, a truncated document or a row of another length is an error that says to retry."""
    with pytest.raises(WaitError, match=r"did not answer the query|does not come from Log Analytics"):
        asked(tmp_path, answer)


@pytest.mark.parametrize("error", [{"code": "PartialError"}, "an error that is no object"])
def test_a_result_with_an_error_is_partial(tmp_path: Path, error: object) -> None:
    """In whatever form the error comes."""
    with pytest.raises(TooMuch, match="only partial"):
        asked(tmp_path, json_reply(200, document([["a", "b"]], error=error)))


def test_a_connection_that_ends_without_a_reply_is_reported(tmp_path: Path) -> None:
    """The error says that the service cannot be reached."""
    with pytest.raises(WaitError, match="cannot be reached"):
        asked(tmp_path, Reply(200), fault=Fault("query", close_without_reply=True))
