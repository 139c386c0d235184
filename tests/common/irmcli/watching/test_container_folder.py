"""A prefix of a container or bucket as a folder: what changes between two requests is not lost."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

import pytest
from irmcli.object_store.address import parse
from irmcli.object_store.container import Container
from irmcli.watching.container_folder import ContainerFolder
from irmcli.watching.folder import Found
from irmcore.errors import StoreRefused, WaitError

from tests.fakes.clock import FakeClock
from tests.fakes.cloud_servers import ACCOUNT, CONTAINER, Azurite, CloudServer, Token


@pytest.fixture(params=[pytest.param("azurite", marks=pytest.mark.needs("azurite")), "s3"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> CloudServer:
    """Each server in turn."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    found: CloudServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def container(server: CloudServer) -> Container:
    """An empty prefix."""
    address = parse(server.address(f"drop/{secrets.token_hex(8)}"))
    return Container(address, {"IRMEXPORT_CA_FILE": str(server.ca_file)}, credential=Token)


@pytest.fixture
def folder(container: Container, tmp_path: Path) -> ContainerFolder:
    """The prefix, held by this process."""
    made = ContainerFolder(container, "drop", tmp_path / "state", FakeClock(), settle=1.0)
    made.hold()
    return made


def found(folder: ContainerFolder) -> Found:
    """The only file in the folder."""
    (one,) = folder.files()
    return one


def test_files_and_folders(container: Container, folder: ContainerFolder) -> None:
    """Names of any kind; ours, hidden and unfinished ones are no input."""
    for name in ("x.csv", "sub/ä 100% #1.csv", "archive/a.csv", "rejects/r.csv", "errors/e.csv"):
        container.write(name, b"x")
    for name in (".hidden/x.csv", "x.csv.part", "sub/.x.csv"):
        container.write(name, b"x")
    assert [one.name for one in folder.files()] == ["sub/ä 100% #1.csv", "x.csv"]


def test_a_file_is_read_in_parts_and_archived(container: Container, folder: ContainerFolder) -> None:
    """The archive has the copy that was read; the same content again is not kept twice."""
    content = bytes(range(256)) * 10
    folder.block = 1_000
    for _ in range(2):
        container.write("sub/ä 1.csv", content)
        one = found(folder)
        digest = folder.take(one)
        assert digest == hashlib.sha256(content).hexdigest()
        assert folder.free(one, "archive", digest, one.size) == "ä 1.csv"
        assert folder.put(one, "archive", "ä 1.csv")
        assert folder.files() == []
    archived = container.find("archive/sub/ä 1.csv")
    assert archived is not None
    assert archived.size == len(content)
    container.write("sub/ä 1.csv", content[::-1])
    one = found(folder)
    digest = folder.take(one)
    assert digest is not None
    assert folder.free(one, "archive", digest, one.size) == f"ä 1.{digest[:12]}.csv"


def test_a_change_before_the_file_is_read(container: Container, folder: ContainerFolder) -> None:
    """What was listed is not there any more; the next look finds what is."""
    container.write("x.csv", b"old")
    before = found(folder)
    container.write("x.csv", b"new")
    assert folder.take(before) is None
    digest = folder.take(found(folder))
    assert digest == hashlib.sha256(b"new").hexdigest()


def test_a_change_before_the_file_is_deleted(container: Container, folder: ContainerFolder) -> None:
    """The new content stays: the file is deleted only if it is the one that was read."""
    container.write("x.csv", b"old")
    before = found(folder)
    assert folder.take(before) is not None
    container.write("x.csv", b"new")
    assert folder.changed(before)
    assert not folder.put(before, "archive", "x.csv")
    after = found(folder)
    assert folder.take(after) == hashlib.sha256(b"new").hexdigest()
    assert folder.put(after, "errors", "x.csv")
    assert folder.files() == []


def test_a_file_that_is_gone(container: Container, folder: ContainerFolder) -> None:
    """It is neither read nor deleted again."""
    container.write("x.csv", b"old")
    blob = container.find("x.csv")
    before = found(folder)
    assert blob is not None
    assert container.delete(blob)
    assert not container.delete(blob)
    assert folder.take(before) is None


def test_what_is_too_large_stays(container: Container, tmp_path: Path) -> None:
    """Without a copy it cannot be moved."""
    folder = ContainerFolder(container, "drop", tmp_path / "state", FakeClock(), settle=1.0)
    folder.max_bytes = 10
    folder.hold()
    container.write("x.csv", b"x" * 11)
    with pytest.raises(WaitError, match="more than 10 bytes"):
        folder.take(found(folder))


@pytest.mark.parametrize("server", [pytest.param("azurite", marks=pytest.mark.needs("azurite")), "s3"])
def test_a_container_that_is_not_there(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: str
) -> None:
    """Is named at the start."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    running = request.getfixturevalue(server)
    address = parse(running.address("x", container="not-there"))
    container = Container(address, {"IRMEXPORT_CA_FILE": str(running.ca_file)}, credential=Token)
    with pytest.raises(StoreRefused, match="not-there does not exist"):
        ContainerFolder(container, "drop", tmp_path / "state", FakeClock(), settle=1.0).hold()


@pytest.mark.parametrize("name", ["/x.csv", "sub//x.csv"], ids=["here", "in a folder"])
def test_a_name_with_an_empty_part_is_no_outage(server: CloudServer, tmp_path: Path, name: str) -> None:
    """It hides the other files, so the message says what to rename."""
    prefix = f"drop/{secrets.token_hex(8)}"
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"}
    headers["Authorization"] += ", SignedHeaders=host, Signature=0"
    at = CONTAINER
    if isinstance(server, Azurite):
        headers = {"Authorization": f"Bearer {Token().get_token().token}", "x-ms-version": "2021-12-02"}
        headers["x-ms-blob-type"] = "BlockBlob"
        at = f"{ACCOUNT}/{CONTAINER}"
    server.put(f"{at}/{prefix}/{name}", headers)
    environment = {"IRMEXPORT_CA_FILE": str(server.ca_file)}
    container = Container(parse(server.address(prefix)), environment, credential=Token)
    container.write("good.csv", b"x")
    folder = ContainerFolder(container, "drop", tmp_path / "state", FakeClock(), settle=1.0)
    with pytest.raises(StoreRefused, match="an empty part") as refused:
        folder.files()
    assert "rename or delete" in str(refused.value.next_step)
