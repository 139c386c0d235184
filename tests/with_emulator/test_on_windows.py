"""The commands of a daily export, in a Python that behaves as on Windows (tests/fakes/windows)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from xml.etree import ElementTree

import pytest
from irmcore import profile as profiles
from irmemulator.faults import Fault

from tests.fakes.test_emulated_windows import environment, windows_path
from tests.with_emulator.connector import HEADER, Rig, row

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A running emulator, in a directory whose path is short enough for Windows."""
    with tempfile.TemporaryDirectory(prefix="w") as directory:
        made = Rig(Path(directory).resolve())
        made.start()
        yield made
        made.emulator.stop()


@pytest.fixture
def irmexport(rig: Rig) -> Run:
    """Run a command there; {at} stands for the options of the profile and the emulator."""
    at = ("-p", "salesforce-dropbox", "--emulator", windows_path(rig.directory / "emulator"))

    def run(*args: str, stdin: str = "", **more: str) -> CompletedProcess[str]:
        words = [word for arg in args for word in (at if arg == "{at}" else (arg,))]
        return subprocess.run(
            [sys.executable, "-m", "irmcli", *words],
            cwd=rig.directory,
            env=environment(rig.directory) | more,
            input=stdin,
            capture_output=True,
            encoding="cp1252",
            check=False,
            timeout=120,
        )

    return run


def rows(rig: Rig, *lines: str) -> str:
    """The path, as Windows has it, of a CSV file with these rows and with Windows' line ends."""
    path = rig.directory / "rows.csv"
    path.write_bytes("\r\n".join([HEADER, *lines, ""]).encode())
    return windows_path(path)


def document(done: CompletedProcess[str]) -> Any:
    """The JSON document that a command printed."""
    return json.loads(done.stdout)


def test_rows_are_checked_sent_and_shown(rig: Rig, irmexport: Run) -> None:
    """check, send, status, audit and doctor work, and a second send of the same rows sends nothing."""
    file = rows(rig, row(1), row(2), "bradh,Name,Low,50,2026-11-20T00:00:00Z,Salesforce,text,")
    checked = irmexport("check", file, "-p", "salesforce-dropbox")
    assert (checked.returncode, "3 rows read: 2 shaped, 1 refused" in checked.stdout) == (3, True), checked
    sent = irmexport("send", file, "{at}")
    assert (sent.returncode, "Upload Successful" in sent.stdout) == (3, True), sent
    assert rig.kept() == ["user1@contoso.com", "user2@contoso.com"]
    again = irmexport("send", file, "{at}")
    assert (again.returncode, "2 skipped (accepted before)" in again.stdout) == (3, True), again
    (shown,) = document(irmexport("status", "--json"))
    assert (shown["queued"], shown["trouble"], shown["needs_person"]) == (0, "", False), shown
    assert irmexport("audit", "--verify").returncode == 0
    assert len(rig.kept()) == 2


def test_what_the_service_refuses_for_now_is_sent_by_drain(rig: Rig, irmexport: Run) -> None:
    """Rows outlast a service that is away: `drain` sends them, once."""
    rig.emulator.faults.next(Fault(status=503, retry_after=0))
    queued = irmexport("send", rows(rig, row(1)), "{at}")
    assert queued.returncode == 1, queued
    assert rig.kept() == []
    for _ in range(2):
        drained = irmexport("drain")
        assert drained.returncode == 0, drained
    assert rig.kept() == ["user1@contoso.com"]


@pytest.mark.parametrize("stored", ["file", "env"])
def test_a_credential_is_read(rig: Rig, irmexport: Run, stored: str) -> None:
    """From a file, whose access control list is Windows' affair, and from the environment of the task."""
    file = rig.directory / "secret.txt"
    file.write_bytes(b"\xef\xbb\xbfthe-made-up-secret\r\n")
    file.chmod(0o644)
    name = {"file": windows_path(file), "env": "THE_SECRET"}[stored]
    text = profiles.shipped_text("leaver-prediction")
    (line,) = re.findall(r"credential: .*", text)
    text = text.replace(line, f"credential: {{{stored}: '{name}'}}")
    (rig.directory / "mine.yaml").write_text(text)
    checked = irmexport("credential", "check", "-p", "mine.yaml", THE_SECRET="the-made-up-secret")
    assert checked.returncode == 0, checked
    assert "the-made-up-secret" not in checked.stdout + checked.stderr


def test_a_secret_is_stored_in_a_file(rig: Rig, irmexport: Run) -> None:
    """The command says that the file's access control list is not checked, and how to set it."""
    text, secret = profiles.shipped_text("leaver-prediction"), windows_path(rig.directory / "secret.txt")
    (line,) = re.findall(r"credential: .*", text)
    (rig.directory / "mine.yaml").write_text(text.replace(line, f"credential: {{file: '{secret}'}}"))
    stored = irmexport("credential", "set", "-p", "mine.yaml", stdin="the-made-up-secret")
    assert stored.returncode == 0, stored
    assert f"Run: icacls {secret} /inheritance:r /grant:r sarad:F" in stored.stderr
    assert irmexport("credential", "check", "-p", "mine.yaml").returncode == 0


def test_the_commands_of_the_page_run(rig: Rig, irmexport: Run) -> None:
    """docs/windows.md from its first irmexport command to its last, with the emulator as the service."""
    page = (Path(__file__).parents[2] / "docs" / "windows.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^ *irmexport (.+)$", "\n".join(blocks), re.MULTILINE)
    assert len(lines) >= 8
    profile = rig.directory / "my-profile.yaml"
    rows(rig, row(1))
    (rig.directory / "rows.csv").rename(rig.directory / "detections.csv")
    for line in lines:
        words = line.replace("C:\\irmexport", windows_path(rig.directory)).split()
        words = words[: words.index(">")] if ">" in words else words
        more = ["--emulator", windows_path(rig.directory / "emulator")] if words[0] == "send" else []
        done = irmexport(*words, *more, stdin="the-made-up-secret")
        assert done.returncode == 0, (line, done)
        if ">" in line:
            text = done.stdout.replace(
                "{env: IRMEXPORT_SECRET}", f"{{file: '{windows_path(rig.directory)}\\secret.txt'}}"
            )
            profile.write_bytes(text.encode("utf-16"))  # as PowerShell does
    assert sorted(file.name for file in rig.directory.glob("*.xml")) == ["irmexport.xml"]


def test_two_commands_at_once_accept_each_row_once(rig: Rig, irmexport: Run) -> None:
    """The locks of Windows exclude each other, and what both accepted arrives once."""
    file = rows(rig, *map(row, range(40)))
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: irmexport("send", file, "{at}"), range(2)))
    assert [each.returncode for each in done] == [0, 0], done
    assert irmexport("drain").returncode == 0
    assert rig.kept() == sorted(f"user{number}@contoso.com" for number in range(40))


def test_a_batch_that_somebody_reads_is_sent(rig: Rig, irmexport: Run) -> None:
    """A file that another program has open cannot move yet; the batch has its receipt, and moves later."""
    assert irmexport("send", rows(rig, row(1)), "{at}", "--queue-only").returncode == 0
    (payload,) = rig.directory.glob("Local/irmexport/irmexport/outbox/*/ready/*/payload")
    script = f"import os; file = open({windows_path(payload)!r}); print('open', flush=True); input()"
    reader = subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment(rig.directory),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        drained = irmexport("drain")
        assert payload.exists()
        reader.communicate(b"\n")
    assert drained.returncode == 0, drained
    assert rig.kept() == ["user1@contoso.com"]
    assert irmexport("drain").returncode == 0
    assert (payload.exists(), len(rig.kept())) == (False, 1)


def test_a_time_zone_is_known(rig: Rig, irmexport: Run) -> None:
    """Windows has no time zones for Python, so irmexport brings them."""
    (rig.directory / "rows.csv").write_text(f"{HEADER}\n{row(1).replace('Z,', ',')}\n")
    text = profiles.shipped_text("salesforce-dropbox") + "\ninput:\n  zone: Europe/Berlin\n"
    (rig.directory / "mine.yaml").write_text(text)
    checked = irmexport("check", "rows.csv", "-p", "mine.yaml")
    assert (checked.returncode, "1 row read: 1 shaped" in checked.stdout) == (0, True), checked


def test_a_task_names_the_launcher_and_the_account(rig: Rig) -> None:
    """Pip's launcher has .exe, which its first argument lacks; the next command is whole."""
    (rig.directory / "irmexport.exe").touch()
    script = "import sys; sys.argv[0] = 'irmexport'; from irmcli.main import main; main()"
    words = ("--outbox", "box", "schedule", "--format", "windows-task", "--output", "my tasks", "drain")
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=rig.directory,
        env=environment(rig.directory),
        capture_output=True,
        encoding="cp1252",
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done
    task = ElementTree.fromstring((rig.directory / "my tasks" / "irmexport.xml").read_bytes())  # noqa: S314
    found = {element.tag.rpartition("}")[2]: element.text for element in task.iter()}
    here = windows_path(rig.directory)
    assert (found["Command"], found["Arguments"]) == (f"{here}\\irmexport.exe", f"--outbox {here}\\box drain")
    assert (
        done.stdout.splitlines()[-1]
        == 'schtasks /create /tn irmexport /xml "my tasks\\irmexport.xml" /ru sarad /rp *'
    )


def test_every_module_can_be_imported(rig: Rig) -> None:
    """No module needs what Windows lacks until it is used; `watch` says that it does not run there."""
    script = """
import importlib, pkgutil, irmcli, irmcore, irmemulator, irmsentinel
for package in (irmcli, irmcore, irmemulator, irmsentinel):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
from irmcli.main import main
main(["watch", "."])
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=rig.directory,
        env=environment(rig.directory),
        capture_output=True,
        encoding="cp1252",
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "error: `watch` does not run on Windows, where a directory cannot be opened.",
    )


def test_a_character_that_the_code_page_lacks_stops_nothing(rig: Rig, irmexport: Run) -> None:
    """A file of output on Windows is CP1252 by default; another character is escaped."""
    (rig.directory / "\N{HIRAGANA LETTER A}.csv").write_text(f"{HEADER}\n{row(1)}\n")
    scheduled = irmexport("schedule", "--format", "windows-task", "send", "\N{HIRAGANA LETTER A}.csv", "{at}")
    assert (scheduled.returncode, "\\u3042.csv" in scheduled.stdout) == (0, True), scheduled


def test_other_commands_work_there(rig: Rig, irmexport: Run) -> None:
    """Those that write, replace or delete files: reports, keys, a person's rows, the directory of people."""
    send = ("send", rows(rig, row(1), row(2), row(3).replace("user3@contoso.com", "bradh")), "{at}")
    assert irmexport(*send, "--queue-only").returncode == 3
    people = rig.directory / "people.csv"
    people.write_text(
        "object_id,user_principal_name\n5f0c0a52-6a8e-4a32-9d2c-0f2f6f6f0001,user1@contoso.com\n"
    )
    name = rig.profile.name
    for command in (
        ("identities", "import", "people.csv"),
        ("identities", "status"),
        ("export-rejects", name),
        ("outbox", "key", "backup", name, "leavers.key"),
        ("outbox", "key", "rotate", name),
        ("person", "export", "user1@contoso.com", "user1.json"),
        ("person", "erase", "user1@contoso.com", "--why", "a test"),
        ("outbox", "repair", name),
        ("drain",),
        ("report", "--output", "report.html"),
        ("status",),
    ):
        done = irmexport(*command)
        assert done.returncode == 0, (command, done)
    assert rig.kept() == ["user2@contoso.com"]
    assert irmexport("audit", "--verify").returncode == 0


def test_the_emulator_runs_there(irmexport: Run, rig: Rig) -> None:
    """It writes its keys, and a send on the same machine finds them."""
    own = windows_path(rig.directory / "own")
    command = [sys.executable, "-um", "irmcli", "emulator", "--port", "0", "--directory", own]
    with subprocess.Popen(
        command, env=environment(rig.directory), stdout=subprocess.PIPE, encoding="cp1252"
    ) as emulator:
        try:
            assert emulator.stdout is not None
            while "It stops after " not in (line := emulator.stdout.readline()):
                assert line
            sent = irmexport("send", rows(rig, row(1)), "-p", "salesforce-dropbox", "--emulator", own)
        finally:
            emulator.terminate()
    assert (sent.returncode, "Upload Successful" in sent.stdout) == (0, True), sent


def test_a_lock_is_shared_or_held_alone(rig: Rig) -> None:
    """As on the other disks, although msvcrt has no shared locks."""
    script = """
from irmcore.disk import system_disk
disk = system_disk()
one, two, alone = (disk.try_lock("lock", shared=shared) for shared in (True, True, False))
print(type(disk).__name__, bool(one), bool(two), bool(alone))
one.release(); two.release()
alone, other, third = (disk.try_lock("lock", shared=shared) for shared in (False, True, False))
print(bool(alone), bool(other), bool(third))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=rig.directory,
        env=environment(rig.directory),
        capture_output=True,
        encoding="cp1252",
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["WindowsDisk", "True", "True", "False", "True", "False", "False"]
