"""The command line from its user's point of view: output, files and exit codes."""

from __future__ import annotations

import gzip
import json
import os
import re
import stat
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from irmcli.main import COMMANDS, main
from irmcore.outbox import audit_log
from irmcore.outbox.runs import reject_file_of_promotion
from irmcore.outbox.transitions import quarantine
from irmcore.profile import shipped_text
from irmcore.profile.model import PLACEHOLDER
from irmcore.shaping.reject_file import Reject, header_line, lines
from irmemulator.faults import Fault

from tests.with_emulator.connector import HEADER, Rig, Run, row

PROFILE = ("-p", "salesforce-dropbox")
AT = ("--emulator", "emulator")
BAD = "bradh,Name,Low,50,2026-11-20T00:00:00Z,Salesforce,text,"


def rows(rig: Rig, *lines: str) -> str:
    """A CSV file with these rows."""
    path = rig.directory / "rows.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return str(path)


def document(result: Result) -> Any:
    """The JSON document that a command printed."""
    return json.loads(result.stdout)


def test_a_file_is_sent(rig: Rig, irmexport: Run) -> None:
    """If all rows are delivered, it exits with 0 and prints `Upload Successful`."""
    result = irmexport("send", rows(rig, row(1), row(2)), "{at}")
    assert result.exit_code == 0
    assert re.fullmatch(
        r"2 rows read: 2 shaped\n1 batch in the outbox\n"
        r"Upload Successful: [0-9a-f]{12} \(2 rows\), HTTP 200, request id [0-9a-f-]{36}\n",
        result.stdout,
    )
    assert rig.kept() == ["user1@contoso.com", "user2@contoso.com"]


def test_sending_again_sends_nothing(rig: Rig, irmexport: Run) -> None:
    """Rows that were sent are skipped; only a new row is sent."""
    irmexport("send", rows(rig, row(1), row(2)), "{at}")
    result = irmexport("send", rows(rig, row(2), row(1), row(3)), "{at}")
    assert "3 rows read: 1 shaped, 2 skipped (accepted before)" in result.stdout
    assert rig.kept() == [f"user{n}@contoso.com" for n in (1, 2, 3)]


def test_refused_rows_exit_with_3_and_the_others_are_sent(rig: Rig, irmexport: Run) -> None:
    """It exits with 3; the reject file has line, column, reason and row."""
    result = irmexport("send", rows(rig, row(1), BAD), "{at}", "--json")
    assert result.exit_code == 3
    found = document(result)
    assert found["counts"] == {"merged": 0, "read": 2, "rejected": 1, "shaped": 1, "skipped": 0}
    assert found["delivery"]["rows_sent"] == 1
    lines = Path(found["rejects"]).read_text().splitlines()
    assert lines[0] == "line,column,reason,advice,row"
    assert lines[1].startswith("3,User_Principal_Name,upn-without-domain,")
    assert '""User_Principal_Name"": ""bradh""' in lines[1]


def test_refused_rows_are_corrected_and_sent_again(rig: Rig, irmexport: Run) -> None:
    """What `export-rejects` writes can be corrected and sent; nothing goes out twice, no value is changed."""
    formula = row(2, "=1+1").replace("user2@contoso.com", "user2")
    sent = irmexport("send", rows(rig, row(1), formula), "{at}")
    (command,) = re.findall("^To correct them: irmexport (.*)refused.csv$", sent.stdout, re.MULTILINE)
    file = Path(rig.directory, "refused.csv")
    written = irmexport(*command.split(), str(file))
    assert (written.exit_code, written.stdout.splitlines()[0]) == (0, f"Written: {file} (1 row of 1 run)")
    emulator = rig.directory / "emulator"
    assert f"run irmexport send {file} --profile salesforce-dropbox --emulator {emulator}\n" in written.stdout
    assert "neither retention nor `irmexport person find NAME` finds it" in written.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    header, refused = file.read_text("utf-8-sig").splitlines()
    assert header == f"irmexport_reason,irmexport_advice,{HEADER}"
    assert "append its domain in the file" in refused
    assert ",user2,'=1+1," in refused
    again = irmexport("export-rejects", "--to", str(file))
    assert (again.exit_code, "this file exists already" in again.stderr) == (2, True)
    file.write_text(file.read_text("utf-8-sig").replace(",user2,", ",user2@contoso.com,"))
    result = irmexport("send", str(file), "{at}")
    assert (result.exit_code, result.stdout.startswith("Read as: refused rows")) == (0, True)
    assert "1 row read: 1 shaped" in result.stdout
    assert rig.kept() == ["user1@contoso.com", "user2@contoso.com"]
    assert document(irmexport("send", str(file), "{at}", "--json"))["batches"] == []
    (batch,) = re.findall("Successful: ([0-9a-f]{12})", result.stdout)
    assert ",=1+1," in irmexport("show", batch, "--payload").stdout


def test_corrected_rows_do_not_go_to_another_connector_of_that_name(rig: Rig, irmexport: Run) -> None:
    """The profile was a file with the name of a shipped one, which has another connector."""
    own = rig.directory / "own.yaml"
    own.write_text(shipped_text("salesforce-dropbox").replace(PLACEHOLDER, str(uuid.uuid4())))
    assert irmexport("send", rows(rig, BAD), "-p", str(own), "--queue-only").exit_code == 3
    written = irmexport("export-rejects", "--to", str(rig.directory / "refused.csv")).stdout
    assert "refused.csv --profile PROFILE (PROFILE is the file of the profile salesforce-dropbox)" in written


def test_rows_that_a_promotion_refused_belong_to_their_run(rig: Rig, irmexport: Run) -> None:
    """They come with the run's other refused rows, and the command says that their columns are others."""
    run = document(irmexport("send", rows(rig, row(1), BAD), "{at}", "--json"))["run"]
    (path,) = rig.directory.glob("outbox/*/rejects/*.csv")
    refused = [Reject(0, "", "collision", ("user1@contoso.com",))]
    later = time.time() + 1  # files are in the order of their seconds
    (path.parent.parent / reject_file_of_promotion(run, later)).write_bytes(
        header_line() + lines(refused, ["User of the connector"], "")
    )
    found = irmexport("export-rejects", "--run", run)
    header, other, promoted = found.stdout.splitlines()
    assert header.endswith(f"{HEADER},User of the connector")
    assert ("bradh" in other, promoted.endswith(",user1@contoso.com")) == (True, True)
    assert "1 row is in the columns of the connector" in " ".join(found.stderr.split())


def test_refused_rows_of_two_connectors_are_not_mixed(rig: Rig, irmexport: Run) -> None:
    """Their columns differ: the message names both, each with its whole command and its newest run."""
    irmexport("send", rows(rig, BAD), "{at}")
    scores = rig.directory / "scores.csv"
    scores.write_text("UserPrincipalName,PredictionTime,PredictionScore,ModelInfo\nbradh,2026-11-20,9,M1\n")
    assert irmexport("send", str(scores), "-p", "leaver-prediction", *AT).exit_code == 3
    file = rig.directory / "refused.csv"
    for to in (("--to", str(file)), ()):
        mixed = irmexport("export-rejects", *to)
        assert (mixed.exit_code, mixed.stdout, file.exists()) == (2, "", False)
        commands = re.findall(r"irmexport (export-rejects ([a-z-]+)[^(]*) \(newest run (\S+)\)", mixed.stderr)
        assert {profile for _, profile, _ in commands} == {"salesforce-dropbox", "leaver-prediction"}
    for command, _, run in commands:
        one = irmexport(*command.split(), "--to", str(file))
        assert (one.exit_code, file.read_text("utf-8-sig").count("\n")) == (0, 2)
        file.unlink()
        assert irmexport("export-rejects", "--run", run, "--to", str(file)).exit_code == 0
        file.unlink()


def test_an_emulator_without_a_connector_for_the_profile_says_how_to_start_it(
    rig: Rig, irmexport: Run
) -> None:
    """As somebody meets it who tries a profile of their own; Microsoft's service would name the job."""
    scores = rig.directory / "scores.csv"
    scores.write_text(
        "UserPrincipalName,PredictionTime,PredictionScore,ModelInfo\nb@b.example,2026-11-20T08:00:00Z,9,M1\n"
    )
    sent = irmexport("send", str(scores), "-p", "leaver-prediction", *AT)
    assert (sent.exit_code, "start it with --profile PROFILE" in sent.output) == (4, True)


def test_check_writes_refused_rows_where_it_is_told(rig: Rig, irmexport: Run) -> None:
    """With --refused, in the same form; without a refused row there is no file."""
    file = Path(rig.directory, "refused.csv")
    assert irmexport("check", rows(rig, row(1)), *PROFILE, "--refused", str(file)).exit_code == 0
    assert not file.exists()
    checked = irmexport("check", rows(rig, row(1), BAD), *PROFILE, "--refused", str(file))
    assert checked.exit_code == 3
    assert "neither retention nor `irmexport person find NAME` finds it" in checked.stdout
    assert file.read_text("utf-8-sig").splitlines()[1].startswith("upn-without-domain,")
    assert file.stat().st_mode & 0o777 == 0o600


def test_max_refused_accepts_nothing(rig: Rig, irmexport: Run) -> None:
    """With more refused rows than allowed, nothing is accepted; the reject file is kept."""
    result = irmexport("send", rows(rig, row(1), BAD), "{at}", "--max-refused", "0")
    assert result.exit_code == 3
    assert "1 of 2 rows were refused, more than the 0 allowed; nothing was accepted" in result.stderr
    assert rig.emulator.uploads == ()
    assert "bradh" in irmexport("export-rejects").stdout
    assert "a run 1999 has no refused rows" in irmexport("export-rejects", "--run", "1999").stderr


def test_standard_input_and_gzip_and_json_lines(rig: Rig, irmexport: Run) -> None:
    """FILE may be -, gzip or JSON lines; the rows are the same."""
    text = f"{HEADER}\n{row(1)}\n".encode()
    assert irmexport("send", "-", "{at}", stdin=text).exit_code == 0
    packed = rig.directory / "rows.csv.gz"
    packed.write_bytes(gzip.compress(text))
    assert "1 skipped" in irmexport("send", str(packed), "{at}").stdout
    record = json.dumps(dict(zip(HEADER.split(","), row(1).split(","), strict=True)))
    assert "1 skipped" in irmexport("send", "-", "{at}", stdin=record + "\n").stdout


def test_a_dry_run_writes_and_sends_nothing(rig: Rig, irmexport: Run) -> None:
    """--dry-run writes nothing and makes no connection."""
    result = irmexport("send", rows(rig, row(1)), "{at}", "--dry-run")
    assert result.stdout == "1 row read: 1 shaped\n1 batch would be sent\n"
    assert not (rig.directory / "outbox").exists()
    assert rig.emulator.connections == 0


def test_check_needs_no_connector(rig: Rig, irmexport: Run) -> None:
    """`check` works with a shipped profile that still has placeholders, and lists reasons and lines."""
    result = irmexport("check", rows(rig, row(1), BAD, row(2, "=cmd")), *PROFILE)
    assert result.exit_code == 3
    assert "3 rows read: 2 shaped, 1 refused" in result.stdout
    assert "     3  User_Principal_Name  upn-without-domain" in result.stdout
    assert "that a spreadsheet reads as a formula, which are sent unchanged: 1" in result.stdout


def test_send_reports_what_check_reports(rig: Rig, irmexport: Run) -> None:
    """A formula is sent unchanged, and who sends it is told."""
    file = rows(rig, row(1), row(2, "=HYPERLINK(1)"), row(3, "a\u202eb"))
    told = [line for line in irmexport("check", file, *PROFILE).stdout.splitlines() if "Note:" in line]
    assert len(told) == 2
    result = irmexport("send", file, *PROFILE, "--emulator", str(rig.directory / "emulator"))
    assert [line for line in result.stdout.splitlines() if "Note:" in line] == told


def test_an_unfilled_profile_is_refused_before_a_row_is_taken(rig: Rig, irmexport: Run) -> None:
    """Placeholders are reported before anything is accepted: exit 2."""
    result = irmexport("send", rows(rig, row(1)), *PROFILE)
    assert result.exit_code == 2
    assert "`job_id`, `tenant_id`, `app_id`" in result.stderr
    assert not list((rig.directory).glob("outbox/*"))


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("send", "nowhere.csv", "{at}"), 1, "cannot be read"),
        (("send", "x.csv", "-p", "salesforce-dropbx"), 2, "there is no profile"),
        (("send", "x.csv", "-p", "./nowhere.yaml"), 2, "cannot be read"),
        (
            ("send", "x.csv", *PROFILE, "--emulator", "nowhere"),
            2,
            "no emulator was announced in this directory",
        ),
        (("show", "abcd"), 2, "no batch begins with this id"),
        (("status", "nothing-like-it"), 2, "there is no connector"),
        (("resolve", "abcd", "--why", "x"), 2, "--sent, --resend or --withdraw"),
        (("resolve", "--sent", "--why", "x"), 2, "--held"),
        (("audit", "--since", "yesterday"), 2, "is not a time"),
        (("sned", "x.csv"), 2, "No such command"),
        (("profile", "show", "nope"), 2, "Known profiles: "),
    ],
)
def test_a_usage_error_is_explained_and_exits_as_documented(
    irmexport: Run, args: tuple[str, ...], code: int, said: str
) -> None:
    """Every mistake has its exit code and a helpful message."""
    result = irmexport(*args)
    assert result.exit_code == code
    assert said in result.stderr


def test_a_paused_connector_is_reported_and_resumed(rig: Rig, irmexport: Run) -> None:
    """A 403 exits with 4, `status` says what to check, and `resume` and `drain` send the batch."""
    rig.emulator.faults.next(Fault(status=403))
    sent = irmexport("send", rows(rig, row(1)), "{at}")
    assert sent.exit_code == 4
    assert "the connector must have been created with this `app_id`" in sent.stdout
    status = irmexport("status")
    assert status.exit_code == 4
    assert "PAUSED since" in status.stdout
    assert "queued: 1 batch, 1 row" in status.stdout
    assert irmexport("drain").exit_code == 4, "the pause holds"
    assert "resumed" in irmexport("resume").stdout
    drained = irmexport("drain")
    assert drained.exit_code == 0
    assert "Upload Successful" in drained.stdout
    assert irmexport("status").exit_code == 0


def test_an_unavailable_service_exits_with_1_and_keeps_the_rows(rig: Rig, irmexport: Run) -> None:
    """A queued retry exits with 1; the next drain sends it."""
    rig.emulator.faults.next(Fault(status=503, retry_after=0))
    assert irmexport("send", rows(rig, row(1)), "{at}").exit_code == 1
    assert irmexport("drain").exit_code == 0
    assert rig.kept() == ["user1@contoso.com"]


@pytest.mark.parametrize(
    ("word", "state", "uploads"),
    [("--sent", "SENT", 1), ("--resend", "READY", 2), ("--withdraw", "WITHDRAWN", 1)],
)
def test_a_held_batch_is_resolved(rig: Rig, irmexport: Run, word: str, state: str, uploads: int) -> None:
    """Each of the three outcomes resolves a held batch; the audit log has who and why."""
    rig.emulator.faults.next(Fault(reset_after_last_byte=True))
    assert irmexport("send", rows(rig, row(1)), "{at}").exit_code == 4
    (item,) = document(irmexport("status", "--json"))[0]["items"]
    assert item["state"] == "HELD"
    result = irmexport("resolve", item["id"][:12], word, "--why", "the portal's log")
    assert f"{item['id'][:12]} is now {state}" in result.stdout
    irmexport("drain")
    assert len(rig.emulator.uploads) == uploads
    assert irmexport("status").exit_code == 0
    events = [json.loads(line) for line in irmexport("audit", "--jsonl").stdout.splitlines()]
    (resolved,) = [event for event in events if event.get("why")]
    assert resolved["why"] == "the portal's log"
    assert resolved["by"]
    again = irmexport("send", rows(rig, row(1)), "{at}").stdout
    assert ("1 shaped" if word == "--withdraw" else "1 skipped") in again
    assert len(rig.emulator.uploads) == uploads + (word == "--withdraw"), "withdrawn rows are sent as new"
    assert irmexport("status").exit_code == 0


def test_many_held_batches_are_resolved_at_once(rig: Rig, irmexport: Run) -> None:
    """`resolve --held --since` resolves all held since then and no others."""
    for number in (1, 2):
        rig.emulator.faults.next(Fault(status=504))
        irmexport("send", rows(rig, row(number)), "{at}")
    assert (
        "No batch is held."
        in irmexport("resolve", "--held", "--since", "2090-01-01T00:00Z", "--sent", "--why", "x").stdout
    )
    result = irmexport("resolve", "--held", "--since", "1h", "--sent", "--why", "x", "--json")
    assert [item["state"] for item in document(result)] == ["SENT", "SENT"]


def test_a_dead_batch_is_shown_and_requeued(rig: Rig, irmexport: Run) -> None:
    """A refused batch records the service's reply; `requeue` sends it again unchanged."""
    rig.emulator.faults.next(Fault(status=400, body='{"message":"column missing"}'))
    assert irmexport("send", rows(rig, row(1)), "{at}").exit_code == 4
    (item,) = document(irmexport("status", "--json"))[0]["items"]
    shown = irmexport("show", item["id"][:8]).stdout
    assert '{"message":"column missing"}' in shown
    assert f"file {rig.directory}/rows.csv" in shown
    assert irmexport("show", item["id"][:8], "--payload").stdout.splitlines()[1].startswith("user1@")
    header, first = irmexport("show", item["id"][:8], "--original-times").stdout.splitlines()[:2]
    assert header.endswith(",original_time")
    assert first.endswith(",2026-11-20T08:00:01Z"), "as it was before it was spread, in whole seconds"
    assert irmexport("resolve", item["id"][:8], "--sent", "--why", "x").exit_code == 2, "it is not held"
    assert "READY" in irmexport("requeue", item["id"][:8], "--why", "the connector was mended").stdout
    assert irmexport("drain").exit_code == 0
    assert rig.kept() == ["user1@contoso.com"]


def test_rows_beside_another_sender_are_accepted(rig: Rig, irmexport: Run) -> None:
    """Beside another sender `send` reports run, counts and batches and succeeds, as `drain` does."""
    irmexport("send", rows(rig, row(1)), "{at}", "--queue-only")
    held = [rig.outbox.sender_lock(), rig.outbox.drain_lock()]
    sent = irmexport("send", rows(rig, row(2)), "{at}", "--json")
    drained = irmexport("drain", "--json")
    shown = irmexport("drain")
    for lock in held:
        assert lock is not None
        lock.release()
    found = document(sent)
    assert (sent.exit_code, drained.exit_code, shown.exit_code) == (0, 0, 0)
    assert (found["counts"]["shaped"], len(found["batches"]), len(found["run"])) == (1, 1, 25)
    assert found["delivery"]["another_sender"] is True
    assert [one["another_sender"] for one in document(drained).values()] == [True]
    assert "queued; another sender is at work" in shown.stdout
    assert irmexport("drain").exit_code == 0
    assert rig.kept() == ["user1@contoso.com", "user2@contoso.com"]


def test_a_delivery_that_fails_hides_no_accepted_row(rig: Rig, irmexport: Run) -> None:
    """If nothing can be sent after rows were accepted, `send` still reports their run and batches."""
    irmexport("send", rows(rig, row(1)), "{at}", "--queue-only")
    lock = Path(rig.outbox.path, "sender.lock")
    lock.unlink()
    lock.mkdir()
    result = irmexport("send", rows(rig, row(2)), "{at}", "--json")
    assert result.exit_code == 1
    assert (len(document(result)["batches"]), len(document(result)["run"])) == (1, 25)
    assert "file system" in document(result)["delivery"]["error"]


def test_one_batch_that_fails_does_not_hide_the_others(rig: Rig, irmexport: Run) -> None:
    """Of several batches, those that can be requeued or resolved are, and each failure is reported."""
    rig.emulator.faults.next(Fault(status=400))
    irmexport("send", rows(rig, row(1)), "{at}")
    (dead,) = rig.batches()
    result = irmexport("requeue", "ffffffff", dead.id, "--why", "corrected", "--json")
    assert (result.exit_code, document(result)) == (2, [dead.id])
    rig.emulator.faults.next(Fault(reset_after_last_byte=True))
    irmexport("drain")
    Path(rig.outbox.path, "audit.log").unlink()
    Path(rig.outbox.path, "audit.log").mkdir()
    failed = irmexport("resolve", "--held", "--resend", "--why", "so", "--json")
    assert failed.exit_code == 1
    assert "nothing was changed" in document(failed)[0]["error"]
    assert rig.states() == [("HELD", "reset-after-commit")]


def test_clean_up_says_that_the_clock_is_in_doubt(rig: Rig, irmexport: Run) -> None:
    """A record from the future ends a clean-up with 4 and names the option; with it the clean-up succeeds."""
    irmexport("send", rows(rig, row(1)), "{at}")
    audit_log.append(rig.outbox, {"event": "run", "at": 4_070_908_800.0})
    doubtful = irmexport("clean-up")
    assert doubtful.exit_code == 4
    assert "2099-01-01" in doubtful.stderr
    assert "irmexport clean-up --clock-is-right" in doubtful.stderr
    assert irmexport("clean-up", "--clock-is-right", "--json").exit_code == 0
    assert "clock-checked" in irmexport("audit").stdout


def test_clean_up_keeps_unsent_rows(rig: Rig, irmexport: Run) -> None:
    """Rows of sent batches are deleted after the retention time; records and queued batches stay."""
    irmexport("send", rows(rig, row(1)), "{at}")
    own = rig.directory / "profiles" / f"{rig.profile.name}.yaml"
    own.parent.mkdir()
    own.write_text(shipped_text(rig.profile.name) + "retention: {sent_days: 0}\n")
    irmexport("send", rows(rig, row(2)), "{at}", "--queue-only")
    result = irmexport("clean-up", "--json")
    assert document(result) == {"batches": 0, "payloads": 1, "undecided": 0, "files": 0, "doubts": {}}
    assert "days kept: sent 0, refused 30" in irmexport("status").stdout
    assert irmexport("drain").exit_code == 0
    assert "1 skipped" in irmexport("send", rows(rig, row(1)), "{at}").stdout


def test_doctor_passes_and_then_reports_a_wrong_secret(rig: Rig, irmexport: Run) -> None:
    """It checks hosts, TLS, clock and token, says that it cannot check a job id, and names a fault."""
    result = irmexport("doctor", "{at}")
    assert result.exit_code == 0
    assert "job id: only a real upload can verify it" in result.stdout
    (rig.directory / "emulator" / "secret").write_text("emulator-only-wrong")
    result = irmexport("doctor", "{at}")
    assert result.exit_code == 1
    assert "token-AADSTS7000215" in result.stdout


def test_status_knows_the_last_run_and_receipt(rig: Rig, irmexport: Run) -> None:
    """A run counts even if all its rows were known; --max-age exits with 4 if it was too long ago."""
    file = rows(rig, row(1))
    irmexport("send", file, "{at}", "--queue-only")
    (queued,) = document(irmexport("status", "--json"))
    assert queued["last_receipt"] is None
    irmexport("drain")
    (sent,) = document(irmexport("status", "--json"))
    assert queued["last_run"] == sent["last_run"] < sent["last_receipt"]
    irmexport("send", file, "{at}")
    (again,) = document(irmexport("status", "--json"))
    assert (again["last_run"] > sent["last_run"], again["last_receipt"]) == (True, sent["last_receipt"])
    assert f"last run {again['last_run']}, last receipt {again['last_receipt']}" in irmexport("status").stdout
    fresh = irmexport("status", "--max-age", "26h")
    assert (fresh.exit_code, "longer than" in fresh.stdout) == (0, False)
    old = irmexport("status", "--max-age", "0m")
    assert old.exit_code == 4
    assert f"the last run was at {again['last_run']}, longer than 0m ago" in old.stdout
    assert document(irmexport("status", "--json", "--max-age", "0m"))[0]["needs_person"] is True
    assert irmexport("status", "--max-age", "soon").exit_code == 2


def test_times_in_json_are_iso(rig: Rig, irmexport: Run) -> None:
    """No document of any command has seconds since 1970."""
    rig.emulator.faults.next(Fault(status=400))
    rig.emulator.faults.next(Fault(status=503, retry_after=600))
    file = rows(rig, row(1))
    documents = [irmexport("send", file, "{at}", "--json")]
    documents += [irmexport("send", rows(rig, row(2)), "{at}", "--json"), irmexport("drain", "--json")]
    batches = [batch.id for batch in rig.batches()]
    assert len(batches) == 2
    documents += [irmexport("show", batch, "--json") for batch in batches]
    for words in (("status",), ("audit",), ("audit", "--head"), ("person", "find", "user1@contoso.com")):
        documents.append(irmexport(*words, "--json"))
    documents += [
        irmexport("doctor", "--json"),
        irmexport("report", "--json"),
        irmexport("clean-up", "--json"),
    ]

    def numbers(value: Any) -> list[float]:
        if isinstance(value, dict):
            return [number for inner in value.values() for number in numbers(inner)]
        if isinstance(value, list):
            return [number for inner in value for number in numbers(inner)]
        return [value] if isinstance(value, (int, float)) else []

    for done in documents:
        assert [number for number in numbers(document(done)) if 1e9 < number < 3e9] == [], done.stdout
    (shown,) = document(irmexport("status", "--json"))
    for text in (shown["oldest"], shown["retry_at"], shown["items"][0]["since"]):
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text), shown
    assert shown["next_probe"] is None


def test_uploads_are_counted(rig: Rig, irmexport: Run) -> None:
    """Each says the how-manieth of how many it is; a single upload does not."""
    for number in range(3):
        irmexport("send", rows(rig, row(number)), "{at}", "--queue-only")
    sent = irmexport("drain", "-v")
    found = re.findall(r"^Upload Successful: (.*) \(1 row\)", sent.stdout, re.MULTILINE)
    assert [text.split(",")[0] for text in found] == ["1 of 3", "2 of 3", "3 of 3"], sent.stdout
    assert sent.stderr.count("sending ") == 3
    single = irmexport("send", rows(rig, row(9)), "{at}")
    assert re.search(r"^Upload Successful: [0-9a-f]{12} \(1 row\)", single.stdout, re.MULTILINE)


def test_doctor_names_what_needs_a_person(rig: Rig, irmexport: Run) -> None:
    """A held batch, with the whole command that decides about it, for a profile and for all connectors."""
    rig.emulator.faults.next(Fault(reset_after_last_byte=True))
    held = irmexport("send", rows(rig, row(1)), "{at}")
    assert held.exit_code == 4
    (batch,) = rig.batches()
    assert f"`irmexport resolve {batch.id[:12]} --sent --why REASON`" in held.stdout
    for words in (("{at}",), (), (rig.profile.name,)):
        result = irmexport("doctor", *words)
        assert result.exit_code == 4, result.stdout
        assert f"batch {batch.id[:12]}: HELD since " in result.stdout
        assert f"`irmexport resolve {batch.id[:12]} --sent --why REASON`" in result.stdout
        assert "job id: only a real upload can verify it" in result.stdout
    assert irmexport("resolve", batch.id[:12], "--sent", "--why", "seen in the log").exit_code == 0
    assert irmexport("doctor").exit_code == 0


def test_status_names_the_command_for_each_reason_once(rig: Rig, irmexport: Run) -> None:
    """With the id of the first batch, and how many more there are."""
    for number in range(2):
        rig.emulator.faults.next(Fault(status=400))
        irmexport("send", rows(rig, row(number)), "{at}")
        irmexport("resume")
    first, second = (batch.id[:12] for batch in rig.batches())
    shown = irmexport("status").stdout
    steps = [line for line in shown.splitlines() if "--why REASON" in line]
    assert len(steps) == 1, shown
    assert any(f"irmexport resolve {one} --withdraw --why REASON" in steps[0] for one in (first, second))
    assert steps[0].endswith("Do the same for 1 more batch.")


def test_the_outbox_is_private(rig: Rig, irmexport: Run) -> None:
    """Directories are 0700 and files 0600, whatever the umask; a readable directory is refused."""
    before = os.umask(0)
    try:
        irmexport("send", rows(rig, row(1), BAD), "{at}")
    finally:
        os.umask(before)
    outbox = rig.directory / "outbox"
    for path in [outbox, *outbox.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    outbox.chmod(0o755)
    result = irmexport("send", rows(rig, row(2)), "{at}")
    assert result.exit_code == 2
    assert "chmod 700" in result.stderr


def test_what_a_command_writes_only_its_user_changes(rig: Rig, irmexport: Run) -> None:
    """A profile or a unit decides where rows go: nobody else may change it, whatever the umask."""
    sample, profile, units = rows(rig, row(1)), rig.directory / "mine.yaml", rig.directory / "units"
    before = os.umask(0)
    try:
        irmexport("profile", "new", "--from", sample, "-o", str(profile), "--take-guesses")
        os.umask(0)
        irmexport("schedule", "--format", "systemd", "--output", str(units), "drain")
    finally:
        os.umask(before)
    written = [profile, *units.iterdir()]
    assert len(written) == 3
    for path in written:
        assert stat.S_IMODE(path.stat().st_mode) == 0o644, path
    assert irmexport("check", sample, "-p", str(profile)).exit_code == 0


def test_every_command_has_help_and_json(irmexport: Run) -> None:
    """Every subcommand has a help text and can print JSON."""
    for name in COMMANDS:
        result = irmexport(name, "--help")
        assert result.exit_code == 0
        assert "--json" in result.stdout or name in {
            "azure",
            "canary",
            "profile",
            "credential",
            "identities",
            "outbox",
            "person",
            "sentinel",
        }  # groups


def test_completion_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell completion script exists and completes a subcommand."""
    runner = CliRunner()
    script = runner.invoke(main, [], prog_name="irmexport", env={"_IRMEXPORT_COMPLETE": "bash_source"})
    assert "_irmexport_completion" in script.stdout
    words = {"_IRMEXPORT_COMPLETE": "bash_complete", "COMP_WORDS": "irmexport res", "COMP_CWORD": "1"}
    completed = runner.invoke(main, [], prog_name="irmexport", env=words)
    assert completed.stdout.split() == ["plain,resolve", "plain,resume"]


def test_a_file_system_error_is_explained(rig: Rig, irmexport: Run) -> None:
    """A file system error during a drain is an error message, not a traceback."""
    irmexport("send", rows(rig, row(1)), "{at}", "--queue-only")
    lock = next((rig.directory / "outbox").glob("*")) / "sender.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()
    result = irmexport("drain")
    assert result.exit_code == 1
    assert "the file system reported an error (Is a directory)" in result.stderr


def test_a_damaged_batch_is_withdrawn_and_its_rows_are_sent_again(rig: Rig, irmexport: Run) -> None:
    """A damaged batch is quarantined and explained; its rows can be sent again from the source."""
    irmexport("send", rows(rig, row(1)), "{at}", "--queue-only")
    (payload,) = (rig.directory / "outbox").glob("*/ready/*/payload")
    payload.write_bytes(b"something else")
    assert irmexport("drain").exit_code == 4
    status = irmexport("status")
    assert "QUARANTINED" in status.stdout
    assert "--withdraw" in status.stdout
    name = payload.parent.name[:12]
    assert irmexport("requeue", name, "--why", "x").exit_code == 1, "its hash is wrong"
    assert irmexport("resolve", name, "--withdraw", "--why", "the disk was replaced").exit_code == 0
    assert "Upload Successful" in irmexport("send", rows(rig, row(1)), "{at}").stdout
    assert rig.kept() == ["user1@contoso.com"]


def test_a_queued_batch_can_be_withdrawn(rig: Rig, irmexport: Run) -> None:
    """A queued batch that is withdrawn is not sent."""
    found = document(irmexport("send", rows(rig, row(1)), "{at}", "--queue-only", "--json"))
    irmexport("resolve", found["batches"][0][:12], "--withdraw", "--why", "the wrong file")
    assert "nothing to send" in irmexport("drain").stdout
    assert rig.emulator.uploads == ()


def test_drain_reports_held_batches_until_they_are_resolved(rig: Rig, irmexport: Run) -> None:
    """A drain with nothing to send still exits with 4 while a batch needs attention."""
    rig.emulator.faults.next(Fault(status=504))
    irmexport("send", rows(rig, row(1)), "{at}")
    drained = irmexport("drain")
    assert drained.exit_code == 4
    assert "1 batch needs attention: irmexport status" in drained.stdout


def test_a_credential_is_read_anew_at_each_drain(rig: Rig, irmexport: Run) -> None:
    """A missing secret exits with 2 and pauses nothing; once it is there, the next drain sends."""
    secret = rig.directory / "emulator" / "secret"
    text = secret.read_text()
    secret.unlink()
    sent = irmexport("send", rows(rig, row(1)), "{at}")
    assert sent.exit_code == 2
    assert "the credential file cannot be read" in sent.stdout
    secret.write_text(text)
    secret.chmod(0o644)
    assert "chmod 600" in irmexport("drain").stdout
    secret.chmod(0o600)
    assert irmexport("drain").exit_code == 0


def test_another_name_for_a_profile_is_the_same_connector(rig: Rig, irmexport: Run) -> None:
    """Rows are identified by the job id, so a renamed profile sends nothing twice."""
    irmexport("send", rows(rig, row(1)), "{at}")
    connector = rig.connection.connector
    text = irmexport("profile", "show", "salesforce-dropbox").stdout
    for key in ("job_id", "tenant_id", "app_id"):
        nil = "00000000-0000-0000-0000-000000000000"
        text = text.replace(f"{key}: {nil}", f"{key}: {getattr(connector, key)}")
    renamed = rig.directory / "renamed.yaml"
    renamed.write_text(text.replace("name: salesforce-dropbox", "name: renamed"))
    result = irmexport(
        "send", rows(rig, row(1)), "-p", str(renamed), "--emulator", str(rig.directory / "emulator")
    )
    assert "1 skipped" in result.stdout
    assert irmexport("status", "renamed").stdout.startswith("renamed (emulator-")


def test_a_closed_output_does_not_stop_a_delivery(rig: Rig) -> None:
    """The batch is sent even if standard output is closed or full."""
    for number, end in ((1, "| true"), (2, "> /dev/full")):
        command = (
            f"{sys.executable} -m irmcli --outbox {rig.directory}/outbox send {rows(rig, row(number))} "
            f"-p salesforce-dropbox --emulator {rig.directory}/emulator {end}"
        )
        done = subprocess.run(
            ["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=60
        )
        assert "Traceback" not in done.stderr
    assert rig.kept() == ["user1@contoso.com", "user2@contoso.com"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--port", "99999"), "0<=x<=65535"),
        (("--lifetime", "-5"), "1<=x<=604800"),
        (("--port", "{taken}"), "cannot start on port {taken}: Address already in use"),
    ],
)
def test_an_emulator_that_cannot_start_says_why(
    rig: Rig, irmexport: Run, args: tuple[str, str], said: str
) -> None:
    """An invalid port or lifetime is explained: exit 2."""
    taken = rig.emulator.url.rsplit(":", 1)[1]
    result = irmexport("emulator", *(arg.replace("{taken}", taken) for arg in args))
    assert result.exit_code == 2
    assert said.replace("{taken}", taken) in result.stderr


def test_requeue_does_not_resolve_a_held_batch(rig: Rig, irmexport: Run) -> None:
    """A held batch that was quarantined comes back as HELD and is not sent again."""
    rig.emulator.faults.next(Fault(reset_after_last_byte=True))
    irmexport("send", rows(rig, row(1)), "{at}")
    (batch,) = rig.batches()
    quarantine(rig.outbox, batch)
    result = irmexport("requeue", batch.id[:12], "--why", "the disk was looked at")
    assert (
        f"{batch.id[:12]} is now HELD; its outcome is unknown: irmexport resolve {batch.id[:12]} "
        in result.stdout
    )
    assert irmexport("drain").exit_code == 4
    assert len(rig.emulator.uploads) == 1


def test_withdraw_reports_damaged_row_keys(rig: Rig, irmexport: Run) -> None:
    """Rows with damaged keys cannot be made new again; the error names the file."""
    irmexport("send", rows(rig, row(1)), "{at}", "--queue-only")
    (batch,) = rig.batches()
    keys = Path(batch.path) / "rowkeys"
    keys.write_bytes(b"x" * len(keys.read_bytes()))
    result = irmexport("resolve", batch.id[:12], "--withdraw", "--why", "x")
    assert result.exit_code == 1
    assert f"{keys}: the row keys are damaged" in result.stderr


def test_uploads_warn_for_24_hours_after_a_change(rig: Rig, irmexport: Run) -> None:
    """`wizard --changed` is recorded durably: every upload warns until the 24 hours are over."""
    assert irmexport("wizard", "salesforce-dropbox", *AT, "--changed", "1h").exit_code == 0
    early = irmexport("send", rows(rig, row(1)), "{at}")
    assert early.exit_code == 0
    assert "Microsoft recommends waiting 24 hours" in early.stderr
    assert irmexport("wizard", "salesforce-dropbox", *AT, "--changed", "25h").exit_code == 0
    late = irmexport("send", rows(rig, row(2)), "{at}")
    assert late.stderr == ""
    assert rig.kept() == ["user1@contoso.com", "user2@contoso.com"]


def test_uploads_are_reconciled_with_the_connectors_log(rig: Rig, irmexport: Run) -> None:
    """In the emulator's own log each upload is found, and its rows were saved."""
    for number in (1, 2):
        irmexport("send", rows(rig, row(number)), "{at}")
    log = [upload.to_json() for upload in rig.emulator.uploads]
    (rig.directory / "log.json").write_text(json.dumps(log))
    done = irmexport("reconcile", "log.json")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("all rows were saved") == 2
    assert irmexport("audit").stdout.count("reconciled") == 2


def test_dropped_rows_are_explained(rig: Rig, irmexport: Run) -> None:
    """A service with a precision of seconds drops two of three spread rows: exit 4, with the cause."""
    same = [row(1, name).replace("user1", "user9") for name in ("A", "B", "C")]
    sent = irmexport("send", rows(rig, *same), "{at}", "--json")
    (batch,) = document(sent)["batches"]
    found = irmexport("reconcile", "--batch", batch[:12], "--saved", "1")
    assert found.exit_code == 4
    assert "set `collisions.step: 1s`" in found.stdout
    assert irmexport("reconcile", "--batch", batch[:12], "--saved", "3").exit_code == 0


def test_unmatched_uploads_and_entries_are_reported(rig: Rig, irmexport: Run) -> None:
    """A lone upload, a lone entry and a line without a number are listed; it exits with 1."""
    irmexport("send", rows(rig, row(1)), "{at}")
    (rig.directory / "log.csv").write_text("Time,RecordsSaved\n2020-01-01T00:00:00Z,5\nx,none\n")
    done = irmexport("reconcile", "log.csv")
    assert done.exit_code == 1
    assert "no matching log entry" in done.stdout
    assert "line 2: RecordsSaved 5 of 2020-01-01T00:00:00.000Z matches no upload" in done.stdout
    assert "line 3: it names RecordsSaved without a readable number" in done.stdout
    assert irmexport("reconcile").exit_code == 2


def test_an_unsent_batch_cannot_be_reconciled(rig: Rig, irmexport: Run) -> None:
    """A queued batch has no RecordsSaved: exit 2, with its state."""
    (batch,) = document(irmexport("send", rows(rig, row(1)), "{at}", "--queue-only", "--json"))["batches"]
    done = irmexport("reconcile", "--batch", batch, "--saved", "1")
    assert done.exit_code == 2
    assert "is READY: it has no completed upload" in done.stderr


def test_the_report_has_the_figures_of_the_outbox(rig: Rig, irmexport: Run) -> None:
    """Runs, uploads, refusals by reason and held batches of a real outbox; no user and no file name."""
    irmexport("send", rows(rig, row(1), row(2), BAD), "{at}")
    rig.emulator.faults.next(Fault(reset_after_last_byte=True))
    irmexport("send", rows(rig, row(3)), "{at}")
    done = irmexport("report", "--json")
    (found,) = document(done)["connectors"]
    assert (found["runs"], found["uploads"], found["rows_sent"], found["held"]) == (2, 1, 2, 1)
    assert found["reasons"] == [{"column": "User_Principal_Name", "reason": "upn-without-domain", "rows": 1}]
    text = (rig.directory / "irmexport-report.html").read_text()
    assert "Needs attention: 1" in text
    assert not [word for word in ("contoso", "bradh", "rows.csv", "Name,") if word in text]
    assert irmexport("report", "--since", "900d").exit_code == 2
