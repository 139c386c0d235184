"""`irmexport identities …` as an administrator runs it, against the emulator."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from irmcli.main import main
from irmcore.profile import shipped_text

from tests.common.irmcli.identities.tenant_and_directory import TenantAndDirectory, id_of, user
from tests.fakes.emulated_faults import graph_fault

MakeTenant = Callable[..., TenantAndDirectory]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command with an outbox and profiles of its own."""
    (tmp_path / "profiles").mkdir()
    monkeypatch.setenv("IRMEXPORT_PROFILES", str(tmp_path / "profiles"))
    monkeypatch.setenv("IRMEXPORT_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.delenv("IRMEXPORT_IDENTITIES", raising=False)

    def command(*words: object) -> Result:
        return CliRunner().invoke(main, ["identities", *map(str, words)])

    return command


@pytest.fixture
def emulator(tenant_with: MakeTenant) -> TenantAndDirectory:
    """A tenant with two people, announced in its directory, at this machine's time."""
    rig = tenant_with(
        user(1, "ana", onPremisesSamAccountName="ana", onPremisesDomainName="corp.contoso.com"),
        user(2, "ben", otherMails=["ana.mail@contoso.com"]),
    )
    rig.emulator.tenant.now = time.time
    rig.emulator.announce()
    return rig


def document(result: Result) -> Any:
    """The JSON that a command printed."""
    return json.loads(result.stdout)


def test_from_the_sync_to_the_answer(
    run: Callable[..., Result], emulator: TenantAndDirectory, tmp_path: Path
) -> None:
    """Sync, status, explain: the default file is in the outbox directory."""
    synced = run("sync", "--emulator", emulator.emulator.directory, "--netbios", "CONTOSO=corp.contoso.com")
    assert synced.exit_code == 0, synced.output
    assert "Read everybody: 2 objects on 1 page." in synced.output
    assert (tmp_path / "outbox" / "identities.sqlite").stat().st_mode & 0o777 == 0o600
    again = document(run("sync", "--emulator", emulator.emulator.directory, "--json"))
    assert (again["full"], again["read"], again["people"]) == (False, 0, 2)
    status = document(run("status", "--json"))
    assert (status["people"], status["disabled"], status["deleted"], status["source"]) == (2, 0, 0, "entra")
    found = run("explain", "ANA@contoso.com")
    assert found.exit_code == 0
    assert "is ana@contoso.com, by upn." in found.output


def test_a_refused_name_has_reason_and_candidates(
    run: Callable[..., Result], emulator: TenantAndDirectory
) -> None:
    """Exit code 3, as for refused rows."""
    run("sync", "--emulator", emulator.emulator.directory)
    result = run("explain", "ana.mail@contoso.com")
    assert result.exit_code == 3
    assert "is refused: user-ambiguous." in result.output
    assert "It might have meant: ana@contoso.com, ben@contoso.com." in result.output
    told = document(run("explain", "ana.mail@contoso.com", "--json"))
    assert told["candidates"] == ["ana@contoso.com", "ben@contoso.com"]
    assert [version["kind"] for version in told["versions"]] == ["address", "address"]
    assert run("explain", "nobody@contoso.com").exit_code == 3


def test_a_day_before_the_first_sync_is_uncertain(
    run: Callable[..., Result], emulator: TenantAndDirectory
) -> None:
    """An account name is refused; the object id means the same person at all times."""
    run("sync", "--emulator", emulator.emulator.directory)
    early = run("explain", "corp.contoso.com\\ana", "--at", "2021-05-05")
    assert "on 2021-05-05 is refused: user-validity-unknown." in early.output
    assert "The directory was first read at 20" in early.output
    quarter = run("explain", "ana@contoso.com", "--at", "2021-05-05T10:15Z")
    assert "in the 25 hours from 2021-05-05T10:15Z is ana@contoso.com" in quarter.output
    assert (
        "at 2021-05-05T10:16:00Z is" in run("explain", "ana@contoso.com", "--at", "2021-05-05T10:16Z").output
    )
    assert "is ana@contoso.com, by object-id." in run("explain", id_of(1), "--at", "2021-05-05").output


def test_without_a_directory_the_message_says_how_to_get_one(run: Callable[..., Result]) -> None:
    """For the commands that only read."""
    for words in (("status",), ("explain", "x")):
        result = run(*words)
        assert result.exit_code != 0
        assert "irmexport identities sync" in result.output


def test_a_failed_sync_says_what_is_missing(
    run: Callable[..., Result], emulator: TenantAndDirectory, tmp_path: Path
) -> None:
    """With the name of the permission, and exit code 2."""
    emulator.emulator.faults.until_cleared(graph_fault("delta", 403, "Authorization_RequestDenied"))
    result = run("sync", "--emulator", emulator.emulator.directory)
    assert result.exit_code == 2
    assert "User.Read.All" in result.output
    assert not (tmp_path / "outbox" / "identities.sqlite").exists()


def test_the_groups_of_the_profiles_are_read(
    run: Callable[..., Result], emulator: TenantAndDirectory, tmp_path: Path
) -> None:
    """Of those that use the directory; a group's name is refused, because it is not unique."""
    emulator.emulator.tenant.set_group(id_of(100), [id_of(1)])
    text = shipped_text("leaver-prediction")
    mine, other = tmp_path / "profiles" / "mine.yaml", tmp_path / "profiles" / "other.yaml"
    scope = "scope: {{include: {{groups: [{}]}}}}\n"
    mine.write_text(f"{text}\nidentity: {{directory: default}}\n{scope.format(id_of(100))}")
    other.write_text(f"{text}\nidentity: {{directory: /elsewhere.sqlite}}\n{scope.format(id_of(101))}")
    assert document(run("sync", "--emulator", emulator.emulator.directory, "--json"))["groups"] == 1
    told = document(run("explain", "ana@contoso.com", "-p", "mine", "--json"))
    assert told["profile"] == "sent as ana@contoso.com"
    assert document(run("explain", "ben@contoso.com", "-p", "mine", "--json"))["profile"] == "out of scope"
    mine.write_text(f"{text}\nidentity: {{directory: default}}\n{scope.format('Sales')}")
    result = run("sync", "--emulator", emulator.emulator.directory)
    assert result.exit_code == 2
    assert "object id" in result.output


def test_no_emulator_is_announced(run: Callable[..., Result], tmp_path: Path) -> None:
    """The message has the command that starts one."""
    result = run("sync", "--emulator", tmp_path / "none")
    assert result.exit_code == 2
    assert "irmexport identities emulator --directory" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--netbios", "corp.contoso.com"), "CONTOSO=corp.contoso.com"),
        (("--credential", "secret-value"), "file:PATH"),
        (("--sign-in", "app"), "--client-id"),
    ],
)
def test_wrong_options_are_explained(
    run: Callable[..., Result], words: tuple[str, ...], message: str
) -> None:
    """Before anything is read."""
    result = run("sync", *words)
    assert result.exit_code == 2
    assert message in result.output


def test_people_from_a_file_become_a_lookup(run: Callable[..., Result], tmp_path: Path) -> None:
    """Import, then export for Splunk, mode 0600."""
    file = tmp_path / "people.csv"
    file.write_text("user_principal_name,mails,created\nana@contoso.com,a@contoso.com,2020-01-01T00:00Z\n")
    imported = run("import", file, "--at", "2026-11-01T00:00Z")
    assert imported.exit_code == 0, imported.output
    lookup = tmp_path / "lookup.csv"
    assert document(run("export", "--splunk", lookup, "--json"))["rows"] == 3
    assert lookup.stat().st_mode & 0o777 == 0o600
    rows = list(csv.DictReader(lookup.open()))
    assert [(row["name"], row["kind"], row["holders"]) for row in rows] == [
        ("a@contoso.com", "address", "1"),
        ("ana@contoso.com", "upn", "1"),
        ("user:ana@contoso.com", "object-id", "1"),
    ]
    read = datetime(2026, 11, 1, tzinfo=UTC)
    assert {int(row["valid_to"]) for row in rows} == {int((read + timedelta(days=7)).timestamp())}
    run("export", "--splunk", lookup, "--max-age", "36h")
    rows = list(csv.DictReader(lookup.open()))
    assert {int(row["valid_to"]) for row in rows} == {int((read + timedelta(hours=36)).timestamp())}
    for wrong in ("7", "0d", "d", "-1d", "7 d"):
        assert run("export", "--splunk", lookup, f"--max-age={wrong}").exit_code == 2


def test_a_sync_can_be_scheduled(run: Callable[..., Result]) -> None:
    """Without a secret in the file."""
    words = ["schedule", "--format", "cron", "identities", "sync", "--sign-in", "managed-identity"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "identities sync --sign-in managed-identity" in result.output
