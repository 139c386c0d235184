"""Published limits in the commands: each says what comes near or passes, and where that is from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from irmcli.main import main
from irmcli.session.limits_output import of_today
from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.outbox import Outbox, audit_log
from irmcore.profile import Profile, parse, shipped_text

JOBS = ("b8be4a7d-e338-43eb-a69e-c513cd458eb1", "b8be4a7d-e338-43eb-a69e-c513cd458eb2")
PLACEHOLDER = "job_id: 00000000-0000-0000-0000-000000000000"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command with profiles and an outbox of its own."""
    monkeypatch.setenv("IRMEXPORT_PROFILES", str(tmp_path / "profiles"))
    monkeypatch.setenv("IRMEXPORT_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profiles").mkdir()
    return lambda *args: CliRunner().invoke(main, list(args), catch_exceptions=False)


def own(name: str, job: str) -> Profile:
    """A shipped profile with a job id, in the user's directory."""
    text = shipped_text(name).replace(PLACEHOLDER, f"job_id: {job}")
    Path("profiles", f"{name}.yaml").write_text(text)
    return parse(text, name)


def outbox_with_a_run(job: str, rows: int, days: float = 0) -> Outbox:
    """The connector's outbox, with a run so many days ago on record."""
    Path("outbox").mkdir(mode=0o700, exist_ok=True)
    found = Outbox(PosixDisk(), SystemClock(), str(Path("outbox", f"purview-{job}").absolute()))
    found.create()
    at = found.clock.now() - days * 86_400
    audit_log.append(found, {"event": "run", "counts": {"shaped": rows}, "at": at})
    return found


def test_check_tells_of_indicators_age_and_products(run: Callable[..., Result]) -> None:
    """The note has the count, the limit, the page and the date; the document has the numbers."""
    Path("rows.csv").write_text(
        "UserPrincipalName,ActivityDate,Activity,ActivityCount,VolumeMB,Details\n"
        "sara@contoso.com,2020-01-01T00:00:00Z,BoxDownload,3,,\n"
    )
    text = " ".join(run("check", "rows.csv", "-p", "daily-activities").output.split())
    assert (
        "daily-activities: 10 of at most 10 custom indicators of a tenant (https://learn.microsoft.com"
        in text
    )
    assert "read on 2026-11-30" in text
    assert "1 of 1 rows are older than 90 days" in text
    assert "Box, Dropbox: if the tenant uses Microsoft's own indicators" in text
    document = json.loads(run("check", "rows.csv", "-p", "daily-activities", "--json").stdout)
    assert document["limits"] == [
        {
            "limit": "custom indicators",
            "count": 10,
            "most": 10,
            "about": "daily-activities",
            "passed": False,
            "source": "https://learn.microsoft.com/en-us/purview/insider-risk-management-limits",
            "read": "2026-11-30",
        }
    ]
    assert document["before_look_back"] == 1


def test_status_adds_up_all_connectors(run: Callable[..., Result]) -> None:
    """Profiles that respect the limit alone pass it together; today's rows of a trigger pass a day's."""
    own("daily-access", JOBS[0])
    own("daily-cloud", JOBS[1])
    outbox_with_a_run(JOBS[0], 20_000)
    done = run("status")
    assert "2 profiles together: 17 of at most 10 custom indicators" in done.stderr
    assert "triggers" not in done.output  # rows of indicators
    own("leaver-prediction", JOBS[1])
    outbox_with_a_run(JOBS[1], 15_001)
    assert "15,001 of at most 15,000 triggers by custom indicators" in run("status").stderr
    found = json.loads(run("status", "--json").stdout)
    assert len(found) == 2
    for one in found:
        limits = {limit["limit"]: limit for limit in one["limits"]}
        assert (limits["custom triggers"]["count"], limits["custom triggers"]["passed"]) == (15_001, True)
        assert limits["custom indicators"]["source"].startswith("https://learn.microsoft.com/")
        assert limits["custom indicators"]["read"] == "2026-11-30"


def test_status_tells_that_profiles_lapse(run: Callable[..., Result]) -> None:
    """The last run was 31 days ago: the service has deleted them."""
    own("hr-employee-profiles", JOBS[0])
    outbox_with_a_run(JOBS[0], 5, days=31)
    assert "hr-employee-profiles, last run: 31 of at most 30 days" in " ".join(run("status").stderr.split())


def test_a_broken_profile_does_not_hide_the_status(run: Callable[..., Result]) -> None:
    """The limits are left out, and it is said why."""
    Path("profiles", "broken.yaml").write_text("schema: 1\n")
    outbox_with_a_run(JOBS[0], 5)
    done = run("status")
    assert JOBS[0] in done.output
    assert "published limits were not compared" in done.stderr


def test_an_audit_log_that_cannot_be_read_does_not_hide_the_status(run: Callable[..., Result]) -> None:
    """The document is complete: its reader learns of what needs a person."""
    own("hr-employee-profiles", JOBS[0])
    log = Path(outbox_with_a_run(JOBS[0], 5).path, "audit.log")
    log.unlink()
    log.mkdir()
    (found,) = json.loads(run("status", "--json").stdout)
    assert JOBS[0] in found["name"]


def test_only_todays_rows_count(run: Callable[..., Result]) -> None:
    """A run of yesterday (UTC) is another day's."""
    assert run("status").exit_code == 0
    trigger = own("leaver-prediction", JOBS[0])
    outbox = outbox_with_a_run(JOBS[0], 15_001, days=1)
    assert of_today([(trigger, outbox)]) == []
    outbox_with_a_run(JOBS[0], 15_001)
    assert [one.number for one in of_today([(trigger, outbox)])] == [15_001]


def test_the_wizard_and_its_page_tell_it(run: Callable[..., Result]) -> None:
    """Before anything is created in the portal."""
    done = run("wizard", "daily-access", "daily-cloud")
    assert "17 of at most 10 custom indicators" in done.stderr
    assert "read on 2026-11-30" in done.stderr
    assert "17 of at most 10 custom indicators" in Path("wizard", "wizard.md").read_text()
    assert "Google Drive" in Path("wizard", "wizard.md").read_text()


def test_profile_new_tells_it(run: Callable[..., Result]) -> None:
    """A profile with more values than a tenant has indicators is written, and warned about."""
    rows = "".join(f"u@contoso.com,2026-11-20T08:00:{n:02d}Z,S{n:02d},{n}\n" for n in range(11))
    Path("sample.csv").write_text(f"UserPrincipalName,Time,Source,Count\n{rows}")
    done = run("profile", "new", "--from", "sample.csv", "--source", "Source")
    assert done.exit_code == 0, done.output
    assert (
        "sample: 11 of at most 10 custom indicators of a tenant (https://learn.microsoft.com" in done.stderr
    )
    assert "read on 2026-11-30" in done.stderr
    Path("sample.yaml").unlink(missing_ok=True)
    Path("profiles", "sample.yaml").unlink(missing_ok=True)
    again = run("profile", "new", "--from", "sample.csv", "--source", "Source", "--json")
    (limit,) = json.loads(again.stdout)["limits"]
    assert (limit["count"], limit["passed"], limit["read"]) == (11, True, "2026-11-30")
