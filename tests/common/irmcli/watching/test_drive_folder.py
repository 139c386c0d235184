"""A folder of SharePoint: what changes between two requests is neither lost nor overwritten."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import TokenCredential
from azure.identity import AzureCliCredential, ClientSecretCredential
from irmcli.watching.drive import Drive
from irmcli.watching.drive_folder import DriveFolder
from irmcli.watching.folder import Found
from irmcli.watching.sharepoint_address import parse
from irmcore.errors import AddressRefused, ConfigurationError, InputError, WaitError
from irmemulator.faults import Fault
from irmemulator.graph_emulator import GraphEmulator, GraphOptions
from irmemulator.graph_tenant import GraphTenant
from irmemulator.synthetic_people import APP, TENANT
from irmsentinel.azure.bounded_transport import BoundedTransport, Network
from irmsentinel.azure.graph_client import HOSTS, GraphClient

from tests.fakes.clock import FakeClock
from tests.fakes.emulated_faults import graph_fault


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[GraphEmulator]:
    """Microsoft Graph with an empty folder `in`."""
    (tmp_path / "graph").mkdir()
    with GraphEmulator(GraphTenant(), GraphOptions(TENANT, APP), tmp_path / "graph") as emulator:
        emulator.drive.folder("in")
        yield emulator
        assert emulator.failures == ()


def open_folder(
    graph: GraphEmulator, state: Path, clock: FakeClock | None = None, **options: Any
) -> DriveFolder:
    """The folder, held by this process."""

    def credential() -> TokenCredential:
        return ClientSecretCredential(
            TENANT,
            APP,
            graph.secret,
            authority=graph.url,
            disable_instance_discovery=True,
            transport=BoundedTransport(deadline=10, ca_file=str(graph.ca_file)),
        )

    clock = clock or FakeClock()
    client = GraphClient(
        graph.url, credential, Network(ca_file=str(graph.ca_file)), clock=clock, max_wait=10.0
    )
    address = parse("sharepoint://contoso.sharepoint.com/sites/hr/Documents/in", "commercial")
    made = DriveFolder(Drive(client, address), str(address), state, clock, settle=1.0, **options)
    made.hold()
    return made


@pytest.fixture
def clock() -> FakeClock:
    """The folder's clock."""
    return FakeClock()


@pytest.fixture
def folder(graph: GraphEmulator, tmp_path: Path, clock: FakeClock) -> DriveFolder:
    """The folder `in`."""
    return open_folder(graph, tmp_path / "state", clock)


def found(folder: DriveFolder) -> Found:
    """The only file in the folder."""
    (one,) = folder.files()
    return one


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "whole"])
def test_a_content_is_read_in_parts(graph: GraphEmulator, folder: DriveFolder, *, ranges: bool) -> None:
    """Also if the Range is ignored, and if the URL expires meanwhile."""
    content = bytes(range(256)) * 10
    graph.drive.save("in/x.csv", content)
    graph.drive_options.ranges = ranges
    folder.block = 1_000
    graph.faults.next(Fault("download", status=401))
    assert folder.take(found(folder)) == hashlib.sha256(content).hexdigest()
    assert folder.copy.read_bytes() == content
    assert folder.copy.stat().st_mode & 0o777 == 0o600
    assert len(graph.downloads) >= 3


def test_a_part_that_is_too_short_is_no_part(graph: GraphEmulator, folder: DriveFolder) -> None:
    """It is read again later, and the file is not taken for a shorter one."""
    graph.drive.save("in/x.csv", b"x" * 100)
    graph.faults.until_cleared(Fault("download", status=206, body=b"x" * 99))
    with pytest.raises(WaitError, match="incomplete"):
        folder.take(found(folder))


def test_a_content_that_is_not_handed_out(graph: GraphEmulator, folder: DriveFolder) -> None:
    """A policy of the site may block downloads."""
    graph.drive.save("in/x.csv", b"x" * 100)
    graph.faults.until_cleared(Fault("download", status=403))
    with pytest.raises(WaitError, match="SharePoint does not hand out the content"):
        folder.take(found(folder))


def test_a_content_is_not_read_without_tls() -> None:
    """An address of another scheme is refused."""
    client = GraphClient(HOSTS["commercial"], AzureCliCredential)
    with pytest.raises(AddressRefused, match="not https"):
        client.content("http://127.0.0.1/x", 0, 1)


CHANGES: dict[str, dict[str, Any]] = {
    "content": {"content": b"new"},
    "name": {"name": "y.csv"},
    "deletion": {"deleted": True},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_before_the_file_is_read(graph: GraphEmulator, folder: DriveFolder, change: str) -> None:
    """What was listed is not there any more; the next look finds what is."""
    item = graph.drive.save("in/x.csv", b"old")
    before = found(folder)
    graph.drive.change(item, **CHANGES[change])
    assert folder.take(before) is None
    assert [one.name for one in folder.files()] == {"content": ["x.csv"], "name": ["y.csv"]}.get(change, [])


@pytest.mark.parametrize("change", ["content", "deletion"])
def test_a_change_before_the_file_is_moved(graph: GraphEmulator, folder: DriveFolder, change: str) -> None:
    """A new content stays in the folder, and is found."""
    item = graph.drive.save("in/x.csv", b"old")
    before = found(folder)
    assert folder.take(before) is not None
    graph.drive.change(item, **CHANGES[change])
    assert folder.changed(before)
    assert not folder.put(before, "archive", "x.csv")
    assert [one.name for one in folder.files()] == (["x.csv"] if change == "content" else [])


def test_a_label_is_no_change(graph: GraphEmulator, folder: DriveFolder) -> None:
    """It changes the eTag, and not the cTag."""
    item = graph.drive.save("in/x.csv", b"old")
    before = found(folder)
    assert folder.take(before) is not None
    graph.drive.change(item, facets={"sensitivity": "label"})
    assert not folder.changed(before)
    assert folder.put(before, "archive", "x.csv")


def test_a_name_that_is_taken_meanwhile(graph: GraphEmulator, folder: DriveFolder) -> None:
    """Another file is not replaced; the same content is in the archive once."""
    graph.drive.save("in/x.csv", b"one")
    one = found(folder)
    digest = folder.take(one)
    assert digest is not None
    there = graph.drive.save("in/archive/x.csv", b"two")
    assert folder.free(one, "archive", digest, one.size) == f"x.{digest[:12]}.csv"
    with pytest.raises(WaitError, match="another file of this name has come meanwhile"):
        folder.put(one, "archive", "x.csv")
    graph.drive.change(there, content=b"one")
    assert folder.free(one, "archive", digest, one.size) == "x.csv"
    assert folder.put(one, "archive", "x.csv")
    assert graph.drive.files() == {"in/archive/x.csv": b"one"}


def test_an_archive_that_was_deleted_is_made_anew(graph: GraphEmulator, folder: DriveFolder) -> None:
    """The file is not lost from sight, and archived at the second try."""
    graph.drive.save("in/x.csv", b"one")
    one = found(folder)
    digest = folder.take(one)
    assert digest is not None
    assert folder.free(one, "archive", digest, one.size) == "x.csv"
    archive = graph.drive.find("in/archive")
    assert archive is not None
    graph.drive.change(archive, deleted=True)
    assert not folder.put(one, "archive", "x.csv")
    assert folder.put(found(folder), "archive", "x.csv")
    assert graph.drive.files() == {"in/archive/x.csv": b"one"}


def test_folders_that_people_named_with_capitals(graph: GraphEmulator, tmp_path: Path) -> None:
    """SharePoint compares names without case, so `Archive` is the archive, and no input."""
    graph.drive.save("in/Archive/old.csv", b"old")
    folder = open_folder(graph, tmp_path / "state")
    assert folder.files() == []
    assert graph.drive.find("in/archive/old.csv") is not None


def test_a_file_in_place_of_a_folder(graph: GraphEmulator, tmp_path: Path) -> None:
    """Is reported at the start."""
    graph.drive.save("in/rejects", b"x")
    with pytest.raises(ConfigurationError, match="a file has the name of a folder") as caught:
        open_folder(graph, tmp_path / "state")
    assert caught.value.next_step == "Move or rename the file."


def test_a_folder_that_is_renamed_while_it_is_watched(graph: GraphEmulator, folder: DriveFolder) -> None:
    """The folder is what has the address, as with a directory."""
    item = graph.drive.folder("in")
    graph.drive.change(item, name="out")
    with pytest.raises(ConfigurationError, match="there is no such folder"):
        folder.files()
    graph.drive.save("in/x.csv", b"x")
    assert found(folder).name == "x.csv"


def test_what_moves_into_the_folder(graph: GraphEmulator, folder: DriveFolder) -> None:
    """A file, and a whole folder, come from elsewhere in the library."""
    graph.drive.save("elsewhere/x.csv", b"x")
    item = graph.drive.save("elsewhere/sub/y.csv", b"y")
    assert folder.files() == []
    target = graph.drive.folder("in")
    sub = graph.drive.get(item.parent)
    x = graph.drive.find("elsewhere/x.csv")
    assert sub is not None
    assert x is not None
    graph.drive.change(sub, parent=target.id)
    assert [one.name for one in folder.files()] == ["sub/y.csv"]
    graph.drive.change(x, parent=target.id)
    assert [one.name for one in folder.files()] == ["sub/y.csv", "x.csv"]


def test_a_listing_that_fails_is_done_anew(graph: GraphEmulator, folder: DriveFolder) -> None:
    """The delta link is not kept before the listing that it stands for."""
    graph.drive.save("in/x.csv", b"x")
    graph.faults.next(graph_fault("drive", 400, "invalidRequest", matching="children"))
    with pytest.raises(ConfigurationError):
        folder.files()
    assert found(folder).name == "x.csv"


def test_a_long_wait_sends_nothing_meanwhile(
    graph: GraphEmulator, folder: DriveFolder, clock: FakeClock
) -> None:
    """Graph's pages: a request before the end of Retry-After counts against the limit."""
    graph.faults.next(graph_fault("drive", 429, "TooManyRequests", retry_after=90))
    with pytest.raises(WaitError, match="throttling"):
        folder.files()
    seen = len(graph.requests)
    with pytest.raises(WaitError, match="Microsoft Graph has asked to wait"):
        folder.files()
    assert len(graph.requests) == seen
    clock.advance(91)
    assert folder.files() == []


def test_what_is_too_large(graph: GraphEmulator, tmp_path: Path) -> None:
    """The file is not read; many refused rows are written in several files."""
    folder = open_folder(graph, tmp_path / "state")
    folder.max_bytes = 10
    graph.drive.save("in/x.csv", b"x" * 11)
    one = found(folder)
    with pytest.raises(InputError, match="more than 10 bytes"):
        folder.take(one)
    assert folder.put(one, "errors", folder.free(one, "errors", "", one.size))
    folder.max_upload = 4
    folder.write(one, "rejects", "x.csv", b"0123456789")
    written = {path: data for path, data in graph.drive.files().items() if "rejects" in path}
    assert b"".join(written[path] for path in sorted(written, key=len)) == b"0123456789"
    assert sorted(written) == ["in/rejects/x.csv", "in/rejects/x.part2.csv", "in/rejects/x.part3.csv"]


def test_malware_stays(graph: GraphEmulator, folder: DriveFolder) -> None:
    """SharePoint marks such a file, and does not hand it out."""
    graph.drive.save("in/x.csv", b"x").facets["malware"] = {"description": "a worm"}
    with pytest.raises(WaitError, match="SharePoint has found malware"):
        folder.take(found(folder))
