"""The clouds, where a query goes and where it signs in; and answers that a stand-in would not give."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from irmcore.errors import WaitError
from irmsentinel.azure import workspace
from irmsentinel.azure.identity import AUTHORITIES
from irmsentinel.azure.query_errors import TooMuch
from irmsentinel.azure.workspace import Workspace
from irmsentinel.content.artefacts import Column
from irmsentinel.emulators.loopback import Loopback, Request, Response
from irmsentinel.export.rows import table
from irmsentinel.kql.result import Result

COLUMNS = [{"name": "Name", "type": "string"}, {"name": "Id", "type": "guid"}]


class SignedIn:
    """A credential that has a token."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken("made-up", int(time.time()) + 3600)


def asked(directory: Path, answer: Response, *, timespan: timedelta | None = None) -> tuple[Result, Request]:
    """What a workspace makes of an answer, and the request that it made."""
    requests: list[Request] = []

    def serve(request: Request) -> Response:
        requests.append(request)
        return answer

    with Loopback(serve, directory) as running:
        there = Workspace("name", SignedIn(), f"{running.url}/v1", str(running.ca_file))
        return there.query("T", timespan=timespan), requests[0]


def document(rows: list[list[Any]], **more: Any) -> dict[str, Any]:
    """An answer in Azure's form."""
    return {"tables": [{"name": "PrimaryResult", "columns": COLUMNS, "rows": rows}], **more}


def test_every_cloud_signs_in_where_it_queries() -> None:
    """Each cloud has its own query host and its own sign-in host, and neither is another cloud's."""
    assert AUTHORITIES.keys() == workspace.HOSTS.keys()
    assert AUTHORITIES == {
        "public": "login.microsoftonline.com",
        "us-government": "login.microsoftonline.us",
        "china": "login.chinacloudapi.cn",
    }


def test_the_request_is_as_azure_documents_it(tmp_path: Path) -> None:
    """Path, token, the ten minutes that the service may take, the query and its time span."""
    _, request = asked(tmp_path, Response(200, document([])), timespan=timedelta(hours=1))
    assert (request.method, request.path) == ("POST", "/v1/workspaces/name/query")
    assert request.headers["authorization"] == "Bearer made-up"
    assert request.headers["prefer"] == "wait=600"
    assert json.loads(request.body) == {"query": "T", "timespan": "PT3600.0S"}


def test_values_are_as_the_answer_has_them(tmp_path: Path) -> None:
    """Null is no value and no text; what is one character beyond ASCII stays so."""
    result, _ = asked(tmp_path, Response(200, document([["Zoë", None], ["", "0-1"]])))
    assert result.columns == (Column("Name", "string"), Column("Id", "guid"))
    assert [row.values for row in table(result).rows] == [("Zoë", ""), ("", "0-1")]


@pytest.mark.parametrize(
    "answer",
    [
        Response(200, b"<html>sign in to the proxy</html>", {"Content-Type": "text/html"}),
        Response(200, b'{"tables": [{"columns": [], "rows": [', {}),
        Response(200, []),
        Response(200, {}),
        Response(200, {"tables": []}),
        Response(200, {"tables": [{"name": "PrimaryResult", "columns": COLUMNS}]}),
        Response(200, document([["a", "b"], ["a"]])),
        Response(200, document([["a", "b"], ["a", "b", "c"]])),
        Response(502, b"<html>bad gateway</html>", {"Content-Type": "text/html"}),
    ],
)
def test_what_is_no_result_is_never_used(tmp_path: Path, answer: Response) -> None:
    """A proxy's page, a document that breaks off, a row of another width: told, to be asked again."""
    with pytest.raises(WaitError, match=r"did not answer the query|does not come from Log Analytics"):
        asked(tmp_path, answer)


@pytest.mark.parametrize("error", [{"code": "PartialError"}, "an error that is no object"])
def test_a_result_with_any_error_is_a_part(tmp_path: Path, error: object) -> None:
    """However the error looks."""
    with pytest.raises(TooMuch, match="only partial"):
        asked(tmp_path, Response(200, document([["a", "b"]], error=error)))


def test_an_answer_that_is_cut_off_on_its_way_is_told(tmp_path: Path) -> None:
    """The connection ends before the length that was announced."""
    cut = Response(200, b'{"tables": []}', {"Content-Length": "500"}, cut=True)
    with pytest.raises(WaitError, match="cannot be reached"):
        asked(tmp_path, cut)
