"""Intake: rows become durable batches, every row is counted, and no row is accepted twice."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import tempfile
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from irmcore.counts import Counts
from irmcore.disk import PosixDisk
from irmcore.errors import DamageError, InputError, OutboxBusy, OutboxFull, TooManyRefused
from irmcore.intake.accept import accept
from irmcore.intake.dry_run import dry_run
from irmcore.intake.run_result import RunResult
from irmcore.outbox import Destination, Origin, Outbox, audit_log
from irmcore.outbox.batch_files import read_manifest
from irmcore.outbox.retention import Periods, delete_expired
from irmcore.profile import Limits, Profile, parse, shipped_text
from irmcore.reasons import REASONS
from irmcore.shaping.readers import SourceRow, Table, csv_table
from irmcore.shaping.reject_file import Reject

from tests.common.irmcore.outbox.outboxes import left
from tests.common.irmcore.profiles import TEXT, profile
from tests.fakes.clock import FakeClock

EXAMPLES = Path(__file__).parents[4] / "common" / "irmcli" / "demo" / "examples"
WHERE = Destination("purview-indicators", {"cloud": "commercial", "job_id": "1111"}, "hold")
ORIGIN = Origin(user="tester", host="here", app="tests", details={"file": "in.csv"})
HEADER = "user,time,score,note\r\n"


def outbox_in(folder: str | Path) -> Outbox:
    """An outbox that does not exist yet."""
    return Outbox(PosixDisk(), FakeClock(), f"{folder}/demo")


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """An outbox that does not exist yet, in a directory of the test."""
    return outbox_in(tmp_path)


def table(text: str, ragged: str = "refuse") -> Table:
    """The table of a CSV text."""
    stream = io.BufferedReader(io.BytesIO(text.encode("utf-8", "surrogateescape")))
    return csv_table(stream, name="in.csv", ragged=ragged)


def accept_rows(
    outbox: Outbox, text: str, of: Profile | None = None, max_refused: int | None = None
) -> RunResult:
    """Accept a CSV text under the small profile's header; its line ends are used as given."""
    rows = table(HEADER + text)
    return accept(
        rows, of or profile(), outbox, ORIGIN, destination=WHERE, name="in.csv", max_refused=max_refused
    )


def payloads(outbox: Outbox, accepted: RunResult) -> list[str]:
    """The payloads of a run's batches, in order."""
    return [Path(outbox.path, "ready", batch, "payload").read_bytes().decode() for batch in accepted.batches]


def rows_sent(outbox: Outbox, accepted: RunResult) -> list[tuple[str, ...]]:
    """The rows of a run's batches as a CSV reader reads them, without headers."""
    found: list[tuple[str, ...]] = []
    for payload in payloads(outbox, accepted):
        header, *rows = csv.reader(io.StringIO(payload, newline=""), strict=True)
        assert header == ["user", "time", "score", "note"]
        found.extend(map(tuple, rows))
    return found


def everything(outbox: Outbox) -> dict[str, bytes]:
    """All files of an outbox."""
    return {str(path): path.read_bytes() for path in Path(outbox.path).rglob("*") if path.is_file()}


# -- Microsoft's examples ----------------------------------------------------------------------


def example(outbox: Outbox, name: str) -> RunResult:
    """Accept an example from Microsoft's page with its shipped profile."""
    of = parse(shipped_text(name), f"{name}.yaml")
    with (EXAMPLES / f"{name}.csv").open("rb") as file:
        return accept(
            csv_table(file, name="in.csv", ragged=of.ragged),
            of,
            outbox,
            ORIGIN,
            destination=WHERE,
            name="in.csv",
        )


FIRST = (
    "UserPrincipalName,PredictionTime,PredictionScore,ModelInfo\r\n"
    'sarad@contoso.com,2023-04-20T05:52:56.962686+00:00,6,"Model accuracy: 67%,'
    ' Model name: LeaverPrediction_M1"\r\n'
    'sarad@contoso.com,2023-04-24T05:52:56.962686+00:00,9,"Model accuracy: 67%,'
    ' Model name: LeaverPrediction_M1"\r\n'
    'sarad@contoso.com,2023-04-24T05:52:56.962295+00:00,3,"Model accuracy: 67%,'
    ' Model name: LeaverPrediction_M1"\r\n'
)

SECOND = (
    "User_Principal_Name,Display_Name,Alert_Severity,Alert_Count,Aggregation_Date,Source_Workload,"
    "AdditionalInfo_Salesforce,AdditionalInfo_Dropbox\r\n"
    "sarad@contoso.com,Salesforce - Sensitive report downloaded and emailed externally,High,10,"
    "2023-04-24T05:52:56.962686+00:00,Salesforce,text,text\r\n"
    "sarad@contoso.com,Salesforce - Anomalous download of sales lead reports,Medium,6,"
    "2023-04-24T05:52:56.962114+00:00,Salesforce,text,text\r\n"
    "bradh@contoso.com,Salesforce - Printing sales reports,Low,50,2023-04-24T05:52:56.962686+00:00,"
    "Salesforce,text,text\r\n"
    "bradh@contoso.com,Salesforce - Excessive modifications to sensitive reports,Medium,3,"
    "2023-04-24T05:52:56.962973+00:00,Salesforce,text,text\r\n"
    "sarad@contoso.com,Dropbox - Sensitive files saved to personal Dropbox,High,14,"
    "2023-04-24T05:52:56.962621+00:00,Dropbox,text,text\r\n"
    "bradh@contoso.com,Dropbox - Anomalous file copy activity,Medium,5,"
    "2023-04-24T05:52:56.962850+00:00,Dropbox,text,text\r\n"
)


def test_microsofts_first_example(outbox: Outbox) -> None:
    """Three rows with one comma too many, two of them with one user and time, become this payload."""
    done = example(outbox, "leaver-prediction")
    assert done.counts == Counts(read=3, shaped=3)
    assert payloads(outbox, done) == [FIRST]


def test_microsofts_second_example(outbox: Outbox) -> None:
    """Six rows, of which the service would keep two, become this payload with six rows."""
    done = example(outbox, "salesforce-dropbox")
    assert done.counts == Counts(read=6, shaped=6)
    assert payloads(outbox, done) == [SECOND]


@pytest.mark.parametrize("name", ["leaver-prediction", "salesforce-dropbox"])
def test_an_example_sent_again(name: str, outbox: Outbox) -> None:
    """Accepting the same file again sends nothing; the outbox still has one batch."""
    first = example(outbox, name)
    second = example(outbox, name)
    assert second.counts == Counts(read=first.counts.read, skipped=first.counts.read)
    assert (second.batches, second.sizes, second.changed) == ((), (), 0)
    assert len(outbox.ready()) == 1


# -- what is sent, and what is sent before --------------------------------------------------------

MONDAY = "2023-04-24T05:52:56Z"


def test_identical_rows_are_merged(outbox: Outbox) -> None:
    """Rows with the same canonical form are sent once, and the others are counted as merged."""
    done = accept_rows(
        outbox,
        f"sarad@contoso.com,{MONDAY},9,x\r\n"
        "SaraD@Contoso.com,2023-04-24T07:52:56+02:00,9.0,x\r\n"
        f"sarad@contoso.com,{MONDAY},9,x\r\n",
    )
    assert done.counts == Counts(read=3, shaped=1, merged=2)
    assert len(rows_sent(outbox, done)) == 1


def blocks(notes: range, more: Iterable[int] = ()) -> str:
    """Rows that fill several blocks, one for each of ``notes``, and those of ``more`` again behind them."""
    return "".join(f"u{at % 7}@contoso.com,{MONDAY},{at % 5},{at:040}\r\n" for at in [*notes, *more])


@pytest.mark.parametrize(
    ("known", "again"),
    [
        ((), (0, 1, 2_999)),
        ((), (5_999, 5_999, 0)),
        ((), (*range(6_000, 8_000), 7_999, 0, *range(8_000, 10_000), 7_000, 7_999)),
        ((7_001, 8_001), (*range(6_000, 8_000), 0, *range(8_000, 10_000), 7_000, 7_001, 8_000)),
    ],
)
def test_a_row_that_a_later_block_repeats_goes_out_once(
    known: Sequence[int], again: Sequence[int], outbox: Outbox
) -> None:
    """Wherever it was: in a block of new rows, in one with repeats, in one with rows of an earlier run."""
    accept_rows(outbox, blocks(range(0), known))
    done = accept_rows(outbox, blocks(range(6_000), again))
    new = {*range(6_000), *again} - {*known}
    assert sorted(int(note) for _, _, _, note in rows_sent(outbox, done)) == sorted(new)
    skipped = sum(at in known for at in again)
    read = 6_000 + len(again)
    assert done.counts == Counts(read, len(new), merged=read - len(new) - skipped, skipped=skipped)


def test_one_late_row_sends_the_delta_alone(outbox: Outbox) -> None:
    """If a file gains a row at its start, only that row is sent; no accepted row moves."""
    rows = [f"u{number}@contoso.com,{MONDAY},{number},x\r\n" for number in range(20)]
    first = accept_rows(outbox, "".join(rows))
    second = accept_rows(outbox, f"late@contoso.com,{MONDAY},1,x\r\n" + "".join(rows))
    assert first.counts == Counts(read=20, shaped=20)
    assert second.counts == Counts(read=21, shaped=1, skipped=20)
    ((user, _, _, _),) = rows_sent(outbox, second)
    assert user == "late@contoso.com"


def test_another_order_sends_nothing(outbox: Outbox) -> None:
    """The same rows in another order are skipped."""
    rows = [f"u{number % 3}@contoso.com,{MONDAY},{number},x\r\n" for number in range(20)]
    accept_rows(outbox, "".join(rows))
    assert accept_rows(outbox, "".join(reversed(rows))).counts == Counts(read=20, skipped=20)


def test_rows_are_known_over_many_runs_and_days(outbox: Outbox) -> None:
    """Rows accepted by any earlier run are skipped, whatever their event date."""
    days = [f"u@contoso.com,20{year:02d}-02-28T23:59:59.999999Z,1,x\r\n" for year in range(0, 30, 7)]
    for day in days:
        assert accept_rows(outbox, day).counts == Counts(read=1, shaped=1)
    assert accept_rows(outbox, "".join(days)).counts == Counts(read=5, skipped=5)


def test_another_job_knows_nothing(tmp_path: Path) -> None:
    """Rows accepted for one connector are new to another, which has its own outbox."""
    row = f"sarad@contoso.com,{MONDAY},9,x\r\n"
    first, second = (
        Outbox(PosixDisk(), FakeClock(), f"{tmp_path}/a"),
        Outbox(PosixDisk(), FakeClock(), f"{tmp_path}/b"),
    )
    assert accept_rows(first, row).counts.shaped == 1
    assert accept_rows(second, row, profile(job="22222222-1111-1111-1111-111111111111")).counts.shaped == 1


@pytest.mark.parametrize(
    ("policy", "counts", "sent"),
    [("send", Counts(read=2, shaped=1, skipped=1), 1), ("skip", Counts(read=2, skipped=2), 0)],
)
def test_a_changed_threshold(policy: str, counts: Counts, sent: int, outbox: Outbox) -> None:
    """``on_change`` decides whether a row with a changed threshold is sent or skipped."""
    of = profile(f"on_change: {policy}\n")
    accept_rows(outbox, f"sarad@contoso.com,{MONDAY},9,x\r\nbradh@contoso.com,{MONDAY},9,x\r\n", of)
    done = accept_rows(outbox, f"sarad@contoso.com,{MONDAY},10,x\r\nbradh@contoso.com,{MONDAY},9,x\r\n", of)
    assert (done.counts, done.changed) == (counts, 1)
    assert len(rows_sent(outbox, done)) == sent


@pytest.mark.parametrize(("policy", "sent"), [("send", 1), ("skip", 0)])
def test_a_change_outside_of_the_subject(policy: str, sent: int, outbox: Outbox) -> None:
    """A changed text with ``subject: false`` is a changed row, like a changed threshold; else a new one."""
    text = TEXT.replace("{header: note, type: string", "{header: note, type: string, subject: false")
    of = parse(f"{text}on_change: {policy}\n", "demo.yaml")
    for note, shaped in (("x", 1), ("y", sent), ("x", 0)):
        done = accept_rows(outbox, f"sarad@contoso.com,{MONDAY},9,{note}\r\n", of)
        assert done.counts == Counts(read=1, shaped=shaped, skipped=1 - shaped)
    done = accept_rows(outbox, f"sarad@contoso.com,{MONDAY},9,z\r\n", profile("on_change: skip\n"))
    assert done.changed == 0


def test_a_refused_row_is_not_a_changed_one(outbox: Outbox) -> None:
    """A changed row that `collisions: reject` refuses counts as refused and not as changed."""
    of = profile("collisions: {policy: reject}\n")
    accept_rows(outbox, f"sarad@contoso.com,{MONDAY},1,a\r\n", of)
    again = accept_rows(outbox, f"sarad@contoso.com,{MONDAY},2,a\r\n", of)
    assert (again.counts, again.changed) == (Counts(read=1, rejected=1), 0)


def test_two_thresholds_in_one_run(outbox: Outbox) -> None:
    """``on_change`` compares with earlier runs only: two rows of one run are both sent."""
    done = accept_rows(
        outbox,
        f"sarad@contoso.com,{MONDAY},9,x\r\nsarad@contoso.com,{MONDAY},10,x\r\n",
        profile("on_change: skip\n"),
    )
    assert (done.counts, done.changed) == (Counts(read=2, shaped=2), 0)


# -- collisions -----------------------------------------------------------------------------------

THREE = (
    f"sarad@contoso.com,{MONDAY},5,a\r\nsarad@contoso.com,{MONDAY},9,b\r\nsarad@contoso.com,{MONDAY},7,c\r\n"
)


@pytest.mark.parametrize(("step", "window"), [("1us", 19), ("1ms", 16), ("1s", 13)])
def test_spreading(step: str, window: int, outbox: Outbox) -> None:
    """Rows of one user and time get different times within their second, minute or hour."""
    done = accept_rows(outbox, THREE, profile(f"collisions: {{policy: spread, step: {step}}}\n"))
    times = [time for _, time, _, _ in rows_sent(outbox, done)]
    assert done.counts == Counts(read=3, shaped=3)
    assert len(set(times)) == 3
    assert {time[:window] for time in times} == {"2023-04-24T05:52:56"[:window]}


def test_spreading_respects_what_was_accepted(outbox: Outbox) -> None:
    """3,600 rows in three runs use all seconds of an hour; the next row is refused."""
    of = profile("collisions: {policy: spread, step: 1s}\n")
    times = set()
    for part in range(3):
        rows = [
            f"sarad@contoso.com,{MONDAY},{number},x\r\n" for number in range(part * 1200, part * 1200 + 1200)
        ]
        done = accept_rows(outbox, "".join(rows), of)
        assert done.counts == Counts(read=1200, shaped=1200)
        times |= {time for _, time, _, _ in rows_sent(outbox, done)}
    assert len(times) == 3600
    done = accept_rows(outbox, f"sarad@contoso.com,{MONDAY},3600,x\r\nbradh@contoso.com,{MONDAY},1,x\r\n", of)
    assert done.counts == Counts(read=2, shaped=1, rejected=1)
    assert done.reasons == {("", "no-free-slot"): 1}


def test_reject(outbox: Outbox) -> None:
    """With `reject` the first row of a user and time is sent; others are refused, also in later runs."""
    of = profile("collisions: {policy: reject}\n")
    first = accept_rows(outbox, THREE, of)
    assert (first.counts, first.reasons) == (Counts(read=3, shaped=1, rejected=2), {("", "collision"): 2})
    assert rows_sent(outbox, first) == [("sarad@contoso.com", "2023-04-24T05:52:56.000000+00:00", "5", "a")]
    second = accept_rows(outbox, THREE, of)
    assert second.counts == Counts(read=3, skipped=1, rejected=2)


def test_keep_greatest(outbox: Outbox) -> None:
    """With `keep-greatest` the row with the greatest threshold keeps its time; the others are merged."""
    of = profile("collisions: {policy: keep-greatest}\n")
    first = accept_rows(outbox, THREE + f"bradh@contoso.com,{MONDAY},1,d\r\n", of)
    assert (first.counts, first.reasons) == (Counts(read=4, shaped=2, merged=2), {})
    assert rows_sent(outbox, first) == [
        ("sarad@contoso.com", "2023-04-24T05:52:56.000000+00:00", "9", "b"),
        ("bradh@contoso.com", "2023-04-24T05:52:56.000000+00:00", "1", "d"),
    ]
    assert accept_rows(outbox, THREE, of).counts == Counts(read=3, merged=2, skipped=1)
    greater = accept_rows(outbox, THREE + f"sarad@contoso.com,{MONDAY},11,e\r\n", of)
    assert greater.counts == Counts(read=4, shaped=1, merged=3)
    assert rows_sent(outbox, greater) == [
        ("sarad@contoso.com", "2023-04-24T05:52:56.000000+00:00", "11", "e")
    ]


# -- limits -----------------------------------------------------------------------------------------


def test_five_thousand_rows_a_batch(outbox: Outbox) -> None:
    """A batch has at most 5,000 rows; the last one has the rest."""
    rows = [f"u{number}@contoso.com,{MONDAY},1,\r\n" for number in range(10_001)]
    done = accept_rows(outbox, "".join(rows))
    assert done.sizes == (5000, 5000, 1)
    assert [payload.count("\r\n") for payload in payloads(outbox, done)] == [5001, 5001, 2]
    assert [row[0] for row in rows_sent(outbox, done)] == [
        f"u{number}@contoso.com" for number in range(10_001)
    ]


def test_the_bytes_of_a_batch(outbox: Outbox) -> None:
    """No batch exceeds the byte limit; a row that would by itself is refused, and the others are sent."""
    of = replace(profile(), limits=Limits(rows=5000, bytes=10_000))
    rows = [f"u{number}@contoso.com,{MONDAY},1,{'x' * 3000}\r\n" for number in range(7)]
    rows.insert(2, f"big@contoso.com,{MONDAY},1,{'x' * 10_000}\r\n")
    done = accept_rows(outbox, "".join(rows), of)
    assert done.counts == Counts(read=8, shaped=7, rejected=1)
    assert done.reasons == {("", "row-too-large"): 1}
    assert done.sizes == (3, 3, 1)
    assert all(len(payload) <= 10_000 for payload in payloads(outbox, done))


@pytest.mark.parametrize("numbers", [range(50, 70), range(60, 62), range(61, 62), range(62, 63)])
def test_a_row_of_quotes_goes_out_if_it_fits(numbers: range, outbox: Outbox) -> None:
    """Quotes take twice their bytes in a payload, and those bytes count."""
    of = replace(profile(), limits=Limits(rows=5000, bytes=200))
    rows = [f'u{quotes}@contoso.com,{MONDAY},1,"{quotes * 2 * chr(34)}"\r\n' for quotes in numbers]
    done = accept_rows(outbox, "".join(rows), of)
    # 22 bytes for the header; 15 and 32 for user and time, 3 commas, the score, 2 quotes and the line's end
    fitting = [quotes for quotes in numbers if 22 + 15 + 32 + 3 + 1 + 2 + 2 + 2 * quotes <= 200]
    assert [note for *_, note in rows_sent(outbox, done)] == [quotes * chr(34) for quotes in fitting]
    refused = len(numbers) - len(fitting)
    assert done.counts.rejected == done.reasons.get(("", "row-too-large"), 0) == refused
    assert all(len(payload) <= 200 for payload in payloads(outbox, done))


def test_no_rows(outbox: Outbox) -> None:
    """A file with only a header is a recorded run without batches."""
    done = accept_rows(outbox, "")
    assert (done.counts, done.batches, done.rejects) == (Counts(), (), None)
    assert next(event for event in audit_log.read(outbox) if event.get("run") == done.run)


def test_memory_stays_flat(outbox: Outbox) -> None:
    """A table with 90 MB of text is accepted in less than half of that memory."""

    def rows() -> Iterator[SourceRow]:
        for number in range(3_000):
            yield SourceRow(
                number + 2, (f"u{number % 500}@contoso.com", MONDAY, str(number), f"{number:>30000}")
            )

    tracemalloc.start()
    try:
        done = accept(
            Table(("user", "time", "score", "note"), rows()), profile(), outbox, ORIGIN, destination=WHERE
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert done.counts == Counts(read=3_000, shaped=3_000)
    assert peak < 40_000_000


# -- refused rows -------------------------------------------------------------------------------------

BAD = (
    "sarad,2023-04-24T05:52:56Z,9,x\r\n"
    'sarad@contoso.com,2023-04-24T05:52:56Z,many,"say ""no""\r\nand go"\r\n'
    "sarad@contoso.com,2023-04-24T05:52:56Z,9\r\n"
    "sarad@contoso.com,2023-04-24T05:52:56Z,9,=\udcff\r\n"
    "sarad@contoso.com,2023-04-24T05:52:56Z,9,good\r\n"
)


def test_the_reject_file(outbox: Outbox) -> None:
    """The reject file has each refused row with its line, column, reason and advice."""
    done = accept_rows(outbox, BAD)
    assert done.counts == Counts(read=5, shaped=1, rejected=4)
    assert done.reasons == {
        ("user", "upn-without-domain"): 1,
        ("score", "number-malformed"): 1,
        ("", "ragged-short"): 1,
        ("note", "invalid-utf8"): 1,
    }
    assert done.rejects == f"{outbox.path}/rejects/{done.run}.csv"
    assert Path(done.rejects).read_bytes().decode("ascii") == (
        "line,column,reason,advice,row\r\n"
        "2,user,upn-without-domain,"
        '"Look up the user principal name of the account, or append its domain in the file.",'
        '"{""user"": ""sarad"", ""time"": ""2023-04-24T05:52:56Z"", ""score"": ""9"", ""note"": ""x""}"\r\n'
        "3,score,number-malformed,"
        '"Write plain digits 0 to 9, with a point before the fraction, or leave the row out.",'
        '"{""user"": ""sarad@contoso.com"", ""time"": ""2023-04-24T05:52:56Z"", ""score"": ""many"", '
        '""note"": ""say \\""no\\""\\r\\nand go""}"\r\n'
        "5,,ragged-short,"
        '"Write every field of the row, an empty one too, and check that the file is complete.",'
        '"{""user"": ""sarad@contoso.com"", ""time"": ""2023-04-24T05:52:56Z"", ""score"": ""9"", '
        '""note"": null}"\r\n'
        "6,note,invalid-utf8,Save the file as UTF-8 or set its `encoding` in the profile.,"
        '"{""user"": ""sarad@contoso.com"", ""time"": ""2023-04-24T05:52:56Z"", ""score"": ""9"", '
        '""note"": ""=\\udcff""}"\r\n'
    )


def test_a_reject_file_is_kept_for_a_month(outbox: Outbox) -> None:
    """Its rows are people's data: it goes long before the run's record, which goes with its batches."""
    done = accept_rows(outbox, f"nobody,{MONDAY},1,x\r\n")
    reject = Path(str(done.rejects))
    foreign = reject.with_name("0.csv")
    foreign.touch()
    left = []
    for days in (30, 1, 399, 1):
        outbox.clock.sleep(days * 86_400)
        retention = Periods()
        delete_expired(outbox, retention, clock_is_right=True)
        runs = [event["run"] for event in audit_log.read(outbox) if event["event"] == "run"]
        left.append((reject.exists(), done.run in runs))
    assert left == [(True, True), (False, True), (False, True), (False, False)]
    assert foreign.exists()


def test_a_line_that_cannot_be_divided(outbox: Outbox) -> None:
    """A line with a stray quote is in the reject file unchanged, so that it can be corrected."""
    done = accept_rows(outbox, f'"sarad"@contoso.com,{MONDAY},1,x\r\n')
    assert done.rejects is not None
    with Path(done.rejects).open(newline="") as file:
        (found,) = csv.DictReader(file)
    assert found["reason"] == "malformed-quoting"
    assert json.loads(found["row"])["irmexport_more"] == [f'"sarad"@contoso.com,{MONDAY},1,x']


def test_many_refused_rows(outbox: Outbox) -> None:
    """More refused rows than fit in memory are in the reject file, each once and in order."""
    rows = [f"u{number},{MONDAY},1,\r\n" for number in range(4_100)]
    done = accept_rows(outbox, "".join(rows))
    assert done.rejects is not None
    with Path(done.rejects).open(newline="") as file:
        found = [row[0] for row in csv.reader(file)]
    assert found == ["line", *(str(number + 2) for number in range(4_100))]


def test_too_many_refused_rows(outbox: Outbox) -> None:
    """Above the limit nothing is accepted and the reject file is saved; at the limit the rest is accepted."""
    with pytest.raises(TooManyRefused) as caught:
        accept_rows(outbox, BAD, max_refused=3)
    assert caught.value.where is not None
    assert str(caught.value) == (
        f"{caught.value.where}: 4 of 5 rows were refused, more than the 3 allowed; nothing was accepted. "
        "Correct the rows that the reject file lists, then run this again."
    )
    assert Path(caught.value.where).read_bytes().count(b"\r\n") == 5
    assert outbox.ready() == []
    assert left(outbox) == []
    done = accept_rows(outbox, BAD, max_refused=4)
    assert done.counts == Counts(read=5, shaped=1, rejected=4)


def test_a_file_that_breaks_off(outbox: Outbox) -> None:
    """If the end of an input cannot be divided into rows, no row is accepted, however many were good."""
    rows = [f"u{number}@contoso.com,{MONDAY},1,\r\n" for number in range(6_000)]
    with pytest.raises(InputError) as caught:
        accept_rows(outbox, "".join(rows) + f'sarad@contoso.com,{MONDAY},1,"open\r\n')
    assert caught.value.where == "in.csv:6002"
    assert outbox.ready() == []
    assert left(outbox) == []
    assert accept_rows(outbox, "".join(rows)).counts.shaped == 6_000


def test_no_value_of_a_row_is_in_a_message(outbox: Outbox) -> None:
    """Errors for bad input quote no row."""
    rows = f"hunter2,{MONDAY},1,hunter2\r\n"
    with pytest.raises(TooManyRefused) as caught:
        accept_rows(outbox, rows, max_refused=0)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InputError) as broken:
        accept_rows(outbox, rows + f'x,{MONDAY},1,"hunter2')
    assert "hunter2" not in str(broken.value)


# -- the record of a run --------------------------------------------------------------------------------


def test_the_manifest_of_a_batch(outbox: Outbox) -> None:
    """A batch's manifest says who sent it with which profile, and has the counts of the whole run."""
    accept_rows(outbox, f"old@contoso.com,{MONDAY},1,\r\n")
    of = replace(profile(), limits=Limits(rows=2, bytes=1_000_000))
    text = (
        f"old@contoso.com,{MONDAY},1,\r\n"
        f"a@contoso.com,{MONDAY},1,\r\n"
        f"a@contoso.com,{MONDAY},1,\r\n"
        f"b@contoso.com,{MONDAY},1,\r\n"
        f"c@contoso.com,{MONDAY},1,\r\n"
        f"bad,{MONDAY},1,\r\n"
    )
    done = accept_rows(outbox, text, of)
    manifests = [read_manifest(outbox, outbox.get(batch)) for batch in done.batches]
    assert [(m.part, m.parts, m.rows) for m in manifests] == [(1, 2, 2), (2, 2, 1)]
    for found in manifests:
        assert found.run == done.run
        assert found.origin == ORIGIN
        assert found.destination == WHERE
        assert found.content_type == "text/csv"
        assert found.profile == {"name": "demo", "sha256": of.fingerprint}
        assert found.counts == Counts(read=6, shaped=3, merged=1, skipped=1, rejected=1)
        assert found.accepted == 1_770_000_000.0
    record = next(event for event in audit_log.read(outbox) if event.get("run") == done.run)
    assert record["counts"] == {"read": 6, "shaped": 3, "merged": 1, "skipped": 1, "rejected": 1}
    assert record["batches"] == list(done.batches)
    assert record["rejects"] == done.rejects
    assert record["started"] == "2026-02-02T02:40:00.000Z"
    assert done.run.startswith("20260202T024000Z-")


def test_progress_is_reported(outbox: Outbox) -> None:
    """While rows are read, progress is reported every 2,000 rows."""
    told: list[int] = []
    text = HEADER + "".join(f"u{number}@contoso.com,{MONDAY},1,\r\n" for number in range(4_001))
    accept(table(text), profile(), outbox, ORIGIN, destination=WHERE, progress=told.append)
    assert told == [2000, 4000]


# -- a dry run ----------------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing(outbox: Outbox) -> None:
    """A dry run gives the same rows and counts as a real run, and changes no file."""
    accept_rows(outbox, f"sarad@contoso.com,{MONDAY},5,a\r\n")
    before = everything(outbox)
    rows: list[tuple[str, ...]] = []
    refused: list[Reject] = []
    dry = dry_run(
        table(HEADER + THREE + f"bad,{MONDAY},1,\r\n"),
        profile(),
        outbox,
        name="in.csv",
        on_row=rows.append,
        on_reject=lambda reject, _: refused.append(reject),
    )
    assert everything(outbox) == before
    assert (dry.run, dry.batches, dry.rejects, dry.sizes) == ("", (), None, (2,))
    assert dry.counts == Counts(read=4, shaped=2, skipped=1, rejected=1)
    assert refused == [Reject(5, "user", "upn-without-domain", ("bad", MONDAY, "1", ""))]
    done = accept_rows(outbox, THREE + f"bad,{MONDAY},1,\r\n")
    assert (done.counts, done.sizes, done.reasons) == (dry.counts, dry.sizes, dry.reasons)
    assert rows_sent(outbox, done) == rows


def test_a_dry_run_without_an_outbox(outbox: Outbox) -> None:
    """A dry run creates no outbox, and without one no row counts as accepted."""
    for of_outbox in (None, outbox):
        assert dry_run(table(HEADER + THREE), profile(), of_outbox).counts == Counts(read=3, shaped=3)
    assert not Path(outbox.path).exists()


def test_a_dry_run_where_nothing_was_ever_accepted(outbox: Outbox) -> None:
    """In a new outbox without a ledger every row is new. With batches, a missing ledger is damage."""
    outbox.create()
    assert dry_run(table(HEADER + THREE), profile(), outbox).counts == Counts(read=3, shaped=3)
    accept_rows(outbox, THREE)
    outbox.disk.remove_tree(f"{outbox.path}/ledger")
    with pytest.raises(DamageError):
        dry_run(table(HEADER + THREE), profile(), outbox)


def test_a_dry_run_at_a_damaged_ledger(outbox: Outbox) -> None:
    """A dry run says that the ledger is damaged; a real run rebuilds it and knows its rows."""
    accept_rows(outbox, THREE)
    (day,) = Path(outbox.path, "ledger", "days").rglob("*.rows")
    day.write_bytes(b"?" + day.read_bytes()[1:])
    with pytest.raises(DamageError) as caught:
        dry_run(table(HEADER + THREE), profile(), outbox)
    assert str(caught.value) == (
        f"{outbox.path}/ledger: the row ledger is damaged, so a dry run cannot tell which rows are new. "
        "Send rows without --dry-run: that rebuilds the ledger from the batches."
    )
    assert accept_rows(outbox, THREE).counts == Counts(read=3, skipped=3)
    assert dry_run(table(HEADER + THREE), profile(), outbox).counts == Counts(read=3, skipped=3)


# -- the outbox around a run ---------------------------------------------------------------------------------


def test_a_busy_outbox(outbox: Outbox) -> None:
    """A run waits for another run of the same connector up to its timeout, then fails."""
    outbox.create()
    lock = outbox.intake_lock()
    assert lock is not None
    clock = outbox.clock
    assert isinstance(clock, FakeClock)
    began = clock.monotonic()
    with pytest.raises(OutboxBusy) as caught:
        accept_rows(outbox, THREE)
    assert str(caught.value) == (
        f"{outbox.path}: another process is adding rows to this connector. "
        "Nothing was accepted. Run this again when the other process has finished."
    )
    assert 300.0 <= clock.monotonic() - began < 300.1
    lock.release()
    assert accept_rows(outbox, THREE).counts.shaped == 3


def test_the_lock_is_given_back(outbox: Outbox) -> None:
    """After a run, also a failed one, the lock is free."""
    accept_rows(outbox, THREE)
    with pytest.raises(InputError):
        accept(table("a,b\n"), profile(), outbox, ORIGIN, destination=WHERE)
    lock = outbox.intake_lock()
    assert lock is not None
    lock.release()


def test_nothing_is_left_behind(outbox: Outbox) -> None:
    """A run leaves no staged file, no announcement and no warning."""
    assert accept_rows(outbox, BAD).warning == ""
    assert left(outbox) == []
    assert list(Path(outbox.path, "ledger", "pending").iterdir()) == []


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_modes_of_files(umask: int, outbox: Outbox) -> None:
    """Every file has mode 0600 and every directory 0700, whatever the umask."""
    before = os.umask(umask)
    try:
        accept_rows(outbox, BAD)
        accept_rows(outbox, BAD + THREE)
    finally:
        os.umask(before)
    found = {path: stat.S_IMODE(path.lstat().st_mode) for path in Path(outbox.path).rglob("*")}
    found[Path(outbox.path)] = stat.S_IMODE(Path(outbox.path).lstat().st_mode)
    assert len(found) > 15
    assert {path for path, mode in found.items() if mode != (0o700 if path.is_dir() else 0o600)} == set()


def test_an_outbox_that_cannot_be_made(tmp_path: Path) -> None:
    """A disk error is reported with a next step."""
    (tmp_path / "demo").write_text("a file where the outbox should be")
    with pytest.raises(OutboxFull, match="the disk reported an error"):
        accept_rows(outbox_in(tmp_path), THREE)


# -- any table ----------------------------------------------------------------------------------

USERS = st.sampled_from(("a@contoso.com", "B@contoso.com", "b@contoso.com", "nobody", ""))
TIMES = st.sampled_from(
    (MONDAY, "2023-04-24T05:52:56.5Z", "1682315576", "2023-04-25T00:00:00Z", "yesterday", "2023-04-24")
)
SCORES = st.sampled_from(("1", "1.0", "2", "10", "-3", "many", ""))
NOTES = st.sampled_from(("", "x", "x,y", 'say "no"', "one\ntwo", "a\x07b")) | st.text(max_size=4)
ROWS = st.lists(st.tuples(USERS, TIMES, SCORES, NOTES) | st.tuples(USERS, TIMES), max_size=12)
POLICIES = st.sampled_from(
    (
        "",
        "collisions: {policy: spread, step: 1s}\n",
        "collisions: {policy: reject}\n",
        "collisions: {policy: keep-greatest}\n",
        "on_change: skip\n",
    )
)


def written(rows: list[tuple[str, ...]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue()


@settings(max_examples=40)
@given(ROWS, ROWS, POLICIES)
def test_counts_always_reconcile(
    rows: list[tuple[str, ...]], more: list[tuple[str, ...]], policy: str
) -> None:
    """Every row has one result, a dry run predicts it, and repeating the run sends nothing."""
    of = profile(policy)
    with tempfile.TemporaryDirectory() as folder:
        outbox = outbox_in(folder)
        pairs = set()
        for part in (rows, rows + more, more):
            dry = dry_run(table(HEADER + written(part)), of, outbox)
            done = accept_rows(outbox, written(part), of)
            assert done.counts == dry.counts
            assert done.counts.read == len(part)
            assert done.counts.shaped == sum(done.sizes) == len(rows_sent(outbox, done))
            assert done.counts.rejected == sum(done.reasons.values())
            assert {code for _, code in done.reasons} <= set(REASONS)
            sent = [(user, time) for user, time, _, _ in rows_sent(outbox, done)]
            assert len(set(sent)) == len(sent)
            if "keep-greatest" not in policy:
                assert not pairs & set(sent)
            pairs |= set(sent)
        again = accept_rows(outbox, written(more), of)
        assert again.counts.shaped == 0
        assert again.batches == ()


CHUNKS = st.characters(blacklist_categories=("Cs", "Cc")) | st.sampled_from(("\t", "\n", "\r\n", '"', ","))
CELLS = st.lists(CHUNKS, max_size=8).map("".join)


@settings(max_examples=40)
@given(st.lists(CELLS, min_size=1, max_size=8, unique=True), st.integers(1, 3))
def test_any_texts_arrive_as_they_are(notes: list[str], size: int) -> None:
    """A CSV reader reads the same texts from the payloads, each once, and all else in canonical form."""
    of = replace(profile(), limits=Limits(rows=size, bytes=1_000_000))
    rows = [(f"U{n}@contoso.com", MONDAY, "1.0", note) for n, note in enumerate(notes)]
    with tempfile.TemporaryDirectory() as folder:
        outbox = outbox_in(folder)
        found = rows_sent(outbox, accept_rows(outbox, written(rows), of))
    assert [(user, score, note) for user, _, score, note in found] == [
        (f"u{n}@contoso.com", "1", note) for n, note in enumerate(notes)
    ]
    assert all(time[:20] == "2023-04-24T05:52:56." for _, time, _, _ in found)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=12, unique=True), st.data())
def test_no_row_moves_another(numbers: list[int], data: st.DataObject) -> None:
    """A row's time on the wire does not depend on the other rows or their order."""

    def times(chosen: list[int]) -> dict[str, tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        text = HEADER + "".join(f"a@contoso.com,{MONDAY},{number},x\r\n" for number in chosen)
        dry_run(table(text), profile(), None, on_row=found.append)
        return {row[2]: row for row in found}

    whole = times(list(range(31)))
    assert len({row[1] for row in whole.values()}) == 31
    chosen = data.draw(st.permutations(numbers))
    assert times(chosen) == {str(number): whole[str(number)] for number in chosen}
