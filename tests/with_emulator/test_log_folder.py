"""`irmexport reconcile --folder`: logs of the portal are compared without a person, and nothing is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from irmcore.clock import iso
from irmcore.delivery import connection as connections
from irmcore.disk import PosixDisk
from irmcore.outbox import Outbox, audit_log
from irmemulator.faults import Fault

from tests.fakes.clock import FakeClock
from tests.with_emulator.connector import Rig, Run, row

Read = Callable[..., Result]
OTHER_JOB = "11111111-2222-4333-8444-555555555555"
NOW = time.time()


def at(hours: float) -> str:
    """The time so many hours ago."""
    return iso(NOW - hours * 3600)


def log(*entries: tuple[float, int]) -> str:
    """A log with RecordsSaved so many hours ago."""
    return "Time,RecordsSaved\n" + "".join(f"{at(hours)},{saved}\n" for hours, saved in entries)


@pytest.fixture
def logs(rig: Rig) -> Path:
    """The folder, and three uploads of two rows, 50, 26 and 2 hours ago."""
    for number, hours in enumerate((50, 26, 2)):
        rig.clock = FakeClock(NOW - hours * 3600)
        rig.accept([row(2 * number + 1), row(2 * number + 2)])
        rig.drain()
    connections.save(rig.outbox, rig.connection)
    folder = rig.directory / "logs"
    folder.mkdir()
    return folder


@pytest.fixture
def read(irmexport: Run, logs: Path) -> Read:
    """Run the command on the folder."""

    def run(*words: str) -> Result:
        return irmexport(*words, "reconcile", "--folder", logs.name, "--settle", "0.1")

    return run


def files(folder: Path) -> list[str]:
    """All files of the folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def recorded(rig: Rig) -> list[tuple[int, int | None]]:
    """Rows and saved rows of each comparison on record."""
    events = audit_log.read(rig.outbox)
    return [(event["rows"], event["saved"]) for event in events if event["event"] == "reconciled"]


def test_a_log_is_compared_by_day_and_archived(rig: Rig, logs: Path, read: Read, irmexport: Run) -> None:
    """Expected and saved rows of each day; what is later than the log is left to the next one."""
    (logs / "monday.csv").write_text(log((50, 2), (26, 2)))
    done = read()
    assert done.exit_code == 0, done.output
    for hours in (50, 26):
        assert any(line.split() == [at(hours)[:10], "1", "2", "2", "0"] for line in done.stdout.splitlines())
    assert files(logs) == ["archive/monday.csv"]
    assert recorded(rig) == [(2, 2), (2, 2)]
    assert irmexport("status").exit_code == 0


def test_the_same_log_and_what_a_later_log_repeats_are_recorded_once(
    rig: Rig, logs: Path, read: Read
) -> None:
    """A content is read once under any name, and the portal's log may repeat what it has said before."""
    (logs / "a.csv").write_text(log((50, 2), (26, 2)))
    read()
    (logs / "b.csv").write_text(log((50, 2), (26, 2)))
    (logs / "c.csv").write_text(log((50, 2), (26, 2), (2, 2)))
    done = read()
    assert done.exit_code == 0
    assert "b.csv: processed before, nothing to do" in done.stdout
    assert recorded(rig) == [(2, 2)] * 3
    assert files(logs) == ["archive/a.csv", "archive/b.csv", "archive/c.csv"]
    assert "There is no new log" in read().stdout


def test_a_crash_after_the_record_repeats_nothing(rig: Rig, logs: Path, read: Read) -> None:
    """A process that died before the file was marked and moved reads it again, and records nothing twice."""
    (logs / "a.csv").write_text(log((50, 1), (26, 2)))
    read()
    for mark in (rig.directory / "outbox" / "watched" / rig.outbox.name).glob("??/*"):
        mark.unlink()
    (logs / "archive" / "a.csv").rename(logs / "a.csv")
    assert read().exit_code == 4
    assert recorded(rig) == [(2, 1), (2, 2)]
    assert files(logs) == ["archive/a.csv"]


def test_a_difference_needs_a_person_until_it_is_explained(logs: Path, read: Read, irmexport: Run) -> None:
    """Exit 4 here, of status and of doctor; a metric; and the command that explains it, with its reason."""
    (logs / "a.csv").write_text(log((50, 2), (26, 1)))
    done = read("--json")
    assert done.exit_code == 4
    (event,) = json.loads(done.stdout)["logs"]
    assert [day["difference"] for day in event["days"]] == [0, -1]
    (upload,) = event["uploads"]
    assert (upload["rows"], upload["saved"]) == (2, 1)
    status = irmexport("status")
    assert status.exit_code == 4
    assert "difference: 1 upload, 2 rows sent, 1 in the connector's log" in status.stdout
    command = f"irmexport reconcile --batch {upload['batch']} --saved 1"
    assert command in status.stdout
    doctor = irmexport("doctor")
    assert (doctor.exit_code, command in doctor.stdout) == (4, True)
    metrics = irmexport("metrics").stdout
    assert 'irmexport_difference_rows{connector="' in metrics
    assert metrics.split("irmexport_difference_rows{")[1].split("} ")[1].startswith("1.0\n")
    assert irmexport(*command.split()[1:]).exit_code == 4
    assert irmexport("status").exit_code == 4
    assert irmexport(*command.split()[1:], "--why", "wrong related value").exit_code == 0
    assert irmexport("status").exit_code == 0
    assert "wrong related value" in irmexport("audit").stdout
    (logs / "b.csv").write_text(log((50, 2), (26, 1), (2, 2)))
    read()
    assert irmexport("status").exit_code == 0, "what was explained stays so"


def test_a_later_log_ends_a_difference(logs: Path, read: Read, irmexport: Run) -> None:
    """The service may save rows after a log was downloaded."""
    (logs / "a.csv").write_text(log((50, 2), (26, 0)))
    assert read().exit_code == 4
    (logs / "b.csv").write_text(log((50, 2), (26, 2)))
    assert read().exit_code == 0
    assert irmexport("status").exit_code == 0


def test_an_upload_without_entry_between_others_is_a_difference(
    rig: Rig, logs: Path, read: Read, irmexport: Run
) -> None:
    """The log has the uploads before and after it, so it should have this one."""
    (logs / "a.csv").write_text(log((50, 2), (2, 2)))
    done = read()
    assert done.exit_code == 4
    assert "the log has no entry for this upload" in done.stdout
    assert sorted(recorded(rig), key=str) == [(2, 2), (2, 2), (2, None)]
    assert "1 upload, 2 rows sent, 0 in the connector's log" in irmexport("status").stdout


def test_a_held_upload_stays_held(rig: Rig, logs: Path, read: Read, irmexport: Run) -> None:
    """The command that resolves it is printed; only a person runs it, and that ends a difference."""
    rig.clock = FakeClock(NOW - 3600)
    rig.accept([row(7), row(8)])
    rig.emulator.faults.next(Fault(reset_after_last_byte=True))
    rig.drain()
    (batch,) = rig.batches()
    (logs / "a.csv").write_text(log((2, 2), (1, 2)))
    done = read()
    assert f"all rows were saved: irmexport resolve {batch.id[:12]} --sent" in done.stdout
    assert [state for state, _ in rig.states()] == ["HELD"]
    (logs / "b.csv").write_text(log((2, 2), (1, 1)))
    assert read().exit_code == 4
    assert [state for state, _ in rig.states()] == ["HELD"]
    assert "difference" not in irmexport("status").stdout, "a held batch needs a person already"
    irmexport("resolve", batch.id[:12], "--sent", "--why", "one row is missing, as the log says")
    assert irmexport("status").exit_code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("Dear colleague, see below.\n", "does not contain RecordsSaved", id="no-log"),
        pytest.param(log((900, 2)), "every entry of the log is older", id="old"),
        pytest.param("RecordsSaved: 2\n", "the entries of the log have no time", id="no-times"),
        pytest.param(log((40, 2), (39, 2)), "no entry of the log is near an upload", id="other-uploads"),
        pytest.param("RecordsSaved: many\n", "line 1 names RecordsSaved without", id="no-number"),
    ],
)
def test_a_file_that_says_nothing_is_kept_with_the_reason(
    rig: Rig, logs: Path, read: Read, text: str, said: str
) -> None:
    """It moves to errors/ unchanged, with what is wrong and what to do; nothing is recorded."""
    (logs / "x.csv").write_text(text)
    done = read()
    assert done.exit_code == 1, done.output
    assert said in (logs / "errors" / "x.csv.error.txt").read_text()
    assert (logs / "errors" / "x.csv").read_text() == text
    assert recorded(rig) == []


def test_what_can_be_read_of_a_cut_log_counts(rig: Rig, logs: Path, read: Read) -> None:
    """Its other lines are named, and the file is kept for a person."""
    (logs / "x.csv").write_text(log((50, 2), (26, 2)) + f"{at(2)},")
    done = read()
    assert done.exit_code == 1
    assert recorded(rig) == [(2, 2), (2, 2)]
    assert (
        "line 4 names RecordsSaved without a readable number"
        in (logs / "errors" / "x.csv.error.txt").read_text()
    )
    assert "the rest of the log was compared" in done.stderr


def test_rows_of_another_sender_are_reported(rig: Rig, logs: Path, read: Read) -> None:
    """An entry of rows without an upload counts in its day and is named; one without rows does not matter."""
    (logs / "x.csv").write_text(log((50, 2), (40, 7), (30, 0), (26, 2)))
    done = read()
    assert done.exit_code == 1
    assert any(line.split()[-1:] == ["7"] for line in done.stdout.splitlines())
    told = (logs / "errors" / "x.csv.error.txt").read_text()
    assert f"line 3: RecordsSaved 7 of {at(40)} matches no upload" in told
    assert "line 4" not in told
    assert recorded(rig) == [(2, 2), (2, 2)]


def test_rows_of_another_sender_are_reported_once(rig: Rig, logs: Path, read: Read) -> None:
    """A later log that repeats the entry is archived; a new entry is named, without the one before."""
    (logs / "x.csv").write_text(log((50, 2), (40, 7), (26, 2)))
    assert read().exit_code == 1
    (logs / "y.csv").write_text(log((50, 2), (40, 7), (26, 2), (2, 2)))
    done = read()
    assert done.exit_code == 0, done.output
    assert any(line.split()[-1:] == ["7"] for line in done.stdout.splitlines())
    assert "archive/y.csv" in files(logs)
    (logs / "z.csv").write_text(log((50, 2), (40, 7), (26, 2), (2, 2), (1, 8)))
    assert read().exit_code == 1
    told = (logs / "errors" / "z.csv.error.txt").read_text()
    assert "RecordsSaved 8" in told
    assert ("RecordsSaved 7" in told) == (at(40)[:10] == at(1)[:10])


def test_the_entry_of_a_refused_attempt_is_no_difference(rig: Rig, logs: Path, read: Read) -> None:
    """The service refused the first attempt, and the log ends before the entry of the second one."""
    rig.clock = FakeClock(NOW - 3600)
    rig.accept([row(7), row(8)])
    rig.emulator.faults.next(Fault(status=503))
    rig.drain()
    rig.clock = FakeClock(NOW - 3300)
    rig.drain()
    (logs / "x.csv").write_text(log((2, 2), (1, 0)))
    done = read()
    assert done.exit_code == 0, done.output
    assert recorded(rig) == [(2, 2)]
    (logs / "y.csv").write_text(log((1, 0)))
    assert read().exit_code == 0
    assert files(logs) == ["archive/x.csv", "archive/y.csv"]
    with (logs / "z.csv").open("w") as file:
        file.write(log((2, 2), (1, 0), (55 / 60, 1)))
    assert read().exit_code == 4
    assert recorded(rig) == [(2, 2), (2, 1)]


def test_a_log_belongs_to_one_connector(rig: Rig, logs: Path, read: Read) -> None:
    """Its directory or the job in it says which; without either, or if they disagree, it is not compared."""
    other = replace(rig.connection, connector=replace(rig.connection.connector, job_id=OTHER_JOB))
    name = connections.outbox_name(other)
    beside = Outbox(PosixDisk(), rig.clock, f"{rig.directory}/outbox/{name}")
    beside.create()
    connections.save(beside, other)
    text, own = log((50, 2), (26, 2)), rig.outbox.name
    for folder in (own, name, "nobody"):
        (logs / folder).mkdir()
    (logs / "x.csv").write_text(text)
    (logs / "nobody" / "x.csv").write_text(text)
    (logs / own / "other.csv").write_text(f"{text}{at(2)},2,{OTHER_JOB}\n".replace("Saved\n", "Saved,Job\n"))
    assert read().exit_code == 1
    assert recorded(rig) == []
    told = {path.name: path.read_text() for path in (logs / "errors").rglob("*.error.txt")}
    assert "the log names the job of" in told["other.csv.error.txt"]
    assert "nobody is not the name of one connector" in (logs / "errors/nobody/x.csv.error.txt").read_text()
    assert "does not say which connector" in (logs / "errors/x.csv.error.txt").read_text()
    (logs / own / "x.csv").write_text(text)
    (logs / "named.csv").write_text(f"{text}{at(2)},2,{rig.job}\n".replace("Saved\n", "Saved,Job\n"))
    assert read().exit_code == 0
    assert len(recorded(rig)) == 3
    assert f"archive/{own}/x.csv" in files(logs)
    assert "archive/named.csv" in files(logs)


def test_a_log_that_is_being_written_is_left(rig: Rig, logs: Path, read: Read) -> None:
    """It is read once its writer has closed it, or has given it its name."""
    (logs / "y.csv.part").write_text(log((50, 2)))
    with (logs / "x.csv").open("w") as file:
        file.write(log((50, 1)))
        file.flush()
        assert read().exit_code == 0
        assert files(logs) == ["x.csv", "y.csv.part"]
        file.write(f"{at(26)},2\n")
    assert read().exit_code == 4
    assert recorded(rig) == [(2, 1), (2, 2)]


def test_a_sender_at_work_lets_a_log_wait(rig: Rig, logs: Path, read: Read) -> None:
    """The file stays where it is, and the next run compares it."""
    (logs / "x.csv").write_text(log((50, 2), (26, 2)))
    lock = rig.outbox.sender_lock()
    assert lock is not None
    try:
        done = read()
        assert (done.exit_code, files(logs)) == (1, ["x.csv"])
        assert "a sender is working on this connector" in done.stderr
    finally:
        lock.release()
    assert read().exit_code == 0
    assert files(logs) == ["archive/x.csv"]


def test_it_can_be_scheduled(logs: Path, irmexport: Run) -> None:
    """The service has the folder's whole path and may write to it."""
    done = irmexport("schedule", "--format", "systemd", "reconcile", "--folder", "logs")
    assert done.exit_code == 0, done.output
    assert f"reconcile --folder {logs}\n" in done.stdout
    (writable,) = (line for line in done.stdout.splitlines() if line.startswith("ReadWritePaths="))
    assert str(logs) in writable


def test_options_that_do_not_fit(irmexport: Run, logs: Path) -> None:
    """One of a log, a batch and a folder; and --why is of a batch."""
    assert irmexport("reconcile", "x.csv", "--folder", "logs").exit_code == 2
    assert irmexport("reconcile", "--folder", "logs", "--why", "x").exit_code == 2
    assert irmexport("reconcile", "--folder", "logs", "--connector", "nobody").exit_code == 2
    assert files(logs) == []


def test_a_log_that_is_too_large_is_not_read(rig: Rig, logs: Path, read: Read) -> None:
    """A sparse file of any size costs its writer nothing; the other logs are compared."""
    with (logs / "a.csv").open("wb") as file:
        file.truncate(16 * 1024**2 + 1)
    (logs / "b.csv").write_text(log((50, 2), (26, 2)))
    assert read().exit_code == 1
    assert "more than 16,777,216 bytes" in (logs / "errors" / "a.csv.error.txt").read_text()
    assert files(logs)[0] == "archive/b.csv"
    assert recorded(rig) == [(2, 2), (2, 2)]
