"""The emulated library follows the published rules of the calls that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from irmemulator.graph_emulator import RESOURCE, GraphEmulator, GraphOptions
from irmemulator.graph_tenant import GraphTenant
from irmemulator.synthetic_people import APP, TENANT

Call = Callable[..., requests.Response]


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[GraphEmulator]:
    """A library with the file `in/x.csv`."""
    with GraphEmulator(GraphTenant(), GraphOptions(TENANT, APP), tmp_path) as made:
        made.drive.save("in/x.csv", b"old")
        yield made
        assert made.failures == ()


@pytest.fixture
def call(emulator: GraphEmulator) -> Call:
    """A call of the drive, with a token."""
    form = {"grant_type": "client_credentials", "client_id": APP, "client_secret": emulator.secret}
    url, ca_file = f"{emulator.url}/{TENANT}/oauth2/v2.0/token", str(emulator.ca_file)
    reply = requests.post(url, {**form, "scope": f"{RESOURCE}/.default"}, verify=ca_file, timeout=30)
    token = {"Authorization": f"Bearer {reply.json()['access_token']}"}

    def call(method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> requests.Response:
        url = path if path.startswith("https:") else f"{emulator.url}/v1.0/drives/{emulator.drive.id}/{path}"
        return requests.request(
            method, url, headers={**token, **(headers or {})}, verify=ca_file, timeout=30, **more
        )

    return call


def test_a_change_needs_the_tag_of_the_item(emulator: GraphEmulator, call: Call) -> None:
    """If-Match takes the eTag or the cTag; a change of the name leaves the cTag."""
    item = call("GET", "root:/in/x.csv").json()
    path = f"items/{item['id']}"
    assert call("PATCH", path, {"If-Match": '"other"'}, json={"name": "y.csv"}).status_code == 412
    assert call("PATCH", path, {"If-Match": item["eTag"]}, json={"name": "y.csv"}).status_code == 200
    assert call("PATCH", path, {"If-Match": item["eTag"]}, json={"name": "z.csv"}).status_code == 412
    assert call("PATCH", path, {"If-Match": item["cTag"]}, json={"name": "z.csv"}).status_code == 200
    assert call("DELETE", path, {"If-Match": item["cTag"]}).status_code == 204
    assert call("GET", path).status_code == 404


def test_a_name_is_taken_whatever_its_case(emulator: GraphEmulator, call: Call) -> None:
    """A move and a new folder fail, an upload replaces."""
    other = emulator.drive.save("in/y.csv", b"y")
    assert (
        call("PATCH", f"items/{other.id}", json={"name": "X.CSV"}).json()["error"]["code"]
        == "nameAlreadyExists"
    )
    folder = {"name": "IN", "folder": {}, "@microsoft.graph.conflictBehavior": "fail"}
    assert call("POST", f"items/{emulator.drive.root.id}/children", json=folder).status_code == 409
    assert call("PUT", f"items/{other.parent}:/X.csv:/content", data=b"new").status_code == 200
    assert call("PUT", f"items/{other.parent}:/a%3Fb:/content", data=b"new").status_code == 400
    assert emulator.drive.files()["in/x.csv"] == b"new"


def test_delta_has_no_tag_of_contents_and_the_folders_above_on_request(
    emulator: GraphEmulator, call: Call
) -> None:
    """It begins with the latest token, and a deleted item has no name."""
    link = call("GET", "root/delta?token=latest").json()["@odata.deltaLink"]
    assert call("GET", link).json()["value"] == []
    item = emulator.drive.find("in/x.csv")
    assert item is not None
    emulator.drive.change(item, deleted=True)
    (gone,) = call("GET", link, {"deltaExcludeParent": "true"}).json()["value"]
    assert (gone["deleted"], "name" in gone, "cTag" in gone) == ({"state": "deleted"}, False, False)
    assert {one.get("name") for one in call("GET", link).json()["value"]} == {None, "in", "root"}
    emulator.reset_delta()
    expired = call("GET", link)
    assert (expired.status_code, expired.json()["error"]["code"]) == (410, "resyncChangesApplyDifferences")
    assert expired.headers["Location"].endswith("token=0")


def test_a_role_is_needed_and_a_download_needs_none(emulator: GraphEmulator, call: Call) -> None:
    """`read` changes nothing; the URL of a content is on another host, and ends."""
    url = call("GET", "root:/in/x.csv").json()["@microsoft.graph.downloadUrl"]
    assert not url.startswith(emulator.url)
    part = requests.get(url, headers={"Range": "bytes=1-5"}, verify=str(emulator.ca_file), timeout=30)
    assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"ld", "bytes 1-2/3")
    emulator.drive_options.role = "read"
    assert call("GET", "root:/in/x.csv").status_code == 200
    assert call("POST", f"items/{emulator.drive.root.id}/children", json={}).status_code == 403
    emulator.drive_options.role = ""
    assert call("GET", "root:/in/x.csv").status_code == 403
    emulator.drive_options.download_s = -1
    assert requests.get(url, verify=str(emulator.ca_file), timeout=30).status_code == 401


def test_a_file_that_somebody_has_open(emulator: GraphEmulator, call: Call) -> None:
    """Or has checked out, which is shown on request only."""
    item = emulator.drive.find("in/x.csv")
    assert item is not None
    item.locked = True
    assert call("PATCH", f"items/{item.id}", json={"name": "y.csv"}).status_code == 423
    item.locked, item.facets["publication"] = False, {"level": "checkout"}
    assert call("DELETE", f"items/{item.id}").status_code == 423
    assert "publication" not in call("GET", f"items/{item.id}").json()
    assert "publication" in call("GET", f"items/{item.id}?$select=publication").json()
