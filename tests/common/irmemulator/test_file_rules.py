"""Microsoft's rules for a file: which records are saved, dropped or refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from irmemulator.file_rules import Outcome, Refusal, apply_rules, read_table
from irmemulator.settings import Job, Options

JOB = Job("55555555-5555-4555-8555-555555555555", "22222222-2222-4222-8222-222222222222", "Any header")
MAPPED = replace(JOB, columns=("User", "Time", "App"), user_column="User", time_column="Time")
SOURCED = replace(MAPPED, source_column="App", related_values=("Dropbox", "Salesforce"))

# Microsoft's page has the ModelInfo of this example without its quotes.
EXAMPLE_1 = """\
UserPrincipalName,PredictionTime,PredictionScore,ModelInfo
sarad@contoso.com,2023-04-20T05:52:56.962686Z,6,"Model accuracy: 67%, Model name: M1"
sarad@contoso.com,2023-04-24T05:52:56.962686Z,9,"Model accuracy: 67%, Model name: M1"
sarad@contoso.com,2023-04-24T05:52:56.962686Z,3,"Model accuracy: 67%, Model name: M1"
"""
EXAMPLE_2 = """\
User_Principal_Name,Display_Name,Alert_Severity,Alert_Count,Aggregation_Date,Source_Workload,\
AdditionalInfo_Salesforce,AdditionalInfo_Dropbox
sarad@contoso.com,Salesforce - Sensitive report downloaded and emailed externally,High,10,\
2023-04-24T05:52:56.962686Z,Salesforce,text,text
sarad@contoso.com,Salesforce - Anomalous download of sales lead reports,Medium,6,\
2023-04-24T05:52:56.962686Z,Salesforce,text,text
bradh@contoso.com,Salesforce - Printing sales reports,Low,50,\
2023-04-24T05:52:56.962686Z,Salesforce,text,text
bradh@contoso.com,Salesforce - Excessive modifications to sensitive reports,Medium,3,\
2023-04-24T05:52:56.962686Z,Salesforce,text,text
sarad@contoso.com,Dropbox - Sensitive files saved to personal Dropbox,High,14,\
2023-04-24T05:52:56.962686Z,Dropbox,text,text
bradh@contoso.com,Dropbox - Anomalous file copy activity,Medium,5,\
2023-04-24T05:52:56.962686Z,Dropbox,text,text
"""


@pytest.mark.usefixtures("csvs_own_limit")
def test_a_long_field_is_no_broken_quoting() -> None:
    """Microsoft's page has no limit of a field, so neither this row nor the one beside it is refused."""
    times = ("2023-04-20T05:52:56Z", "2023-04-21T05:52:56Z")
    lines = [
        f"sarad@contoso.com,{time},1,{'x' * size}\n" for time, size in zip(times, (5, 200_000), strict=True)
    ]
    done = outcome(EXAMPLE_1.splitlines(keepends=True)[0] + "".join(lines))
    assert isinstance(done, Outcome)
    assert len(done.kept) == 2


def outcome(file: str | bytes, job: Job = JOB, **options: object) -> Outcome | Refusal:
    """The rules' outcome for a file."""
    table = read_table(file.encode() if isinstance(file, str) else file)
    if isinstance(table, Refusal):
        return table
    return apply_rules(table, job, replace(Options(), **options))  # type: ignore[arg-type]


def kept(file: str | bytes, job: Job = JOB, **options: object) -> Outcome:
    """The outcome for a file that is not refused."""
    judgement = outcome(file, job, **options)
    assert isinstance(judgement, Outcome), judgement
    assert judgement.received == len(judgement.kept) + sum(judgement.dropped.values())
    return judgement


def refused(file: str | bytes, job: Job = JOB, **options: object) -> Refusal:
    """Why a file is refused."""
    refusal = outcome(file, job, **options)
    assert isinstance(refusal, Refusal), refusal
    return refusal


def test_example_1_saves_2_of_3() -> None:
    """In Microsoft's first example the record with a repeated pair is dropped silently."""
    judgement = kept(EXAMPLE_1)
    assert [dict(record.fields)["PredictionScore"] for record in judgement.kept] == ["6", "9"]
    assert judgement.received == 3
    assert judgement.dropped == {"pair_repeated": 1}
    assert dict(judgement.kept[0].fields)["ModelInfo"] == "Model accuracy: 67%, Model name: M1"


def test_example_1_as_printed_is_refused() -> None:
    """Microsoft's first example without quotes has 5 fields under 4 columns."""
    assert refused(EXAMPLE_1.replace('"', "")) == Refusal("ragged_row", "line 2: 5 fields under 4 columns")


def test_example_2_saves_2_of_6() -> None:
    """In Microsoft's second example one record of each user is kept, whatever its source."""
    job = replace(JOB, source_column="Source_Workload", related_values=("Dropbox", "Salesforce"))
    judgement = kept(EXAMPLE_2, job)
    assert [(record.user, record.source) for record in judgement.kept] == [
        ("sarad@contoso.com", "Salesforce"),
        ("bradh@contoso.com", "Salesforce"),
    ]
    assert judgement.received == 6
    assert judgement.dropped == {"pair_repeated": 4}


@pytest.mark.parametrize(
    ("precision", "second", "dropped"),
    [
        ("us", "SaraD@Contoso.com,2023-04-24T05:52:56.962686Z", {"pair_repeated": 1}),
        ("us", "sarad@contoso.com,2023-04-24T07:52:56.962686+02:00", {"pair_repeated": 1}),
        ("us", "sarad@contoso.com,2023-04-24T05:52:56.9626869Z", {"pair_repeated": 1}),
        ("us", "sarad@contoso.com,2023-04-24T05:52:56.962687Z", {}),
        ("us", "other@contoso.com,2023-04-24T05:52:56.962686Z", {}),
        ("ms", "sarad@contoso.com,2023-04-24T05:52:56.962000Z", {"pair_repeated": 1}),
        ("ms", "sarad@contoso.com,2023-04-24T05:52:56.963Z", {}),
        ("s", "sarad@contoso.com,2023-04-24T05:52:56Z", {"pair_repeated": 1}),
        ("s", "sarad@contoso.com,2023-04-24T05:52:57Z", {}),
    ],
)
def test_pairs(precision: str, second: str, dropped: dict[str, int]) -> None:
    """A pair is a case-insensitive user and an instant at the emulator's precision."""
    file = f"User,Time,App\nsarad@contoso.com,2023-04-24T05:52:56.962686Z,a\n{second},a\n"
    assert kept(file, MAPPED, time_precision=precision).dropped == dropped


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",2023-04-24T05:52:56Z,Dropbox", "user_empty"),
        ("  ,2023-04-24T05:52:56Z,Dropbox", "user_empty"),
        ("a@contoso.com,,Dropbox", "time_not_iso"),
        ("a@contoso.com,24/04/2023 05:52,Dropbox", "time_not_iso"),
        ("a@contoso.com,2023-04-24T05:52:56Z,dropbox", "source_value_unknown"),
        ("a@contoso.com,2023-04-24T05:52:56Z,", "source_value_unknown"),
        ("a@contoso.com,2023-04-24T05:52:56Z, Dropbox", "source_value_unknown"),
    ],
)
def test_records_not_saved(row: str, reason: str) -> None:
    """A record without a user, a time or a related source value is dropped, and no other record with it."""
    good = "a@contoso.com,2023-04-24T05:52:56Z,Dropbox"
    judgement = kept(f"User,Time,App\n{row}\n{good}\n", SOURCED)
    assert [record.source for record in judgement.kept] == ["Dropbox"]
    assert judgement.dropped == {reason: 1}


def test_unknown_source_values_can_be_refused() -> None:
    """With the option, one unrelated value refuses the file, and the message does not quote it."""
    file = "User,Time,App\na@contoso.com,2023-04-24T05:52:56Z,Box\n"
    refusal = refused(file, SOURCED, refuse_unknown_source_values=True)
    assert refusal.code == "source_value_unknown"
    assert "line 2" in refusal.message
    assert "Box" not in refusal.message


@pytest.mark.parametrize(
    ("file", "job", "code"),
    [
        (b"", JOB, "empty_file"),
        (b"\xef\xbb\xbf", JOB, "empty_file"),
        (b" \r\n", JOB, "empty_file"),
        (b"User,Time\n\xff\xfe,x\n", JOB, "not_utf8"),
        ("User,Time,App\n".encode("utf-16"), JOB, "not_utf8"),
        ("\nUser,Time,App\n", JOB, "no_header"),
        ("User,,App\na,b,c\n", JOB, "no_header"),
        ("a@contoso.com,2023-04-24T05:52:56Z,Dropbox\n", MAPPED, "columns_differ"),
        ("User,Time\na,b\n", MAPPED, "columns_differ"),
        ("User,Time,App,More\na,b,c,d\n", MAPPED, "columns_differ"),
        ("user,Time,App\na,b,c\n", MAPPED, "columns_differ"),
        ("User,Time,User\na,b,c\n", JOB, "column_repeated"),
        ("User,Time,App\na,b\n", MAPPED, "ragged_row"),
        ("User,Time,App\na,b,c\n\nd,e,f\n", MAPPED, "ragged_row"),
        ("User,Time,App\n", MAPPED, "no_records"),
        ('User,Time,App\na,"b,c\n', MAPPED, "not_csv"),
        ('User,Time,App\na,"b"x,c\n', MAPPED, "not_csv"),
        ("Who,Time\na,2023-04-24T05:52:56Z\n", JOB, "no_user_column"),
        ("UPN,Time\na,2023-04-24T05:52:56Z\n", JOB, "no_user_column"),
        ("UserPrincipalName,Time\na,yesterday\n", JOB, "no_time_column"),
        (
            "UserPrincipalName,Time\na,2023-04-24T05:52:56Z\n",
            replace(JOB, source_column="App"),
            "no_source_column",
        ),
    ],
)
def test_files_refused(file: str | bytes, job: Job, code: str) -> None:
    """A file that is not UTF-8 CSV with the job's columns is refused as a whole."""
    assert refused(file, job).code == code


@pytest.mark.parametrize(
    "file",
    [
        "User,Time,App\nanna,2023-04-24T05:52:56Z\n",
        'User,Time,App\nanna,"2023-04-24T05:52:56Z\n',
        "anna,2023-04-24T05:52:56Z,App\n",
        b"User,Time,App\nanna\xff,2023-04-24T05:52:56Z,App\n",
    ],
)
def test_messages_quote_no_row(file: str | bytes) -> None:
    """No message has a value of a row."""
    assert "anna" not in refused(file, MAPPED).message


@pytest.mark.parametrize(
    "file",
    [
        "User,Time,App\r\na@x,2023-04-24T05:52:56Z,Dropbox\r\n",
        "User,Time,App\na@x,2023-04-24T05:52:56Z,Dropbox",
        "\ufeffUser,Time,App\na@x,2023-04-24T05:52:56Z,Dropbox\n",
        "App,Time,User\nDropbox,2023-04-24T05:52:56Z,a@x\n",
        '"User","Time","App"\n"a@x","2023-04-24T05:52:56Z","Dropbox"\n',
    ],
)
def test_equivalent_files_are_read_alike(file: str) -> None:
    """Line ends, a byte order mark, quotes and the order of columns make no difference."""
    (record,) = kept(file, SOURCED).kept
    assert (record.user, record.time, record.source) == (
        "a@x",
        "2023-04-24T05:52:56Z",
        "Dropbox",
    )


def test_quoted_line_breaks_stay_in_their_field() -> None:
    """A quoted field may have line breaks, commas and quotes."""
    file = 'User,Time,App\na@x,2023-04-24T05:52:56Z,"one\r\ntwo, ""three"""\n'
    (record,) = kept(file, MAPPED).kept
    assert dict(record.fields)["App"] == 'one\r\ntwo, "three"'


def test_columns_are_found_when_the_job_names_none() -> None:
    """The user column is found by its name and the time column by its values, even with one bad time."""
    file = (
        "Note,User-Principal Name,Seen,When\n"
        "2023-04-24T05:52:56Z,a@x,,2023-04-24T05:52:57Z\n"
        "x,b@x,,2023-04-24T05:52:57Z\n"
        "x,c@x,,soon\n"
        "x,d@x,,2023-04-24T05:52:57Z\n"
    )
    judgement = kept(file)
    assert [record.user for record in judgement.kept] == ["a@x", "b@x", "d@x"]
    assert judgement.dropped == {"time_not_iso": 1}


def test_pairs_of_earlier_files_count_only_with_the_option() -> None:
    """A pair from an earlier file is dropped only if the options say to remember pairs."""
    table = read_table(b"User,Time,App\na@x,2023-04-24T05:52:56Z,Dropbox\n")
    assert not isinstance(table, Refusal)
    first = apply_rules(table, MAPPED, Options())
    assert isinstance(first, Outcome)
    known = {record.pair for record in first.kept}
    forgetful = apply_rules(table, MAPPED, Options(), known)
    remembering = apply_rules(table, MAPPED, Options(remember_pairs_across_files=True), known)
    assert isinstance(forgetful, Outcome)
    assert isinstance(remembering, Outcome)
    assert (len(forgetful.kept), dict(forgetful.dropped)) == (1, {})
    assert (len(remembering.kept), dict(remembering.dropped)) == (0, {"pair_in_earlier_file": 1})


def test_a_record_shows_no_row_in_its_repr() -> None:
    """The repr of a record shows none of its values."""
    (record,) = kept("User,Time,App\nanna@x,2023-04-24T05:52:56Z,Dropbox\n", SOURCED).kept
    assert not [word for word in ("anna", "2023", "Dropbox") if word in repr(record)]
