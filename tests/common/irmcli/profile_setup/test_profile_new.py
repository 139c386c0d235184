"""`irmexport profile new`: the profile is valid, has no value of the sample, and replaces no file."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from irmcli.demo import examples
from irmcli.main import main
from irmcore import profile as profiles

Run = Callable[..., Result]
WIDE = ",".join(f"c{number}" for number in range(200))


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`irmexport profile new` in an empty directory."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def run(*args: str) -> Result:
        result = runner.invoke(main, ["profile", "new", *args])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("leaver-prediction", ["--kind", "trigger", "--join-last"]),
        ("salesforce-dropbox", ["--source", "Source_Workload=Salesforce,Dropbox"]),
    ],
)
def test_microsofts_examples_become_profiles_like_the_shipped_ones(
    new: Run, name: str, options: list[str]
) -> None:
    """The sample on Microsoft's page gives the columns, types and roles of the shipped profile."""
    done = new("--from", str(examples.path(name)), *options)
    assert done.exit_code == 0, done.output
    made = profiles.read(f"{name}.yaml")
    shipped = profiles.parse(profiles.shipped_text(name), name)
    as_made = [(c.header, c.type, c.role, c.related_values) for c in made.columns]
    assert as_made == [(c.header, c.type, c.role, c.related_values) for c in shipped.columns]
    assert (made.kind, made.ragged) == (shipped.kind, shipped.ragged)
    assert f"{6 if options[0] == '--source' else 3} rows read: " in done.output


VALUES = {
    "Who": ["canary1@contoso.com", "canary2@contoso.com"],
    "At": ["2031-05-06T07:08:09Z", "2031-05-06T07:08:10Z"],
    "Score": ["918273", "918274"],
    "Source": ["CanarySource", "CanaryOther"],
    "yes: no": ["canary text # ]", 'canary "quoted"'],
    "off": ["canary third", ""],
    "line\u2028separator": ["canary fourth", ""],
}


def sample(tmp_path: Path, values: dict[str, list[str]]) -> str:
    """A JSON lines file with these columns."""
    path = tmp_path / "sample.jsonl"
    lines = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    path.write_text("\n".join(map(json.dumps, lines)))
    return str(path)


def test_no_value_of_the_sample_gets_into_the_profile_or_the_messages(new: Run, tmp_path: Path) -> None:
    """The profile has only headers and settings, whatever the cells contain; odd headers are quoted."""
    done = new("--from", sample(tmp_path, VALUES))
    assert done.exit_code == 0, done.output
    text = Path("sample.yaml").read_text()
    cells = [cell for column in VALUES.values() for cell in column if cell]
    assert [cell for cell in cells if cell in text or cell in done.output] == []
    assert [column.header for column in profiles.read("sample.yaml").columns] == list(VALUES)
    assert "make it the source column" in text


def test_each_guess_has_a_reason(new: Run, tmp_path: Path) -> None:
    """The reasons are printed, and are comments in the profile."""
    done = new("--from", sample(tmp_path, VALUES))
    assert "nearly all values are user principal names" in done.output
    assert "  # the only number column\n  - header: Score\n" in Path("sample.yaml").read_text()


TARGET_FIRST = """\
TargetEmail,ActorEmail,IndexTime,EventTime
hr@contoso.com,ana.k@contoso.com,2026-11-20T09:00Z,2026-11-20T08:00Z
"""


@pytest.mark.parametrize("options", [[], ["--take-guesses"]])
def test_the_choice_of_user_and_time_is_shown_with_its_alternatives(
    new: Run, tmp_path: Path, options: list[str]
) -> None:
    """The actor and the event's time are taken, and each other column that could have been says why not."""
    (tmp_path / "s.csv").write_text(TARGET_FIRST)
    done = new("--from", "s.csv", *options)
    assert done.exit_code == 0, done.output
    assert "user: ActorEmail (names an actor; alternatives: TargetEmail names a target)" in done.output
    assert (
        "time: EventTime (names the time of the event; alternatives: IndexTime names another time (index))"
        in done.output
    )
    roles = {column.header: column.role for column in profiles.read("s.yaml").columns}
    assert (roles["ActorEmail"], roles["EventTime"]) == ("user", "time")


UNCERTAIN = """\
email,Contact mail,login_time,logout_time
ana.k@contoso.com,eve@contoso.com,2026-11-20T08:00Z,2026-11-20T09:00Z
"""


@pytest.mark.parametrize("options", [[], ["--take-guesses"]])
def test_an_uncertain_user_or_time_is_refused_with_the_option_that_decides(
    new: Run, tmp_path: Path, options: list[str]
) -> None:
    """No file is written until an option says which column it is."""
    (tmp_path / "s.csv").write_text(UNCERTAIN)
    done = new("--from", "s.csv", *options)
    assert done.exit_code == 2
    assert "s.csv: the column of the user is not certain: " in done.output
    assert "email does not tell whose address it is" in done.output
    assert "Choose it with --user email or --user 'Contact mail'." in done.output
    user = ["--user", "email"]
    done = new("--from", "s.csv", *options, *user)
    assert done.exit_code == 2
    assert "the column of the time is not certain: " in done.output
    assert "Choose it with --time login_time or --time logout_time." in done.output
    assert not Path("s.yaml").exists()
    done = new("--from", "s.csv", *options, *user, "--time", "login_time")
    assert done.exit_code == 0, done.output
    roles = {column.header: column.role for column in profiles.read("s.yaml").columns}
    assert (roles["email"], roles["login_time"]) == ("user", "time")


def test_a_column_of_a_target_is_not_taken_even_alone(new: Run, tmp_path: Path) -> None:
    """The only addresses are the recipients': an option has to say that they are meant."""
    (tmp_path / "s.csv").write_text("Recipient,time\na@b.example,2026-11-20T08:00Z\n")
    done = new("--from", "s.csv")
    assert done.exit_code == 2
    assert "not certain: Recipient names a recipient" in done.output
    assert new("--from", "s.csv", "--user", "Recipient").exit_code == 0


def test_nothing_is_overwritten(new: Run, tmp_path: Path) -> None:
    """An existing file stays unchanged, and the exit code is that of a configuration error."""
    Path("mine.yaml").write_text("precious")
    done = new("--from", sample(tmp_path, VALUES), "-o", "mine.yaml")
    assert done.exit_code == 2
    assert "the file already exists" in done.output
    assert Path("mine.yaml").read_text() == "precious"


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("a@b.example,2026-11-20T08:00:00Z,3\n", [], "the first line looks like a row"),
        ("who,when\nme,2026-11-20T08:00:00Z\n", [], "no column of the sample contains user principal names"),
        ("user,note\na@b.example,x\n", [], "no column of the sample contains event times"),
        ("user,time\na@b.example,2026-11-20 08:00\n", [], "have no offset"),
        ("user,time\na@b.example,2026-11-20 08:00\n", ["--zone", "Mars/Base"], "`--zone` is not a time zone"),
        ("user,time\na@b.example,2026-11-20T08:00Z\n", ["--user", "usr"], "'usr' is not a column"),
        ("user,time\na@b.example,2026-11-20T08:00Z\n", ["--credential", "hunter2"], "KIND:REFERENCE"),
        ("user,time\na@b.example,2026-11-20T08:00Z\n", ["--source", "time"], "COLUMN=VALUE"),
        ("user,time,count\n", [], "s.csv: the sample has no readable row"),
        (
            "user,time,\na@b.example,2026-11-20T08:00Z,x\n",
            [],
            "every row of the sample would be refused; 1 of 1 as ragged-long",
        ),
        (
            f"user,time,{WIDE}\na@b.example,2026-11-20T08:00Z,{WIDE.replace('c', 'x')}\n",
            ["--columns", WIDE],
            "s.csv:1: `columns` has too many entries (maximum: 100)",
        ),
        ('[\n {"user": "a@b.example"}]', [], "no column of the sample contains event times"),
        ('{"a":' + "[" * 100_000 + "\n", [], "no JSON object that could be a row"),
        ("user,time\na@b.example,2026-11-20T08:00Z\n", ["--job-id", "x"], "`--job-id` is not valid"),
    ],
)
def test_what_cannot_become_a_profile_is_refused(
    new: Run, tmp_path: Path, text: str, options: list[str], expected: str
) -> None:
    """No file is written, and the message names the option or the fault."""
    (tmp_path / "s.csv").write_text(text)
    done = new("--from", "s.csv", *options)
    assert done.exit_code in (1, 2)
    assert expected in done.output
    assert not Path("s.yaml").exists()


def test_a_name_beyond_the_basic_plane_is_written_as_it_is(new: Run, tmp_path: Path) -> None:
    """A character that is not printable and has more than four hexadecimal digits survives."""
    (tmp_path / "s.csv").write_text("user,time,x\U000f0000y\na@b.example,2026-11-20T08:00Z,z\n")
    assert new("--from", "s.csv").exit_code == 0
    assert profiles.read("s.yaml").columns[2].header == "x\U000f0000y"


def test_local_times_need_their_zone(new: Run, tmp_path: Path) -> None:
    """--zone is written to the profile, and the sample is shaped with it."""
    (tmp_path / "s.csv").write_text("user,time\na@b.example,2026-11-20 08:00\n")
    done = new("--from", "s.csv", "--zone", "Europe/Berlin")
    assert done.exit_code == 0, done.output
    assert profiles.read("s.yaml").zone == "Europe/Berlin"


def test_a_person_at_a_terminal_chooses_an_uncertain_column(tmp_path: Path) -> None:
    """Enter does not take a user or a time that is not certain; the candidates are listed with reasons."""
    (tmp_path / "s.csv").write_text(UNCERTAIN)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("irmexport"), "profile", "new", "--from", "s.csv"],
        cwd=tmp_path,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    os.write(ours, b"\nContact mail\n\nlogout_time\n\n\n")
    output, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, output.decode()
    assert b"email does not tell whose address it is" in output
    assert b"logout_time names a time" in output
    roles = {column.header: column.role for column in profiles.read(str(tmp_path / "s.yaml")).columns}
    assert (roles["Contact mail"], roles["logout_time"]) == ("user", "time")


def test_a_person_at_a_terminal_is_asked(tmp_path: Path) -> None:
    """On a terminal the guesses are the defaults, and answers replace them."""
    (tmp_path / "s.csv").write_text(
        "user,boss,time,n,workload\na@b.example,b@b.example,2026-11-20 08:00,1,Dropbox\n"
        "a@b.example,b@b.example,2026-11-20 09:00,1,Box\n"
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("irmexport"), "profile", "new", "--from", "s.csv"],
        cwd=tmp_path,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    os.write(ours, b"boss\n\nnone\n\nDropbox,Box\nEurope/Berlin\n")
    output, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, output.decode()
    made = profiles.read(str(tmp_path / "s.yaml"))
    assert {c.header: c.role for c in made.columns} == {
        "user": "information",
        "boss": "user",
        "time": "time",
        "n": "information",
        "workload": "source",
    }
    assert made.column("source").related_values == ("Dropbox", "Box")  # type: ignore[union-attr]
    assert made.zone == "Europe/Berlin"


def made_of(new: Run, text: str, *options: str, encoding: str = "utf-8") -> tuple[str, profiles.Profile]:
    """The output for a sample, and its profile."""
    Path("s.csv").write_bytes(text.encode(encoding))
    done = new("--from", "s.csv", "-o", "s.yaml", *options)
    assert done.exit_code == 0, done.output
    return done.output, profiles.read("s.yaml")


GERMAN = "Benutzer;Datum (UTC);Volumen;Stufe\na@b.example;05.11.2026 09:15;1.250,5;hoch\n"


def test_the_form_of_a_file_is_in_the_profile_and_shown(new: Run) -> None:
    """With cells that others could read differently, and what is read: times and numbers, no text."""
    output, made = made_of(new, GERMAN + "c@b.example;05.11.2026 10:15;12;Früh\n", encoding="cp1252")
    assert "Read as: columns separated by semicolons, Windows-1252 text" in output
    assert "05.11.2026 09:15  2026-11-05T09:15:00Z" in output
    assert "1.250,5           1250.5" in output
    assert "Früh" not in output
    assert made.format == profiles.model.Format(delimiter=";", encoding="cp1252", numbers="comma")
    assert (made.zone, made.column("time").format) == ("UTC", "dmy")  # type: ignore[union-attr]


def test_severities_are_mapped(new: Run) -> None:
    """A word of a known language becomes one of the scale."""
    _, made = made_of(new, GERMAN)
    stage = next(column for column in made.columns if column.header == "Stufe")
    assert (stage.mapping["hoch"], stage.mapping["niedrig"], stage.type) == ("High", "Low", "string")


def test_a_scale_of_numbers_is_proposed_not_sent(new: Run) -> None:
    """It is no threshold, and the lines that map it are comments, because 1 may be the worst."""
    made_of(new, "user,time,severity\na@b.example,2026-11-20T08:00Z,1\nc@b.example,2026-11-20T08:00Z,5\n")
    assert '# map: {"1": Informational, "2": Low' in Path("s.yaml").read_text()


def test_unknown_words_of_severity_are_told(new: Run) -> None:
    """The table of columns says so, and the profile where to write which, without a word of the sample."""
    output, made = made_of(new, "user,time,priority\na@b.example,2026-11-20T08:00Z,Sehr dringend\n")
    assert "perhaps severities; its comment in the profile says how to send them as words" in output
    assert (made.columns[2].type, made.columns[2].mapping) == ("string", {})
    written = Path("s.yaml").read_text()
    assert "    # allowed: [Informational, Low, Medium, High, Critical]\n    # map: {" in written
    assert "dringend" not in written


@pytest.mark.parametrize(
    ("dates", "order"),
    [
        (["13.10.2026", "05.11.2026"], "dmy"),
        (["05/11/2026", "13/11/2026"], "dmy"),
        (["05/11/2026", "05/13/2026"], "mdy"),
        (["05.11.2026", "06.11.2026"], "dmy"),
        (["2026/05/11", "2026/05/12"], "ymd"),
        (["05/11/2026", "06/11/2026"], None),
        (["13/11/2026", "05/13/2026"], None),
        (["26/11/05", "20/11/05"], None),
    ],
)
def test_one_date_decides_the_order_of_all(new: Run, dates: list[str], order: str | None) -> None:
    """If no date does, or two dates differ, the option is named and no profile is written."""
    text = "user,time_utc\n" + "".join(f"a@b.example,{date}\n" for date in dates)
    if order is not None:
        assert made_of(new, text)[1].column("time").format == order  # type: ignore[union-attr]
        return
    Path("s.csv").write_text(text)
    done = new("--from", "s.csv")
    assert done.exit_code == 2
    assert "--dates dmy or --dates" in done.output
    both = "line 2 as day, month, year and line 3 as month, day, year"
    assert (both in done.output) == (dates == ["13/11/2026", "05/13/2026"])
    assert not Path("s.yaml").exists()


@pytest.mark.parametrize(
    ("numbers", "sign"),
    [
        (["1.250", "12.5"], "point"),
        (["1.250", "12,5"], "comma"),
        (["1,250", "1,048,576"], "point"),
        (["3", "12"], None),
        (["1 250", "12"], None),
        (["1'250", "1'250.5"], "point"),
        (["1\u202f250,5", "12\u00a0250"], "comma"),
        (["1.250", "12"], "?"),
        (["12.5", "12,5"], "?"),
    ],
)
def test_one_number_decides_the_decimal_sign(new: Run, numbers: list[str], sign: str | None) -> None:
    """If none does, the option is named and no profile is written."""
    text = "user;time;count\n" + "".join(f"a@b.example;2026-11-20T08:00Z;{number}\n" for number in numbers)
    if sign != "?":
        assert made_of(new, text)[1].format.numbers == sign
        return
    Path("s.csv").write_text(text)
    done = new("--from", "s.csv")
    assert done.exit_code == 2
    assert "--numbers point" in done.output
    both = "a point in line 2 (count) and a comma in line 3 (count)"
    assert (both in done.output) == (numbers == ["12.5", "12,5"])
    assert not Path("s.yaml").exists()


def test_join_last_is_not_guessed(new: Run) -> None:
    """Rows with more fields than the header may be shifted, so they are refused without the option."""
    text = "user,time,note\na@b.example,2026-11-20T08:00Z,x\na@b.example,2026-11-20T09:00Z,x,y\n"
    Path("s.csv").write_text(text)
    done = new("--from", "s.csv")
    assert done.exit_code == 3
    assert profiles.read("s.yaml").ragged == "refuse"
    Path("s.yaml").unlink()
    assert made_of(new, text, "--join-last")[1].ragged == "join-last"


def test_a_sample_of_which_no_row_would_go_out_gives_no_profile(new: Run) -> None:
    """The reason of most rows is said, and what to do."""
    Path("s.csv").write_text("user,time\nCORP\\ana,2026-11-20T08:00Z\nCORP\\ben,2026-11-20T08:00Z\n")
    done = new("--from", "s.csv", "--user", "user")
    assert done.exit_code == 2
    assert (
        "every row of the sample would be refused; 2 of 2 as upn-down-level-name in column user"
        in done.output
    )
    assert not Path("s.yaml").exists()


@pytest.mark.parametrize(
    "name", ["CORP\\ana", "004711", "Ana.Abel@b.example"], ids=["account", "number", "mail"]
)
def test_other_names_than_principal_names_are_looked_up(
    new: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Without a directory of people the command is named; with one the profile uses it, and rows resolve."""
    monkeypatch.setenv("IRMEXPORT_OUTBOX", str(tmp_path / "outbox"))
    Path("s.csv").write_text(f"E-Mail,time\n{name},2026-11-02T08:00:07Z\n")
    done = new("--from", "s.csv", "--user", "E-Mail")
    assert done.exit_code == (0 if "@" in name else 2)
    assert "irmexport identities sync" in " ".join(done.output.split())
    Path("s.yaml").unlink(missing_ok=True)
    Path("people.csv").write_text(
        "user_principal_name,mails,account_names,employee_id\n"
        "ana@b.example,ana.abel@b.example,CORP\\ana,004711\n"
    )
    assert CliRunner().invoke(main, ["identities", "import", "people.csv"]).exit_code == 0
    # Nobody knows who had the name before the first reading: the row is refused, and the profile is written.
    done = new("--from", "s.csv", "--user", "E-Mail")
    assert (done.exit_code, "user-validity-unknown" in done.output) == (3, True)
    Path("now.csv").write_text(f"E-Mail,time\n{name},{datetime.now(UTC).isoformat()}\n")
    done = new("--from", "now.csv", "--user", "E-Mail")
    assert (done.exit_code, "1 row read: 1 shaped" in done.output) == (0, True)
    assert "The names in E-Mail are looked up in the directory of people" in done.output
    identity = profiles.read("now.yaml").identity
    assert identity is not None
    assert identity.directory == "default"


def test_the_values_of_the_source_column_are_those_of_the_sample(new: Run) -> None:
    """Only if the option asks for them; a column of users or times is none."""
    text = "user,time,app\na@b.example,2026-11-20T08:00Z,Box\na@b.example,2026-11-20T09:00Z,Drive\n"
    assert made_of(new, text, "--source", "app")[1].column("source").related_values == ("Box", "Drive")  # type: ignore[union-attr]
    Path("s.yaml").unlink()
    assert "does not look like a source column" in new("--from", "s.csv", "--source", "user").output


def test_of_a_wide_sample_the_columns_with_a_role_are_taken(new: Run) -> None:
    """And some others; an option chooses which."""
    text = f"{WIDE},user,time,count\n{WIDE.replace('c', 'x')},a@b.example,2026-11-20T08:00Z,3\n"
    output, made = made_of(new, text)
    assert len(made.columns) == 20
    assert {"user", "time", "count"} <= {column.header for column in made.columns}
    assert "183 columns are left out. Choose others with --columns" in output
    Path("s.yaml").unlink()
    chosen = made_of(new, text, "--columns", "c150,c7")[1].columns
    assert [column.header for column in chosen] == ["c7", "c150", "user", "time", "count"]
    Path("s.yaml").unlink()
    text = "user,time,count,a,b\na@b.example,2026-11-20T08:00Z,3,x,y\n"
    assert "1 column is left out." in made_of(new, text, "--columns", "b")[0]


def test_an_empty_threshold_is_told_with_its_default(new: Run) -> None:
    """The profile names the key that sends something in its place."""
    text = "user,time,count\na@b.example,2026-11-20T08:00Z,3\na@b.example,2026-11-20T09:00Z,\n"
    Path("s.csv").write_text(text)
    assert new("--from", "s.csv").exit_code == 3
    assert '`default: "0"` is sent in their place' in Path("s.yaml").read_text()


@pytest.mark.parametrize(
    "text",
    [
        "CORP\\ana,yesterday,many\nCORP\\ben,today,few\n",
        "ana;20.11.2026 09:15\nben;20.11.2026 09:16\n",
        "ana,Dropbox\nben,Dropbox\n",
        "ana,1.250\nben,2\n",
        "ana,9:15\nben,late\n",
        "ana,0f8fad5b-d9cb-469f-a165-70867728950e\nben,none\n",
        "ana,https://intranet/wiki\nben,none\n",
        "ana,E4711\nben,E4712\n",
        "ana,10.0.0.1\nben,10.0.0.12\n",
        "ana,+49 30 1234\nben,+49 171 12345\n",
    ],
)
def test_a_file_without_a_header_shows_no_value(new: Run, text: str) -> None:
    """Its first row would become the names of columns."""
    Path("s.csv").write_text(text)
    done = new("--from", "s.csv", "--user", "x")
    assert done.exit_code == 1
    assert "the first line looks like a row" in done.output
    assert "ana" not in done.output


def test_a_header_of_words_over_words_is_a_header(new: Run) -> None:
    """So is one with digits, over values of another form, and one that is repeated as a row."""
    header = "user,time,Field1,Office365,Q1 2026"
    made_of(new, f"{header}\na@b.example,2026-11-20T08:00Z,x7,Exchange,Q4\n")
    Path("s.csv").write_text("user,time,team\na@b.example,2026-11-20T08:00Z,Red\nuser,time,team\n")
    Path("s.yaml").unlink()
    assert new("--from", "s.csv").exit_code == 3


def test_json_that_is_no_list_of_rows_is_told_with_the_way_to_rows(new: Run) -> None:
    """Objects by user, without a name in the message; one row with nested objects is a row."""
    entry = {"time": "2026-11-20T08:00Z", "count": 3}
    for value, said in (
        ({"a@b.example": entry}, "jq -c 'to_entries[] | {key: .key} + .value' s.json > rows.jsonl"),
        ({"ana": entry, "ben": entry}, "an entry for each key"),
        ({"ana": [entry]}, "a list of rows for each key"),
    ):
        Path("s.json").write_text(json.dumps(value))
        done = new("--from", "s.json")
        assert done.exit_code == 1
        assert said in done.output
        assert not {"ana", "b.example"} & set(done.output.replace("@", " ").split())
    Path("s.json").write_text(json.dumps({"actor": {"user": "a@b.example"}, "event": entry}))
    assert new("--from", "s.json").exit_code == 0
    assert profiles.read("s.yaml").column("user").field == "actor.user"  # type: ignore[union-attr]


def test_a_person_at_a_terminal_confirms_how_cells_are_read(tmp_path: Path) -> None:
    """Order and decimal sign are asked where nothing proves them; no writes nothing."""
    (tmp_path / "s.csv").write_text("user;time_utc;count\na@b.example;05/11/2026;1.250\n")
    for answer, code in ((b"n", 2), (b"y", 0)):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [Path(sys.executable).with_name("irmexport"), "profile", "new", "--from", "s.csv"],
            cwd=tmp_path,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        os.write(ours, b"\n\n\n\nmdy\ncomma\n" + answer + b"\n")
        output, _ = process.communicate(timeout=60)
        os.close(ours)
        os.close(theirs)
        assert process.returncode == code, output.decode()
        assert b"2026-05-11T00:00:00Z" in output
        assert (tmp_path / "s.yaml").exists() == (code == 0)
