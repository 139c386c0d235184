"""`irmexport watch sharepoint://…` sends each file of a library once; a crash loses and repeats nothing.

The real client over HTTPS, against the emulators of Microsoft Graph and of the connector.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from irmcli.main import main
from irmemulator.faults import Fault
from irmemulator.graph_emulator import GraphEmulator, GraphOptions
from irmemulator.graph_tenant import GraphTenant
from irmemulator.synthetic_people import APP, TENANT

from tests.fakes.emulated_faults import graph_fault
from tests.with_emulator.connector import HEADER, Rig, row

IRMEXPORT = str(Path(sys.executable).with_name("irmexport"))
BAD = "bradh,Name,Low,50,2026-11-20T00:00:00Z,Salesforce,text,"
FOLDER = "sharepoint://contoso.sharepoint.com/sites/HR/Shared Documents/in box"
Watch = Callable[..., Result]


def text(*rows: str) -> bytes:
    """A CSV file's bytes."""
    return ("\n".join([HEADER, *rows]) + "\n").encode()


@pytest.fixture
def graph(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[GraphEmulator]:
    """Microsoft Graph with an empty folder "in box" in a library."""
    monkeypatch.setenv("IRMEXPORT_OUTBOX", str(rig.directory / "outbox"))
    directory = rig.directory / "graph"
    directory.mkdir()
    with GraphEmulator(GraphTenant(), GraphOptions(TENANT, APP), directory) as emulator:
        emulator.announce()
        emulator.drive.folder("in box")
        yield emulator
        assert emulator.failures == ()


def words(rig: Rig, *args: str) -> list[str]:
    """A command that watches the folder once."""
    emulators = (
        "--emulator",
        str(rig.directory / "emulator"),
        "--graph-emulator",
        str(rig.directory / "graph"),
    )
    folder = () if any(arg.startswith("sharepoint:") for arg in args) else (FOLDER,)
    return ["watch", "--once", "--settle", "0.1", "-p", "salesforce-dropbox", *emulators, *folder, *args]


@pytest.fixture
def once(rig: Rig, graph: GraphEmulator) -> Watch:
    """Run `irmexport watch --once` on the folder."""

    def run(*args: str) -> Result:
        result = CliRunner().invoke(main, words(rig, *args))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def put(graph: GraphEmulator, name: str, *rows: str) -> None:
    """Save a CSV file in the folder."""
    graph.drive.save(f"in box/{name}", text(*rows))


def files(graph: GraphEmulator) -> list[str]:
    """The files of the folder."""
    return sorted(path.removeprefix("in box/") for path in graph.drive.files())


def calls(graph: GraphEmulator) -> list[str]:
    """The requests so far, each as method and the end of its path."""
    return [f"{one.method} {one.path.rpartition('/')[2]}" for one in graph.requests]


def test_a_file_is_sent_and_archived(rig: Rig, graph: GraphEmulator, once: Watch) -> None:
    """The service has its rows, and the file is in archive/ unchanged, also one of a subfolder."""
    put(graph, "x.csv", row(1), row(2))
    put(graph, "sub/100% #1.csv", row(3))
    done = once()
    assert done.exit_code == 0, done.output
    assert "Upload Successful" in done.output
    assert files(graph) == ["archive/sub/100% #1.csv", "archive/x.csv"]
    assert graph.drive.files()["in box/archive/x.csv"] == text(row(1), row(2))
    assert rig.kept() == [f"user{n}@contoso.com" for n in (1, 2, 3)]


def test_a_content_is_read_without_a_token_from_another_host(graph: GraphEmulator, once: Watch) -> None:
    """The address of a content needs no token, and gets none."""
    put(graph, "x.csv", row(1))
    once()
    assert graph.downloads
    assert {one.headers["host"].partition(":")[0] for one in graph.downloads} == {"localhost"}
    assert not any("authorization" in one.headers for one in graph.downloads)
    assert all("authorization" in one.headers for one in graph.requests)


def test_refused_rows_and_unreadable_files_are_kept(rig: Rig, graph: GraphEmulator, once: Watch) -> None:
    """As in a directory: rejects/ has the refused rows, errors/ an unreadable file with the next step."""
    put(graph, "some.csv", row(1), BAD)
    graph.drive.save("in box/none.csv", "a,b\n1,2\n".encode("utf-16-le"))
    done = once()
    assert done.exit_code in (1, 3)
    assert files(graph) == [
        "archive/some.csv",
        "errors/none.csv",
        "errors/none.csv.error.txt",
        "rejects/some.csv",
    ]
    found = graph.drive.files()
    assert b"upn-without-domain" in found["in box/rejects/some.csv"]
    assert b"none.csv\nSave it as 'CSV UTF-8'" in found["in box/errors/none.csv.error.txt"]
    assert rig.kept() == ["user1@contoso.com"]


def test_a_content_is_processed_once_whatever_its_name(rig: Rig, graph: GraphEmulator, once: Watch) -> None:
    """The same bytes again are archived and not sent; the archive has them once under each name."""
    put(graph, "a.csv", row(1))
    once()
    put(graph, "a.csv", row(1))
    put(graph, "b.csv", row(1))
    assert "b.csv: processed before" in once().output
    assert files(graph) == ["archive/a.csv", "archive/b.csv"]
    assert len(rig.emulator.uploads) == 1


def test_another_file_of_the_same_name_keeps_both(graph: GraphEmulator, once: Watch) -> None:
    """A daily export always has the same name; SharePoint compares names without case."""
    for number, name in ((1, "day.csv"), (2, "DAY.csv")):
        put(graph, name, row(number))
        assert once().exit_code == 0
    archived = {path: data for path, data in graph.drive.files().items() if "archive" in path}
    assert sorted(archived.values()) == sorted([text(row(1)), text(row(2))])


def test_files_that_are_not_ready_stay(rig: Rig, graph: GraphEmulator, once: Watch) -> None:
    """Hidden and unfinished names, a notebook, a shortcut; a checked-out file is reported."""
    for name in (".x.csv", "x.csv.part", "~$x.csv"):
        put(graph, name, row(1))
    for name, facet in (("note.one", "package"), ("link.csv", "remoteItem")):
        graph.drive.save(f"in box/{name}", text(row(1))).facets[facet] = {}
    taken = graph.drive.save("in box/taken.csv", text(row(2)))
    taken.facets["publication"] = {"level": "checkout"}
    before = files(graph)
    done = once()
    assert done.exit_code == 1
    assert "taken.csv: this file is checked out" in done.output
    assert files(graph) == before
    graph.drive.change(taken, facets={})
    once()
    assert rig.kept() == ["user2@contoso.com"]


def test_a_locked_file_is_archived_later(rig: Rig, graph: GraphEmulator, once: Watch) -> None:
    """Its rows are sent; while somebody has it open, the message says so, and nothing is sent again."""
    put(graph, "x.csv", row(1))
    item = graph.drive.find("in box/x.csv")
    assert item is not None
    item.locked = True
    done = once()
    assert "x.csv: somebody has the file open or checked out (HTTP 423, resourceLocked)" in done.output
    assert done.exit_code == 1
    item.locked = False
    assert "x.csv: processed before" in once().output
    assert files(graph) == ["archive/x.csv"]
    assert rig.kept() == ["user1@contoso.com"]


def test_a_folder_without_changes_is_not_listed(graph: GraphEmulator, once: Watch) -> None:
    """The delta link of the last process says that nothing changed; a change elsewhere is none."""
    put(graph, "x.csv", row(1))
    once()
    once()
    graph.drive.save("elsewhere/y.csv", b"y")
    seen = len(calls(graph))
    once()
    assert "GET children" not in calls(graph)[seen:]
    put(graph, "sub/z.csv", row(2))
    once()
    assert "archive/sub/z.csv" in files(graph)


@pytest.mark.parametrize("lost", ["gone", "cut", "of another host", "reset"])
def test_a_lost_delta_link_costs_a_listing(rig: Rig, graph: GraphEmulator, once: Watch, lost: str) -> None:
    """It is a cache: without it, the folder is listed, and no row is lost or repeated."""
    put(graph, "x.csv", row(1))
    once()
    (cache,) = (rig.directory / "outbox/watched/folders").glob("*/listing.json")
    kept = json.loads(cache.read_text())
    if lost == "gone":
        cache.unlink()
    elif lost == "cut":
        cache.write_bytes(cache.read_bytes()[:40])
    elif lost == "of another host":
        cache.write_text(json.dumps({**kept, "link": "https://graph.example.com/v1.0/drives/x/root/delta"}))
    else:
        graph.reset_delta()
    put(graph, "y.csv", row(2))
    seen = len(calls(graph))
    done = once()
    assert done.exit_code == 0, done.output
    assert "GET children" in calls(graph)[seen:]
    assert files(graph) == ["archive/x.csv", "archive/y.csv"]
    assert rig.kept() == ["user1@contoso.com", "user2@contoso.com"]


def test_many_files_on_pages(rig: Rig, graph: GraphEmulator, once: Watch) -> None:
    """Children and delta come in pages, here of two."""
    graph.drive_options.page_size = 2
    for number in range(5):
        put(graph, f"{number}.csv", row(number))
    assert once().exit_code == 0
    assert len(files(graph)) == 5
    for number in range(5, 8):
        put(graph, f"{number}.csv", row(number))
    assert once().exit_code == 0
    assert rig.kept() == [f"user{n}@contoso.com" for n in range(8)]


@pytest.mark.parametrize(
    ("step", "effect"),
    [
        ("GET .*/children", False),
        ("GET /download", False),
        ("POST .*children", False),
        ("POST .*children", True),
        ("PUT", False),
        ("PUT", True),
        ("PATCH", False),
        ("PATCH", True),
    ],
)
def test_a_kill_at_any_step_loses_nothing_and_repeats_nothing(
    rig: Rig,
    graph: GraphEmulator,
    once: Watch,
    step: str,
    effect: bool,  # noqa: FBT001
) -> None:
    """The process is killed while it waits for an answer, with and without the request's effect."""
    put(graph, "x.csv", row(1), row(2), BAD)
    put(graph, "y.csv", row(2), row(3))
    endpoint = "download" if "download" in step else "drive"
    fault = Fault(endpoint, status=503, keep=effect, delay=60, matching=step)
    graph.faults.next(fault)
    process = subprocess.Popen(
        [IRMEXPORT, *words(rig)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)
    )
    try:
        end = time.monotonic() + 60
        while graph.faults.taken == 0 and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        assert graph.faults.taken == 1
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    once()
    assert rig.kept() == [f"user{n}@contoso.com" for n in (1, 2, 3)]
    assert files(graph) == ["archive/x.csv", "archive/y.csv", "rejects/x.csv"]


@pytest.mark.parametrize("call", ["PATCH", "PUT", "GET .*/children"])
def test_an_answer_that_is_lost(rig: Rig, graph: GraphEmulator, once: Watch, call: str) -> None:
    """The call took effect; it is repeated without harm."""
    put(graph, "x.csv", row(1), BAD)
    graph.faults.next(Fault("drive", close_without_reply=True, keep=True, matching=call))
    once()
    assert graph.faults.taken == 1
    assert files(graph) == ["archive/x.csv", "rejects/x.csv"]
    assert rig.kept() == ["user1@contoso.com"]


def test_a_throttled_folder_is_read_later(rig: Rig, graph: GraphEmulator, once: Watch) -> None:
    """A 429 with a short Retry-After is obeyed; with a long one, the message says so and nothing is lost."""
    put(graph, "x.csv", row(1))
    throttled = {"retry_after": 1, "matching": "children"}
    graph.faults.next(graph_fault("drive", 429, "TooManyRequests", **throttled), count=2)  # type: ignore[arg-type]
    assert once().exit_code == 0
    put(graph, "y.csv", row(2))
    graph.faults.next(graph_fault("drive", 429, "TooManyRequests", retry_after=120, matching="children"))
    done = once()
    assert done.exit_code == 1
    assert "Microsoft Graph is throttling or unavailable (HTTP 429, TooManyRequests)" in done.output
    once()
    assert rig.kept() == ["user1@contoso.com", "user2@contoso.com"]


@pytest.mark.parametrize(
    ("folder", "role", "said"),
    [
        (FOLDER, "", "this identity may not read and write the site (HTTP 403)"),
        (FOLDER, "read", "this identity may not read and write the site (HTTP 403)"),
        (FOLDER.replace("HR", "HQ"), "write", "SharePoint has no such site"),
        (FOLDER.replace("Shared Documents", "Papers"), "write", "the site has no library Papers"),
        (FOLDER.replace("in box", "out"), "write", "there is no such folder in the library"),
        (FOLDER.replace(".com", ".us"), "write", "the host of a site in the cloud commercial ends with"),
        (FOLDER.replace("in box", "in?csf=1"), "write", "has a character that SharePoint does not allow"),
        ("ftp://example.com/x", "write", "this is neither a directory nor an address that can be watched"),
    ],
    ids=["no-role", "read-only", "site", "library", "folder", "cloud", "link", "scheme"],
)
def test_what_is_wrong_is_said_at_the_start(
    rig: Rig, graph: GraphEmulator, folder: str, role: str, said: str
) -> None:
    """With the next step, and exit code 2: no restart mends it."""
    graph.drive_options.role = role
    args = [arg for arg in words(rig, FOLDER) if arg != FOLDER]
    done = CliRunner().invoke(main, [*args, folder])
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.output.split())


def test_the_unit_of_a_drive(rig: Rig, graph: GraphEmulator) -> None:
    """It has the address as it is and who signs in, and may write to the outbox only."""
    args = ("--sign-in", "app", "--tenant-id", TENANT, "--client-id", APP, "--credential", "file:/x")
    made = CliRunner().invoke(main, ["schedule", "--format", "systemd", *words(rig, *args)]).output
    assert f'"{FOLDER}"' in made
    assert "--sign-in app --tenant-id" in made
    assert "--credential file:/x" in made
    assert f"ReadWritePaths={rig.directory / 'outbox'}\n" in made


def test_a_folder_that_is_not_searched_is_named(graph: GraphEmulator, once: Watch) -> None:
    """`person` finds the batch here, and says that it does not search SharePoint."""
    put(graph, "x.csv", row(1))
    once()
    found = CliRunner().invoke(main, ["person", "find", "user1@contoso.com"])
    assert f"{FOLDER} is not on this machine" in " ".join(found.output.split())
