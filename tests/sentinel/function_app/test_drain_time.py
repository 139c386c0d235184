"""The time that `drain --seconds` has: one for all connectors, as the function has one for all commands."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from irmcli.main import main
from irmemulator.faults import Fault

from tests.sentinel.irmsentinel.export.exports import Stage, profile

ROWS = {
    "sentinel-activity": "UserPrincipalName,AggregationDate,SourceWorkload,Activity,ActivityCount\n"
    "sarad@contoso.com,2026-11-20T00:00:00Z,Okta,Tokens created,3\n",
    "sentinel-incidents": "UserPrincipalName,EventTime,SourceWorkload,Incident,Title,Severity,AlertCount\n"
    "sarad@contoso.com,2026-11-20T10:00:00Z,SentinelIncident,a,Title,High,1\n",
}


def test_no_connector_starts_an_upload_after_the_time_of_all(tmp_path: Path) -> None:
    """A time for each of 20 connectors would outlast the function, which would break an upload off."""
    outbox = ["--outbox", str(tmp_path / "outbox")]
    run = CliRunner().invoke
    with Stage(tmp_path, *map(profile, ROWS)).running() as stage:
        for name, text in ROWS.items():
            (tmp_path / f"{name}.csv").write_text(text)
            words = ["send", str(tmp_path / f"{name}.csv"), "--profile", name, "--queue-only"]
            queued = run(main, [*outbox, *words, "--emulator", str(tmp_path / "emulator")])
            assert queued.exit_code == 0, queued.output
        stage.emulator.faults.next(Fault(delay=1.5))
        done = run(main, [*outbox, "drain", "--seconds", "1"])
        assert (done.exit_code, "no time is left" in done.output) == (1, True), done.output
        assert sum(len(stage.kept(name)) for name in ROWS) == 1
        assert run(main, [*outbox, "drain", "--seconds", "60"]).exit_code == 0
        assert [len(stage.kept(name)) for name in ROWS] == [1, 1]
        over = run(main, [*outbox, "drain", "--seconds", "1"])
        assert over.exit_code == 0, over.output
