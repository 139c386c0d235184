"""`irmexport person` on outboxes, watched folders and the directory of people, as a user runs it."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from irmcli.main import main
from irmcore.clock import SystemClock
from irmcore.delivery import connection as connections
from irmcore.disk import PosixDisk
from irmcore.operations.connectors import Connectors
from irmcore.outbox import promotion_note
from irmcore.outbox.batch_files import read_rowkeys
from irmcore.outbox.rowkeys import unpack
from irmcore.profile import CredentialRef
from irmemulator.faults import Fault

from tests.common.irmcore.identity.people import FIRST, day, person, write
from tests.common.irmcore.operations.test_person import encodings
from tests.with_emulator.connector import HEADER, Rig, row

WHY = ("--why", "request 7")
Run = Callable[..., Result]


def irmexport(outbox: Path, *args: str) -> Result:
    """Run the command with an outbox directory."""
    result = CliRunner().invoke(main, ["--outbox", str(outbox), *args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def run(rig: Rig) -> Run:
    """Run the command with the outbox of the rig; {at} stands for its profile and emulator."""
    at = ("-p", "salesforce-dropbox", "--emulator", str(rig.directory / "emulator"))

    def run(*args: str) -> Result:
        words = [word for arg in args for word in (at if arg == "{at}" else (arg,))]
        return irmexport(rig.directory / "outbox", *words)

    return run


def rows(rig: Rig, *lines: str) -> str:
    """A CSV file with these rows."""
    path = rig.directory / "rows.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return str(path)


def listed(result: Result) -> list[tuple[str, str, int]]:
    """What a command found: what, state and count."""
    found: Any = json.loads(result.stdout)
    return [(one["what"], one["state"], one["count"]) for one in found]


def holders(root: Path, wanted: list[bytes]) -> list[Path]:
    """The files that hold one of these, in their content or their path."""
    found = [path for path in root.rglob("*") if path.is_file()]
    return [
        path for path in found if any(one in path.read_bytes() or one in str(path).encode() for one in wanted)
    ]


@pytest.mark.timeout(400)
def test_nothing_of_a_person_is_left_of_the_demo(tmp_path: Path) -> None:
    """After the demo and rows that are still queued, no file of the outbox has the name or a row key."""
    outbox = tmp_path / "demo" / "outbox"
    assert irmexport(outbox, "demo", "--directory", str(tmp_path / "demo")).exit_code == 0
    file = tmp_path / "rows.csv"
    file.write_text("\n".join([HEADER, row(1).replace("user1@", "sarad@"), row(2)]) + "\n")
    at = ("-p", "salesforce-dropbox", "--emulator", str(tmp_path / "demo" / "emulator"))
    assert irmexport(outbox, "send", str(file), *at, "--queue-only").exit_code == 0
    outboxes = Connectors(PosixDisk(), SystemClock(), str(outbox)).outboxes()
    records = [read_rowkeys(one, batch) for one in outboxes for batch in one.all_batches()]
    keys = {key.key for record in records for key in unpack(record)}
    hashes = [form for key in keys for part in (key, key[:16]) for form in (part, part.hex().encode())]
    assert keys
    assert len(holders(outbox, encodings("sarad@contoso.com"))) > 4
    found = irmexport(outbox, "person", "find", "sarad@contoso.com", "--json")
    assert {what for what, _, _ in listed(found)} == {"rows", "refused rows"}  # of HR
    assert ("rows", "READY", 1) in listed(found)
    done = irmexport(outbox, "person", "erase", "sarad@contoso.com", *WHY)
    assert done.exit_code == 0, done.output
    assert "What was uploaded cannot be recalled" in done.stdout
    assert holders(outbox, [*encodings("sarad@contoso.com"), *encodings("SaraD@contoso.com"), *hashes]) == []
    assert "Nothing was found." in irmexport(outbox, "person", "find", "sarad@contoso.com").stdout
    assert "request 7" in irmexport(outbox, "audit").stdout


def test_the_others_rows_are_sent(rig: Rig, run: Run) -> None:
    """A queued batch of two people becomes one of the other, which the service gets once."""
    run("send", rows(rig, row(1), row(2)), "{at}", "--queue-only")
    assert run("person", "erase", "user1@contoso.com", *WHY).exit_code == 0
    assert run("drain").exit_code == 0
    assert rig.kept() == ["user2@contoso.com"]
    assert "2 skipped" in run("send", rows(rig, row(1), row(2)), "{at}").stdout
    assert rig.kept() == ["user2@contoso.com"]


def test_what_is_held_is_told(rig: Rig, run: Run) -> None:
    """The person's rows go from a held batch, and the output says that the service may have them."""
    rig.emulator.faults.next(Fault(reset_after_last_byte=True))
    run("send", rows(rig, row(1), row(2)), "{at}")
    done = run("person", "erase", "user1@contoso.com", *WHY)
    assert "of 1 row it is unknown whether the service has them" in done.stdout
    assert [name for name, _ in rig.states() if name == "HELD"] == ["HELD"]


def test_an_export_is_private_and_complete(rig: Rig, run: Run) -> None:
    """It has the rows, refused rows and names; it has mode 0600 and replaces no file."""
    run("send", rows(rig, row(1), row(1).replace("2026-11-20", "never")), "{at}")
    file = rig.directory / "export.json"
    assert run("person", "export", "user1@contoso.com", str(file)).exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    document = json.loads(file.read_text())
    assert document["names"] == ["user1@contoso.com"]
    assert [one["what"] for one in document["found"]] == ["rows", "refused rows"]
    assert "user1@contoso.com" in document["found"][0]["values"][0].values()
    again = run("person", "export", "user1@contoso.com", str(file))
    assert again.exit_code == 2
    assert "exists already" in again.stderr


def test_files_of_a_watched_folder(rig: Rig, run: Run) -> None:
    """Processed files that name the person are deleted; one in errors/ is left and named."""
    inbox = rig.directory / "in"
    inbox.mkdir()
    (inbox / "one.csv").write_text("\n".join([HEADER, row(1), row(1).replace("2026-11-20", "never")]) + "\n")
    (inbox / "two.csv").write_text("\n".join([HEADER, row(2)]) + "\n")
    (inbox / "bad.csv").write_text("no,header\nuser1@contoso.com,1\n")
    run("watch", str(inbox), "--once", "--settle", "0.1", "{at}")
    found = listed(run("person", "find", "user1@contoso.com", "--json"))
    what = "file of a watched folder"
    assert {(what, "archive", 2), (what, "rejects", 1), (what, "errors", 1)} <= set(found)
    done = run("person", "erase", "user1@contoso.com", *WHY)
    assert done.exit_code == 4
    assert "correct or delete the file" in done.stdout
    left = sorted(str(path.relative_to(inbox)) for path in inbox.rglob("*") if path.is_file())
    assert left == ["archive/two.csv", "errors/bad.csv", "errors/bad.csv.error.txt"]


def test_the_directory_gives_the_other_names(rig: Rig, run: Run) -> None:
    """Rows under any name of the person are found; a name that means two people is refused."""
    sara = replace(person(1, "user1@contoso.com", "first.name@contoso.com"), employee_id="77")
    other = person(2, "leo@contoso.com", "first.name@contoso.com")
    path = rig.directory / "outbox" / "identities.sqlite"
    write(path, {FIRST: [sara, other], day(3): [other]})
    run("send", rows(rig, row(1), row(2)), "{at}", "--queue-only")
    found = run("person", "find", "77", "--json")
    assert [what for what, _, _ in listed(found)] == ["rows", "directory of people"]
    assert "1 name that other people have had" in found.stderr
    doubtful = run("person", "find", "first.name@contoso.com")
    assert doubtful.exit_code != 0
    assert f"{sara.object_id}, {other.object_id}" in doubtful.stderr
    assert run("person", "erase", "77", *WHY).exit_code == 0
    after = run("person", "find", sara.object_id, "--json")
    assert listed(after) == []
    assert listed(run("person", "find", "leo@contoso.com", "--json")) == [
        ("directory of people", "mirrors Microsoft Entra", 1)
    ]


def test_a_number_is_no_name(run: Run) -> None:
    """Without a directory that knows it, a number could be any value of a row."""
    assert "user principal name" in run("person", "find", "1001").stderr


def test_the_outbox_of_the_splunk_app(rig: Rig, run: Run) -> None:
    """The command works there as splunkd's user; it needs no secret."""
    run("send", rows(rig, row(1), row(2)), "{at}", "--queue-only")
    connection = rig.connection
    connector = replace(connection.connector, credential=CredentialRef("splunk", "leavers"))
    connections.save(rig.outbox, replace(connection, connector=connector))
    assert run("person", "erase", "user1@contoso.com", *WHY).exit_code == 0
    assert holders(Path(rig.outbox.path), encodings("user1@contoso.com")) == []


def test_rows_that_were_moved_to_a_shared_outbox_are_not_forgotten(rig: Rig, run: Run) -> None:
    """As on a member of a search head cluster. They are not searched from there, and that is no success."""
    run("send", rows(rig, row(1)), "{at}", "--queue-only")
    (outbox,) = Connectors(PosixDisk(), SystemClock(), str(rig.directory / "outbox")).outboxes()
    promotion_note.write(outbox, {"run": "one"})
    found = run("--json", "person", "find", "user1@contoso.com")
    assert listed(found)[0] == ("outbox that machines share", "not searched", 0)
    erased = run("person", "erase", "user1@contoso.com", *WHY)
    assert erased.exit_code == 4
    assert "POST irmexport/person/erase" in erased.output


def test_a_reason_that_names_the_person_is_refused(rig: Rig, run: Run) -> None:
    """It would be in the audit for good."""
    run("send", rows(rig, row(1)), "{at}", "--queue-only")
    done = run("person", "erase", "user1@contoso.com", "--why", "user1@contoso.com asked")
    assert done.exit_code != 0
    assert "the reason names the person" in done.stderr
    assert rig.outbox.count_ready() == 1
