"""`identity` and `scope` from the command line: what is sent and shown, and a directory that is too old."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from irmcli.main import main
from irmcore.profile import shipped_text

from tests.common.irmcore.identity.people import person, write
from tests.with_emulator.connector import HEADER, Rig, row

PEOPLE = [person(number, f"user{number}@contoso.com", created=0.0) for number in (1, 2, 3)]


@pytest.fixture
def folder(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with an outbox and a file of rows, and with profiles that resolve users."""
    monkeypatch.setenv("IRMEXPORT_OUTBOX", str(rig.directory / "outbox"))
    profile = shipped_text("salesforce-dropbox")
    (rig.directory / "default.yaml").write_text(f"{profile}\nidentity: {{}}\n")
    (rig.directory / "scope.yaml").write_text(
        f"{profile}\nidentity: {{directory: default, map: map.csv}}\n"
        "scope: {exclude: {list: council.csv}}\n"
    )
    (rig.directory / "map.csv").write_text("SearchKey,UserPrincipalName\nuser3@contoso.com,\n")
    (rig.directory / "council.csv").write_text("UserPrincipalName\nuser1@contoso.com\n")
    names = ("USER1@contoso.com", PEOPLE[1].object_id, "user3@contoso.com", "nobody@contoso.com")
    lines = [row(n).replace(f"user{n}@contoso.com", name) for n, name in enumerate(names, start=1)]
    (rig.directory / "rows.csv").write_text("\n".join([HEADER, *lines, ""]))
    return rig.directory


def sync(folder: Path, age: float) -> None:
    """Write the default directory as of ``age`` days ago."""
    write(folder / "outbox" / "identities.sqlite", {time.time() - age * 86_400: PEOPLE})


def irmexport(folder: Path, *words: str) -> Result:
    """Run a command."""
    result = CliRunner().invoke(main, [word.replace("{}", str(folder)) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_users_are_resolved_and_sent(rig: Rig, folder: Path) -> None:
    """The service gets user principal names; an unknown name is refused."""
    sync(folder, 1)
    done = irmexport(folder, "send", "{}/rows.csv", "-p", "{}/default.yaml", "--emulator", "{}/emulator")
    assert done.exit_code == 3, done.output
    assert "4 rows read: 3 shaped, 1 refused" in done.output
    assert "user-unknown" in done.output
    assert rig.kept() == [f"user{number}@contoso.com" for number in (1, 2, 3)]


def test_what_is_not_sent_is_counted(rig: Rig, folder: Path) -> None:
    """Rows out of scope and excluded names are in the output, and nowhere else."""
    sync(folder, 1)
    command = ("send", "{}/rows.csv", "-p", "{}/scope.yaml", "--emulator", "{}/emulator")
    text = irmexport(folder, *command, "--dry-run")
    shown = "1 shaped, 1 refused, 1 out of scope, 1 excluded (by the map of names)"
    assert f"4 rows read: {shown}" in text.output
    checked = irmexport(folder, "--json", "check", "{}/rows.csv", "-p", "{}/scope.yaml")
    done = irmexport(folder, "--json", *command)
    counts = {
        "read": 4,
        "shaped": 1,
        "merged": 0,
        "skipped": 0,
        "rejected": 1,
        "out_of_scope": 1,
        "excluded": 1,
    }
    assert json.loads(checked.stdout)["counts"] == json.loads(done.stdout)["counts"] == counts
    assert rig.kept() == ["user2@contoso.com"]
    assert "user1@" not in Path(json.loads(done.stdout)["rejects"]).read_text().lower()


@pytest.mark.parametrize("command", [("check",), ("send", "--dry-run"), ("send",)])
def test_a_directory_that_is_too_old(rig: Rig, folder: Path, command: tuple[str, ...]) -> None:
    """No row is taken without a directory, or with one that is too old; at half the age a run warns."""
    first, *more = command
    words = [first, "{}/rows.csv", "-p", "{}/default.yaml", *more]
    words += ["--emulator", "{}/emulator"] if first == "send" else []
    missing = irmexport(folder, *words)
    assert missing.exit_code == 2
    assert "there is no directory of people" in missing.output
    assert "irmexport identities sync" in missing.output
    sync(folder, 8)
    old = irmexport(folder, *words)
    assert old.exit_code == 2
    assert "`identity.max_age` is 7d" in old.output
    assert "irmexport identities sync" in old.output
    assert rig.kept() == []
    sync(folder, 5)
    warned = irmexport(folder, *words)
    assert warned.exit_code == 3
    assert "runs stop at" in warned.output


def test_watch_waits_for_the_directory(rig: Rig, folder: Path) -> None:
    """A file stays where it is while the directory is missing, and is sent after a sync."""
    inbox = folder / "in"
    inbox.mkdir()
    (folder / "rows.csv").rename(inbox / "rows.csv")
    words = (
        "watch",
        "{}/in",
        "-p",
        "{}/default.yaml",
        "--once",
        "--settle",
        "0.1",
        "--emulator",
        "{}/emulator",
    )
    first = irmexport(folder, *words)
    assert "there is no directory of people" in first.output
    assert not list(inbox.glob("errors/*"))
    sync(folder, 1)
    assert "4 rows read: 3 shaped, 1 refused" in irmexport(folder, *words).output
    assert rig.kept() == [f"user{number}@contoso.com" for number in (1, 2, 3)]
