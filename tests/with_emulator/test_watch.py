"""`irmexport watch` sends each complete file once; a crash loses and repeats nothing."""

from __future__ import annotations

import configparser
import gzip
import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from irmcli.emulator.launch import announce, create_emulator
from irmcli.main import main
from irmcli.watching.local_folder import being_written
from irmcli.watching.processed import ProcessedFiles
from irmcli.watching.watcher import ATTEMPTS
from irmcore import profile as profiles
from irmcore.delivery.connection import outbox_name
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import Options

from tests.with_emulator.connector import HEADER, Rig, row

IRMEXPORT = str(Path(sys.executable).with_name("irmexport"))
BAD = "bradh,Name,Low,50,2026-11-20T00:00:00Z,Salesforce,text,"
Watch = Callable[..., Result]


def text(*rows: str) -> str:
    """A CSV file's text."""
    return "\n".join([HEADER, *rows]) + "\n"


@pytest.fixture
def inbox(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to watch, with the rig's outbox."""
    monkeypatch.setenv("IRMEXPORT_OUTBOX", str(rig.directory / "outbox"))
    folder = rig.directory / "in"
    folder.mkdir()
    return folder


def options(rig: Rig) -> list[str]:
    """The rig's emulator and a short settle time."""
    return ["--settle", "0.1", "--emulator", str(rig.directory / "emulator")]


@pytest.fixture
def once(rig: Rig, inbox: Path) -> Watch:
    """Run `irmexport watch --once` on the directory."""

    def run(*args: str) -> Result:
        words = args if "--route" in args else ("-p", "salesforce-dropbox", *args)
        result = CliRunner().invoke(main, ["watch", str(inbox), *options(rig), "--once", *words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def files(inbox: Path) -> list[str]:
    """All files in the directory."""
    return sorted(str(path.relative_to(inbox)) for path in inbox.rglob("*") if path.is_file())


def test_a_file_is_sent_and_archived(rig: Rig, inbox: Path, once: Watch) -> None:
    """The service has its rows, and the file is in archive/ unchanged."""
    (inbox / "sub").mkdir()
    (inbox / "sub" / "x.csv").write_text(text(row(1), row(2)))
    done = once()
    assert done.exit_code == 0, done.output
    assert "2 rows read: 2 shaped" in done.output
    assert "Upload Successful" in done.output
    assert files(inbox) == ["archive/sub/x.csv"]
    assert (inbox / "archive/sub/x.csv").read_text() == text(row(1), row(2))
    assert rig.kept() == ["user1@contoso.com", "user2@contoso.com"]


def test_what_is_only_queued_is_sent_by_drain(rig: Rig, inbox: Path, once: Watch) -> None:
    """The file is archived, as its rows are in the outbox; nothing is uploaded."""
    (inbox / "x.csv").write_text(text(row(1)))
    assert once("--queue-only").exit_code == 0
    assert files(inbox) == ["archive/x.csv"]
    assert len(rig.emulator.uploads) == 0
    rig.drain()
    assert rig.kept() == ["user1@contoso.com"]


def test_a_splunk_export_is_sent_and_a_cut_one_is_not(rig: Rig, inbox: Path, once: Watch) -> None:
    """Both of Splunk's JSON forms are sent; no row of a document that was cut is."""
    first, second, third = (dict(zip(HEADER.split(","), row(n).split(","), strict=True)) for n in (1, 2, 3))
    (inbox / "a.json").write_text(json.dumps({"preview": False, "lastrow": True, "result": first}))
    (inbox / "b.json").write_text(json.dumps({"preview": False, "init_offset": 0, "results": [second]}))
    (inbox / "c.json").write_text(json.dumps({"preview": False, "init_offset": 0, "results": [third]})[:-2])
    once()
    assert files(inbox) == ["archive/a.json", "archive/b.json", "errors/c.json", "errors/c.json.error.txt"]
    assert (
        "the JSON document is cut or damaged after result 1"
        in (inbox / "errors/c.json.error.txt").read_text()
    )
    assert rig.kept() == ["user1@contoso.com", "user2@contoso.com"]


def test_a_next_step_names_the_file_in_errors(inbox: Path, once: Watch) -> None:
    """Not the copy that was read, which is gone. It can be run in that directory."""
    (inbox / "by user.json.gz").write_bytes(gzip.compress(b'{"ana":{"n":1},"ben":{"n":2}}'))
    once()
    what, where, step = (inbox / "errors/by user.json.gz.error.txt").read_text().splitlines()
    (command,) = re.findall("^Make rows of it: (.*)$", step)
    assert (what.startswith("the file is one object"), where) == (True, "by user.json.gz")
    assert command.startswith("gzip -dc 'by user.json.gz' | jq -c ")


def test_refused_rows_and_unreadable_files_are_kept(rig: Rig, inbox: Path, once: Watch) -> None:
    """rejects/ has the refused rows of an archived file, errors/ an unreadable file with the next step."""
    (inbox / "some.csv").write_text(text(row(1), BAD))
    (inbox / "none.csv").write_bytes("a,b\n1,2\n".encode("utf-16-le"))
    done = once()
    assert done.exit_code in (1, 3)
    assert files(inbox) == [
        "archive/some.csv",
        "errors/none.csv",
        "errors/none.csv.error.txt",
        "rejects/some.csv",
    ]
    refused = inbox / "rejects/some.csv"
    assert "upn-without-domain" in refused.read_text()
    assert refused.stat().st_mode & 0o777 == 0o600
    assert (inbox / "errors/none.csv.error.txt").read_text() == (
        "the file is not UTF-8 text (it may be UTF-16, or not CSV at all)\n"
        "none.csv\nSave it as 'CSV UTF-8' and send that file.\n"
    )
    assert rig.kept() == ["user1@contoso.com"]


def test_the_path_of_the_outbox_may_have_a_comma(
    rig: Rig, inbox: Path, once: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user's directory on Windows may; the refused rows are found in it."""
    monkeypatch.setenv("IRMEXPORT_OUTBOX", str(rig.directory / "Doe, Jane" / "outbox"))
    (inbox / "x.csv").write_text(text(row(1), BAD))
    assert once("--queue-only").exit_code == 3
    assert files(inbox) == ["archive/x.csv", "rejects/x.csv"]


def test_a_content_is_processed_once_whatever_its_name(rig: Rig, inbox: Path, once: Watch) -> None:
    """The same bytes again, even after a restart, are archived and not sent."""
    (inbox / "a.csv").write_text(text(row(1)))
    once()
    uploads = len(rig.emulator.uploads)
    (inbox / "a.csv").write_text(text(row(1)))
    (inbox / "b.csv").write_text(text(row(1)))
    done = once()
    assert "a.csv: processed before" in done.output
    assert "b.csv: processed before" in done.output
    assert [name for name in files(inbox) if "/" not in name] == []
    assert len(rig.emulator.uploads) == uploads


def test_another_file_of_the_same_name_keeps_both(inbox: Path, once: Watch) -> None:
    """A daily export always has the same name: archive, rejects and errors keep each day's file."""
    for number in (1, 2):
        (inbox / "day.csv").write_text(text(row(number), f"bradh{number}{BAD[5:]}"))
        (inbox / "bad.csv").write_text(f"a,a\n{number}\n")
        once()
    kept = {place: sorted((inbox / place).iterdir()) for place in ("archive", "rejects", "errors")}
    assert [len(names) for names in kept.values()] == [2, 2, 4]
    assert {path.read_text().split("\n")[1] for path in kept["archive"]} == {row(1), row(2)}
    assert {"bradh1" in path.read_text() for path in kept["rejects"]} == {True, False}


def test_a_directory_with_the_files_name_in_the_archive_does_no_harm(inbox: Path, once: Watch) -> None:
    """A file is archived beside a directory of its name."""
    (inbox / "archive/day.csv").mkdir(parents=True)
    (inbox / "day.csv").write_text(text(row(1)))
    done = once()
    assert done.exit_code == 0, done.output
    assert [path.read_text() for path in (inbox / "archive").glob("day.*.csv")] == [text(row(1))]


def test_a_file_named_like_a_subdirectory_is_reported(inbox: Path, once: Watch) -> None:
    """A file called `archive` is reported at the start, and nothing is processed."""
    (inbox / "archive").write_text("x")
    (inbox / "day.csv").write_text(text(row(1)))
    done = once()
    assert done.exit_code == 2
    assert f"{inbox / 'archive'}: a file has the name of a directory" in done.output
    assert files(inbox) == ["archive", "day.csv"]


@pytest.mark.parametrize("name", [".x.csv", "x.csv.part", "x.csv.TMP", "~$x.csv", ".hidden/x.csv"])
def test_unfinished_files_are_ignored(rig: Rig, inbox: Path, once: Watch, name: str) -> None:
    """Files with a name for unfinished files are ignored until they are renamed."""
    path = inbox / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text(row(1)))
    assert once().exit_code == 0
    assert path.exists()
    path.rename(inbox / "done.csv")
    once()
    assert rig.kept() == ["user1@contoso.com"]


def test_a_file_that_is_open_for_writing_is_ignored(rig: Rig, inbox: Path, once: Watch) -> None:
    """A file whose writer pauses longer than the settle time is not processed until it is closed."""
    with (inbox / "x.csv").open("w") as file:
        file.write(text(row(1)))
        file.flush()
        assert being_written(inbox / "x.csv")
        once()
        assert files(inbox) == ["x.csv"]
        file.write(row(2) + "\n")
    assert not being_written(inbox / "x.csv")
    once()
    assert rig.kept() == ["user1@contoso.com", "user2@contoso.com"]


def test_a_file_that_still_changes_is_ignored(rig: Rig, inbox: Path) -> None:
    """A writer that closes the file after each write, as some copy tools do, can finish it."""
    words = [IRMEXPORT, "watch", str(inbox), *options(rig), "-p", "salesforce-dropbox", "--settle", "1.5"]
    with running(words) as process:
        path = inbox / "x.csv"
        path.write_text(HEADER + "\n")
        for number in range(8):
            with path.open("a") as file:
                file.write(row(number) + "\n")
            time.sleep(0.3)
        wait_for(lambda: files(inbox) == ["archive/x.csv"])
        wait_for(lambda: len(rig.kept()) == 8)
        assert len(rig.emulator.uploads) == 1
        assert end(process) == 0


def test_links_are_not_followed(rig: Rig, inbox: Path, once: Watch) -> None:
    """A link could point to any file that this user may read."""
    (rig.directory / "elsewhere.csv").write_text(text(row(1)))
    (inbox / "x.csv").symlink_to(rig.directory / "elsewhere.csv")
    assert once().exit_code == 0
    assert rig.emulator.uploads == ()


@pytest.fixture
def both(rig: Rig) -> Iterator[PurviewEmulator]:
    """An emulator with a connector for every shipped profile, instead of the rig's."""
    chosen = [profiles.parse(profiles.shipped_text(name), name) for name in profiles.shipped_names()]
    with create_emulator(rig.directory / "both", chosen, Options(), lifetime=60) as started:
        announce(rig.directory / "both", started)
        yield started


def test_many_connectors_by_pattern(rig: Rig, inbox: Path, both: PurviewEmulator) -> None:
    """The first match decides; a file without a match stays in place, with a warning."""
    leavers = (
        "UserPrincipalName,PredictionTime,PredictionScore,ModelInfo\nl@contoso.com,2026-11-20T00:00Z,9,m\n"
    )
    (inbox / "leavers").mkdir()
    (inbox / "leavers/l.csv").write_text(leavers)
    (inbox / "s.csv").write_text(text(row(1)))
    (inbox / "notes.txt").write_text("x")
    routes = ["--route", "leavers/*=leaver-prediction", "--route", "*.csv=salesforce-dropbox"]
    at = ["--settle", "0.1", "--emulator", str(rig.directory / "both"), "--once"]
    done = CliRunner().invoke(main, ["watch", str(inbox), *at, *routes])
    assert done.exit_code == 0, done.output
    assert "notes.txt matches no route" in done.stderr
    assert files(inbox) == ["archive/leavers/l.csv", "archive/s.csv", "notes.txt"]
    saved = {job.name: both.records_saved(job.job_id) for job in both.jobs}
    expected = {"leaver-prediction": 1, "salesforce-dropbox": 1}
    assert saved == dict.fromkeys(profiles.shipped_names(), 0) | expected


def test_profiles_of_one_connector_keep_their_own_rules(rig: Rig, inbox: Path) -> None:
    """If two profiles feed one connector, each file's rows are shaped by its own route's profile."""
    for name, zone in (("tokyo", "Asia/Tokyo"), ("london", "UTC")):
        shipped = profiles.shipped_text("leaver-prediction")
        made = shipped.replace("name: leaver-prediction", f"name: {name}").replace(
            "input:", f"input:\n  zone: {zone}"
        )
        made = re.sub("_id: 0{8}-", "_id: 11111111-", made)
        (rig.directory / f"{name}.yaml").write_text(made)
        (inbox / name).mkdir()
        (inbox / name / "x.csv").write_text(
            "UserPrincipalName,PredictionTime,PredictionScore,ModelInfo\n"
            f"{name}@contoso.com,2026-11-20T09:30:00,9,m\n"
        )
    chosen = [profiles.read(str(rig.directory / "tokyo.yaml"))]
    with create_emulator(rig.directory / "one", chosen, Options(), lifetime=60) as started:
        announce(rig.directory / "one", started)
        routes = [
            part
            for name in ("tokyo", "london")
            for part in ("--route", f"{name}/*={rig.directory / name}.yaml")
        ]
        at = ["--settle", "0.1", "--emulator", str(rig.directory / "one"), "--once"]
        done = CliRunner().invoke(main, ["watch", str(inbox), *at, *routes])
    assert done.exit_code == 0, done.output
    payloads = [path.read_text() for path in (rig.directory / "outbox").glob("*/done/*/*/payload")]
    times = dict(
        found
        for text in payloads
        for found in re.findall(r"^(\w+)@contoso.com,([0-9T:-]{16})", text, re.MULTILINE)
    )
    assert times == {"tokyo": "2026-11-20T00:30", "london": "2026-11-20T09:30"}


@pytest.mark.parametrize("args", [[], ["-p", "salesforce-dropbox", "--route", "*=x"], ["--route", "x"]])
def test_invalid_routes_are_refused(inbox: Path, args: list[str]) -> None:
    """Neither --profile nor --route, both, or half a route is a usage error."""
    assert CliRunner().invoke(main, ["watch", str(inbox), *args]).exit_code == 2


class running:  # noqa: N801 - reads as `with running(words) as process`
    """A process that ends with the test, whatever happens."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def __enter__(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            self._words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return self._process

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(30)
        if self._process.stdout is not None:
            self._process.stdout.close()


def wait_for(ready: Callable[[], bool]) -> None:
    """Wait until ``ready``, for a bounded time."""
    end_at = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end_at
        time.sleep(0.05)


def end(process: subprocess.Popen[str]) -> int:
    """Stop a process with SIGTERM; returns its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(30)


@pytest.mark.parametrize("how", [[], ["--poll"]])
def test_a_process_sends_files_as_they_appear_and_stops_on_sigterm(
    rig: Rig, inbox: Path, how: list[str]
) -> None:
    """With notifications or polling a file is sent soon; SIGTERM stops it; a second watch is refused."""
    words = [IRMEXPORT, "--json", "watch", str(inbox), *options(rig), "-p", "salesforce-dropbox", *how]
    with running(words) as process:
        wait_for(lambda: any((rig.directory / "outbox/watched/folders").glob("*/lock")))
        (inbox / "x.csv").write_text(text(row(1)))
        wait_for(lambda: rig.kept() == ["user1@contoso.com"])
        other = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        assert other.returncode == 1
        assert "another `irmexport watch` uses this folder" in other.stdout
        assert end(process) == 0
        printed = process.communicate()[0]
    events = [json.loads(line) for line in printed.splitlines()]
    assert [event["event"] for event in events] == ["taken", "delivery"]
    assert events[0]["file"] == "x.csv"
    assert events[1]["rows_sent"] == 1


def test_a_failed_upload_is_retried_by_the_next_watch(rig: Rig, inbox: Path, once: Watch) -> None:
    """The file is archived, because its rows are in the outbox; the next watch sends them."""
    (inbox / "x.csv").write_text(text(row(1)))
    rig.emulator.faults.next(Fault(on="token", status=503))
    assert once().exit_code == 1
    assert files(inbox) == ["archive/x.csv"]
    assert rig.kept() == []
    assert once().exit_code == 0
    assert rig.kept() == ["user1@contoso.com"]


@pytest.mark.needs("strace")
def test_a_file_at_which_the_process_is_killed_goes_to_errors(rig: Rig, inbox: Path, once: Watch) -> None:
    """The third time. Otherwise each restart would begin with it, and no other file would be sent."""
    poison = inbox / "a.csv"
    poison.write_text(text(row(1)))
    (inbox / "b.csv").write_text(text(row(2)))
    content = hashlib.sha256(poison.read_bytes()).hexdigest()
    processed = ProcessedFiles(str(rig.directory / "outbox"), outbox_name(rig.connection))
    assert [processed.begin(content) for _ in range(ATTEMPTS)] == [0, 1, 2]
    once()
    assert files(inbox) == ["archive/b.csv", "errors/a.csv", "errors/a.csv.error.txt"]
    assert "killed 3 times" in (inbox / "errors/a.csv.error.txt").read_text()
    (inbox / "errors/a.csv").rename(poison)  # an operator who knows better may try it again
    once()
    assert "archive/a.csv" in files(inbox)


@pytest.mark.parametrize(
    ("call", "when"),
    [("rename", 1), ("fsync", 20), ("fsync", 30), ("rename", 3), ("fsync", 36), ("fsync", 40), ("rename", 8)],
)
def test_a_crash_at_any_point_loses_nothing_and_repeats_nothing(
    rig: Rig, inbox: Path, once: Watch, call: str, when: int
) -> None:
    """If it is killed at a system call before the archive, the next watch finishes the work."""
    (inbox / "x.csv").write_text(text(row(1), row(2), BAD))
    (inbox / "y.csv").write_text(text(row(2), row(3)))
    inject = [
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        f"inject={call},{call}at,{call}at2:signal=KILL:when={when}",
    ]
    if call == "fsync":
        inject[-1] = f"inject=fsync:signal=KILL:when={when}"
    words = [IRMEXPORT, "watch", str(inbox), *options(rig), "--once", "-p", "salesforce-dropbox"]
    killed = subprocess.run([*inject, *words], capture_output=True, text=True, check=False, timeout=100)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    once()
    held = [name for name, _ in rig.states()]
    if held == ["HELD"]:  # killed after the last byte: outcome unknown, never sent twice
        assert len(rig.kept()) == len(set(rig.kept()))
        return
    assert rig.kept() == [f"user{n}@contoso.com" for n in (1, 2, 3)]
    assert files(inbox) == ["archive/x.csv", "archive/y.csv", "rejects/x.csv"]


def test_the_unit_runs_what_it_was_made_from(rig: Rig, inbox: Path) -> None:
    """`schedule` writes absolute paths, so the command works from another directory."""
    (inbox / "x.csv").write_text(text(row(1)))
    (rig.directory / "own.yaml").write_text(profiles.shipped_text("salesforce-dropbox"))
    words = [IRMEXPORT, "schedule", "--format", "systemd", "--output", "units", "watch", "in", *options(rig)]
    subprocess.run([*words, "--route", "*.csv=own.yaml"], cwd=rig.directory, check=True, timeout=60)
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(rig.directory / "units" / "irmexport.service")
    writable = shlex.split(unit["Service"]["ReadWritePaths"])
    assert writable == [str(rig.directory / "outbox"), str(inbox)]
    assert unit["Service"]["RestartPreventExitStatus"] == "2"
    command = shlex.split(unit["Service"]["ExecStart"])
    environment = {key: value for key, value in os.environ.items() if key != "IRMEXPORT_OUTBOX"}
    done = subprocess.run([*command, "--once"], cwd="/", env=environment, check=False, timeout=60)
    assert done.returncode == 0
    assert rig.kept() == ["user1@contoso.com"]
