"""The wizard's page has every value of each step, escaped; the sample file has made-up rows."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from irmcli.main import main
from irmcli.wizard import page
from irmcli.wizard.connectors import conflicts, needed
from irmcli.wizard.sample import sample
from irmcli.wizard.steps import sections
from irmcore import profile as profiles
from irmcore.clouds import CLOUDS
from irmcore.intake.dry_run import dry_run
from irmcore.profile import Profile
from irmcore.shaping.readers import csv_table

JOB = "b8be4a7d-e338-43eb-a69e-c513cd458eba"


def shipped(name: str, **connector: str) -> Profile:
    """A shipped profile with other connector settings."""
    made = profiles.parse(profiles.shipped_text(name), f"{name}.yaml")
    return made.at(replace(made.connector, **connector))


def table(text: str, first: str) -> list[list[str]]:
    """The rows of the Markdown table whose first column is ``first``, without code marks."""
    rows, inside = [], False
    for line in text.splitlines():
        inside = line.startswith(f"| {first} |") or (inside and line.startswith("|"))
        if inside:
            rows.append([cell.strip(" `").replace("\\", "") for cell in line.strip("|").split("|")])
    return rows


def written(*chosen: Profile) -> str:
    """The page of these profiles as Markdown."""
    return page.document(
        "Page", sections(needed(chosen), {profile.name: f"{profile.name}.yaml" for profile in chosen})
    )


@pytest.mark.parametrize("name", profiles.shipped_names())
def test_the_sample_passes_the_profiles_own_checks(name: str) -> None:
    """All rows pass the rules for uploads, and every source value occurs."""
    profile = shipped(name)
    source = profile.column("source")
    values = source.related_values if source else ()
    text = sample(profile, values)
    done = dry_run(csv_table(io.BufferedReader(io.BytesIO(text.encode())), name="s"), profile, None)
    assert (done.counts.rejected, done.counts.merged) == (0, 0)
    assert done.counts.shaped >= 3
    assert all(value in text for value in values)


def test_every_value_of_an_hr_connector() -> None:
    """Each page of the HR wizard has the value of the profile; rows that lapse are told about."""
    text = written(shipped("hr", app_id=JOB), shipped("hr-employee-profiles"))
    rows = table(text, "Page")
    for row in [
        ["Setup the connection", "Entra application ID", JOB],
        ["HR scenarios", "Select", "Job level change"],
        ["File mapping details", "Identifier column", "HRScenario"],
        ["File mapping details", "Value for Performance review", "Performance review"],
        ["File mapping details", "Resignation: LastWorkingDate", "LastWorkingDate"],
        ["File mapping details", "Employee profile: EmployeeAddressLine1", "EmployeeAddLine1"],
    ]:
        assert row in rows
    assert not [row for row in rows if row[1].startswith("Resignation: Rem")]
    assert "30 days after its last upload" in text
    assert "500 rows" in text
    assert "Custom indicators" not in text  # HR data are signals of their own


def test_hr_profiles_of_one_layout_share_a_connector() -> None:
    """The identifier column tells their files apart; files without it need a connector each."""
    hr = shipped("hr")
    assert len(needed([hr, replace(hr, name="other")])) == 1
    assert len(needed([hr, replace(hr, scenarios={"resignation": "Leaver"}, name="other")])) == 2
    alone = shipped("hr-resignations")
    assert len(needed([alone, replace(alone, name="other")])) == 2


def test_every_value_of_microsofts_second_example() -> None:
    """In example 2 each field of each wizard page has the value of Microsoft's page."""
    text = written(shipped("salesforce-dropbox", app_id=JOB))
    rows = table(text, "Page")
    for row in [
        ["Authentication", "Name", "salesforce-dropbox"],
        ["Authentication", "Microsoft Entra application ID", JOB],
        ["Sample file", "Source column", "Source_Workload"],
        ["Sample file", "Related values in source column (no spaces)", "Salesforce,Dropbox"],
        ["Sample file", "Data type of Alert_Count", "Number"],
        ["Data mapping", "Event time (UTC time)", "Aggregation_Date"],
        ["Data mapping", "Microsoft 365 user email address", "User_Principal_Name"],
        ["Data mapping", "Column for Dropbox", "AdditionalInfo_Dropbox"],
        ["Finish", "Copy the job ID into the profile", "job_id"],
    ]:
        assert row in rows
    assert ["Data mapping", "Column for Salesforce", "AdditionalInfo_Dropbox"] not in rows
    indicators = table(text, "Custom indicator")[2:]
    assert [row[:2] for row in indicators] == [
        ["salesforce-dropbox Salesforce", "Alert_Count"],
        ["salesforce-dropbox Dropbox", "Alert_Count"],
    ]


def test_a_single_source_uses_the_wizards_terms() -> None:
    """In example 1 there is no source column, and each other column is under `Default field`."""
    rows = table(written(shipped("leaver-prediction")), "Page")
    assert ["Sample file", "Source column", "None (Single source)"] in rows
    assert ["Data mapping", "Default field", "PredictionScore"] in rows


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_hosts_of_each_cloud(cloud: str) -> None:
    """The table for the firewall has the hosts that irmexport uses for the profile's cloud."""
    text = written(shipped("leaver-prediction", cloud=cloud))
    hosts = {row[1] for row in table(text, "Cloud")[2:]}
    assert {f"https://{host}" for host in hosts} == {CLOUDS[cloud].upload, CLOUDS[cloud].login}
    assert ("az cloud set --name AzureUSGovernment" in text) == cloud.startswith(("gcc-", "dod"))


def test_profiles_with_the_same_layout_share_a_connector() -> None:
    """A source column tells their rows apart, so one connector has the related values of both."""
    one = shipped("salesforce-dropbox")
    columns = tuple(
        replace(column, related_values=("Box", "Dropbox")) if column.role == "source" else column
        for column in one.columns
    )
    other = replace(one, name="box", columns=columns)
    found = needed([one, other, shipped("leaver-prediction")])
    assert [[p.name for p in c.profiles] for c in found] == [
        ["salesforce-dropbox", "box"],
        ["leaver-prediction"],
    ]
    assert found[0].related_values == ("Salesforce", "Dropbox", "Box")


def test_profiles_without_a_source_column_do_not_share() -> None:
    """Nothing tells their rows apart, so each needs its own connector."""
    one = shipped("leaver-prediction")
    assert len(needed([one, replace(one, name="another")])) == 2


def test_contradicting_job_ids_are_reported() -> None:
    """One job ID for two layouts and two job IDs for one layout are reported."""
    one, two = shipped("leaver-prediction", job_id=JOB), shipped("salesforce-dropbox", job_id=JOB)
    assert "has the job ID of leaver-prediction" in conflicts(needed([one, two]))[0]
    renamed = replace(two, name="again").at(replace(two.connector, job_id=JOB.replace("b8", "c8")))
    assert "2 job IDs" in conflicts(needed([two, renamed]))[0]
    assert conflicts(needed([one])) == []


class Tags(HTMLParser):
    """The tags of a page, and the URLs that it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href", "action")]


def test_no_text_of_a_profile_can_become_markup() -> None:
    """Tags and table bars in a value are escaped in HTML and in Markdown."""
    evil = "<script>x</script>|a`b"
    found = page.document(evil, [page.section(evil, page.table(("a", "b"), [(evil, evil)]))])
    tags = Tags()
    tags.feed(page.page(evil, found))
    assert "script" not in tags.tags
    assert tags.addresses == []
    row = found.splitlines()[-1]
    assert row == "| \\<script\\>x\\</script\\>\\|a\\`b | `` <script>x</script>\\|a`b `` |"


def test_code_in_a_sentence_is_code_on_both_pages() -> None:
    """No reader sees a backtick: the HTML page has code elements, and Markdown does not escape its marks."""
    chosen = [shipped(name) for name in profiles.shipped_names()]
    found = written(*chosen)
    shown = page.page("Page", found)
    assert "set <code>credential</code> to where the secret is" in shown
    assert "`" not in shown
    assert "set `credential` to where the secret is" in found
    assert "\\`" not in found


@pytest.fixture
def wizard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `irmexport wizard` in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IRMEXPORT_OUTBOX", str(tmp_path / "outbox"))
    return lambda *args: CliRunner().invoke(main, ["wizard", *args])


def test_the_files_are_written_once(wizard: Callable[..., Result]) -> None:
    """The page and the sample files are written; a second run replaces none of them."""
    assert wizard("leaver-prediction", "salesforce-dropbox").exit_code == 0
    names = sorted(path.name for path in Path("wizard").iterdir())
    assert names == [
        "leaver-prediction-sample.csv",
        "salesforce-dropbox-sample.csv",
        "wizard.html",
        "wizard.md",
    ]
    tags = Tags()
    tags.feed(Path("wizard/wizard.html").read_text())
    assert tags.addresses == []
    again = wizard("leaver-prediction")
    assert again.exit_code == 2
    assert "already" in again.output


def test_a_change_needs_a_job_id_and_a_past_time(wizard: Callable[..., Result]) -> None:
    """A placeholder job ID and a time in the future are refused."""
    assert "`job_id` of profile leaver-prediction" in wizard("leaver-prediction", "--changed", "0m").output
    assert "in the future" in wizard("leaver-prediction", "--changed", "2999-01-01T00:00Z").output


def test_two_profiles_with_the_same_name_are_refused(wizard: Callable[..., Result]) -> None:
    """The name is also the sample file's, and no file may be lost silently."""
    for name in ("a.yaml", "b.yaml"):
        Path(name).write_text(profiles.shipped_text("leaver-prediction"))
    done = wizard("a.yaml", "b.yaml")
    assert done.exit_code == 2
    assert "the same `name`" in done.output
