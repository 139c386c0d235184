"""Exports over HTTPS at both ends: what is read, in which pieces, and what the connector stores."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from irmcore.errors import ConfigurationError, DataError, IrmError
from irmemulator.faults import Fault
from irmsentinel.azure.query_errors import QueryRefused, Throttled
from irmsentinel.content import aggregations
from irmsentinel.export.cursor import CursorFile
from irmsentinel.export.export import Export
from irmsentinel.export.reader import MAX_PARTS

from tests.fakes.clock import FakeClock
from tests.fakes.emulated_faults import query_fault
from tests.sentinel.fixtures import Case, cases, plain
from tests.sentinel.irmsentinel.export.exports import (
    NOW,
    WORKSPACE,
    Here,
    Stage,
    api,
    engine,
    export,
    okta,
    profile,
    workspace,
)

SIX_DAYS = [okta(f"2026-11-{day}T08:00:00Z", f"user{day}@contoso.com") for day in range(15, 21)]
ALL_SIX = [(f"user{day}@contoso.com", f"2026-11-{day}", 1) for day in range(15, 21)]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A running connector for each profile of the aggregations."""
    chosen = sorted({each.profile for each in aggregations.load().values()})
    with Stage(tmp_path, *map(profile, chosen)).running() as running:
        yield running


FULL = [
    case for case in cases() if case.file.parent.name == "aggregations" and case.what.startswith("only what")
] + [case for case in cases() if case.file.stem == "web-proxy-summary" and case.what.startswith("bins")]


@pytest.mark.parametrize("case", FULL, ids=lambda case: case.file.stem)
def test_an_aggregation_arrives_at_the_connector(case: Case, stage: Stage) -> None:
    """The connector stores exactly the literal rows of the fixture, shaped by the profile."""
    aggregation = aggregations.named(case.file.stem)
    session = stage.session(aggregation.profile)
    with engine(case.tables) as running:
        outcome = Export(aggregation, Here(running), session).run(NOW)
    assert outcome.counts.rejected == 0
    assert session.drain() == 0
    days = {"2026-11-18T00:00:00Z", "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z"}
    kept = stage.kept(aggregation.profile)
    assert {row["AggregationDate"][:19] + "Z" for row in kept} == days
    expected = [[str(plain(cell)) for cell in row] for row in case.rows]
    given = [[cell[:19] + "Z" if cell[:4] == "2026" else cell for cell in row.values()] for row in kept]
    assert [row for row in sorted(given) if row[1] != "2026-11-18T00:00:00Z"] == sorted(expected)


def test_every_aggregation_is_sent_once_here() -> None:
    """The tests above and below cover every aggregation."""
    assert {case.file.stem for case in FULL} | {"leavers"} == set(aggregations.load())


def test_a_leaver_is_sent_once_however_often_listed(stage: Stage) -> None:
    """The watchlist repeats everybody; the connector stores each person, and a corrected last day, once."""
    dates = [("2026-11-08", "2026-11-30"), ("2026-11-12", "2026-11-30"), ("2026-11-18", "2026-12-15")]
    rows = [
        {
            "TimeGenerated": f"{listed}T08:00:00Z",
            "WatchlistAlias": "TerminatedEmployees",
            "_DTItemId": "I1",
            "SearchKey": "sarad@contoso.com",
            "WatchlistItem": {"Notification date": "2026-11-06", "Termination date": last},
        }
        for listed, last in dates
    ]
    with engine({"Watchlist": rows}) as running:
        for _ in range(2):
            session = stage.session("leavers")
            Export(aggregations.named("leavers"), Here(running), session).run(NOW)
            assert session.drain() == 0
    kept = [(row["ResignationDate"][:10], row["LastWorkingDate"][:10]) for row in stage.kept("leavers")]
    assert kept == [("2026-11-06", "2026-11-30"), ("2026-11-06", "2026-12-15")]


def test_over_https_at_both_ends(stage: Stage, tmp_path: Path) -> None:
    """Microsoft's client reads, the connector stores, and the cursor is at the last ended window."""
    with api({"OktaSystemLogs": SIX_DAYS}, tmp_path / "api") as there:
        outcome = export(workspace(tmp_path / "api"), stage.session())
    stage.session().drain()
    assert stage.counts() == ALL_SIX
    assert (outcome.queries, len(there.queries), outcome.workspace) == (1, 1, WORKSPACE)
    assert outcome.read_to == datetime(2026, 11, 21, tzinfo=UTC)
    assert outcome.span is not None
    assert str(outcome.span) == "2026-11-14T00:00:00Z/2026-11-21T00:00:00Z"


def test_nothing_is_queried_before_a_window_has_ended_and_its_delay_has_passed(
    stage: Stage, tmp_path: Path
) -> None:
    """With a delay of six hours a day is not read at 05:59 of the next day, and read at 06:00."""
    with api({"OktaSystemLogs": [*SIX_DAYS, okta("2026-11-21T08:00:00Z")]}, tmp_path / "api") as there:
        source = workspace(tmp_path / "api")
        export(source, stage.session())
        early = export(source, stage.session(), now=datetime(2026, 11, 22, 5, 59, tzinfo=UTC))
        assert (early.span, len(there.queries)) == (None, 1)
        on_time = export(source, stage.session(), now=datetime(2026, 11, 22, 6, tzinfo=UTC))
    assert on_time.counts.shaped == 1
    assert on_time.read_to == datetime(2026, 11, 22, tzinfo=UTC)


def test_after_a_downtime_all_of_it_is_read(stage: Stage, tmp_path: Path) -> None:
    """After thirty days without a run, everything is read in weeks, and nothing twice."""
    rows = [okta(f"2026-10-{day:02}T08:00:00Z") for day in range(10, 32)] + SIX_DAYS
    with api({"OktaSystemLogs": rows}, tmp_path / "api") as there:
        source = workspace(tmp_path / "api")
        export(source, stage.session(), now=datetime(2026, 10, 12, 12, tzinfo=UTC))
        before = len(there.queries)
        outcome = export(source, stage.session())
        assert len(there.queries) - before == 6  # 10 October to 21 November
    stage.session().drain()
    assert outcome.counts.skipped == 2  # the overlap
    assert len(stage.counts()) == len(rows)


def test_a_late_row_sends_only_the_change(stage: Stage) -> None:
    """A new row in the overlap is sent alone, and a changed number as a further row."""
    first = [
        okta("2026-11-19T08:00:00Z"),
        okta("2026-11-20T08:00:00Z"),
        okta("2026-11-20T08:00:00Z", "b@contoso.com"),
    ]
    with engine({"OktaSystemLogs": first}) as running:
        export(Here(running), stage.session())
    stage.session().drain()
    late = [okta("2026-11-19T09:00:00Z", "late@contoso.com"), okta("2026-11-20T23:00:00Z", "b@contoso.com")]
    with engine({"OktaSystemLogs": [*first, *late]}) as running:
        outcome = export(Here(running), stage.session(), now=NOW + timedelta(days=1))
    stage.session().drain()
    assert (outcome.counts.shaped, outcome.counts.skipped, outcome.changed) == (2, 2, 1)
    assert stage.counts() == [
        ("b@contoso.com", "2026-11-20", 1),
        ("b@contoso.com", "2026-11-20", 2),
        ("late@contoso.com", "2026-11-19", 1),
        ("sarad@contoso.com", "2026-11-19", 1),
        ("sarad@contoso.com", "2026-11-20", 1),
    ]
    assert (
        len({row["AggregationDate"] for row in stage.kept() if row["UserPrincipalName"] == "b@contoso.com"})
        == 2
    )


def test_a_lost_cursor_costs_queries_and_no_repeats(stage: Stage) -> None:
    """Without the cursor an export starts like a first run, and the ledger skips every row."""
    with engine({"OktaSystemLogs": SIX_DAYS}) as running:
        export(Here(running), stage.session())
        outbox = stage.session().outbox
        (cursor,) = (name for name in outbox.disk.names(outbox.path) if name.startswith("cursor-"))
        outbox.disk.remove(f"{outbox.path}/{cursor}")
        again = export(Here(running), stage.session())
    assert (again.counts.shaped, again.counts.skipped) == (0, 6)


def test_a_truncated_answer_is_read_again_in_halves(stage: Stage, tmp_path: Path) -> None:
    """Six rows where an answer has two: the week is halved until each part fits."""
    with api({"OktaSystemLogs": SIX_DAYS}, tmp_path / "api", max_rows=2) as there:
        outcome = export(workspace(tmp_path / "api"), stage.session())
        spans = [query.split("datetime(")[1][:10] for query in there.queries]
    stage.session().drain()
    assert stage.counts() == ALL_SIX
    # A week; two times three days, the first of which fit; then a day at a time.
    assert spans == [f"2026-11-{day}" for day in (14, 14, 17, 17, 18, 19, 20)]
    assert outcome.queries == 7


def test_one_window_that_is_too_much_is_read_by_parts_of_its_users(stage: Stage, tmp_path: Path) -> None:
    """Twenty users on one day, seven rows per answer: each user is in exactly one part."""
    rows = [okta("2026-11-20T08:00:00Z", f"user{n}@contoso.com") for n in range(20)]
    with api({"OktaSystemLogs": rows}, tmp_path / "api", max_rows=7) as there:
        outcome = export(workspace(tmp_path / "api"), stage.session(), first=timedelta(days=1))
    stage.session().drain()
    assert stage.counts() == sorted((f"user{n}@contoso.com", "2026-11-20", 1) for n in range(20))
    assert (outcome.counts.shaped, outcome.counts.merged, outcome.counts.skipped) == (20, 0, 0)
    assert any("parts:long = 4" in query for query in there.queries)


def test_a_window_that_no_split_makes_small_enough_is_an_error(stage: Stage, tmp_path: Path) -> None:
    """The export fails after few queries, and the cursor stays."""
    rows = [
        okta("2026-11-20T08:00:00Z", event=kind)
        for kind in ("system.api_token.create", "group.privilege.grant")
    ]
    with api({"OktaSystemLogs": [*SIX_DAYS, *rows]}, tmp_path / "api", max_rows=1) as there:
        with pytest.raises(DataError, match=f"1/{MAX_PARTS} of its users.*summary rule"):
            export(workspace(tmp_path / "api"), stage.session(), first=timedelta(days=2))
        assert len(there.queries) < 3 + 2 * 6
    cursor = CursorFile(stage.session().outbox, "okta", WORKSPACE).load()
    assert cursor is not None
    assert cursor.read_to == datetime(2026, 11, 20, tzinfo=UTC)
    stage.session().drain()
    assert ALL_SIX[4] in stage.counts()


@pytest.mark.parametrize(
    "fault",
    [
        query_fault(504),
        query_fault(400, "E_RUNAWAY_QUERY"),
        query_fault(400, "QueryExecutionResultSizeLimitExceeded"),
    ],
)
def test_a_query_that_timed_out_is_repeated_for_less(stage: Stage, tmp_path: Path, fault: Fault) -> None:
    """Once, and then for half the time; the client itself would repeat it four times."""
    with api({"OktaSystemLogs": SIX_DAYS}, tmp_path / "api") as there:
        there.faults.next(fault)
        outcome = export(workspace(tmp_path / "api"), stage.session())
    stage.session().drain()
    assert stage.counts() == ALL_SIX
    assert outcome.queries == 4  # the week, then three times three days at most


@pytest.mark.parametrize(("said", "waited"), [("7", 14.0), ("", 15.0), ("soon", 15.0)])
def test_a_429_is_retried_after_the_time_it_names(
    stage: Stage, tmp_path: Path, said: str, waited: float
) -> None:
    """Retry-After in seconds, otherwise five seconds, doubling."""
    clock = FakeClock()
    with api({"OktaSystemLogs": SIX_DAYS}, tmp_path / "api") as there:
        there.faults.next(query_fault(429, retry_after=said), 2)
        outcome = export(workspace(tmp_path / "api"), stage.session(), clock=clock)
    assert (clock.monotonic(), outcome.queries) == (waited, 3)


def test_endless_429s_are_an_error(stage: Stage, tmp_path: Path) -> None:
    """After six attempts, or if waiting would take more than 15 minutes. Nothing was accepted."""
    with api({"OktaSystemLogs": SIX_DAYS}, tmp_path / "api") as there:
        there.faults.until_cleared(query_fault(429, retry_after="1"))
        with pytest.raises(Throttled):
            export(workspace(tmp_path / "api"), stage.session(), clock=FakeClock())
        assert len(there.queries) == 6
        there.faults.until_cleared(query_fault(429, retry_after="1000"))
        with pytest.raises(Throttled):
            export(workspace(tmp_path / "api"), stage.session(), clock=FakeClock())
        assert len(there.queries) == 7
    assert CursorFile(stage.session().outbox, "okta", WORKSPACE).load() is None


def test_a_token_that_expired_is_renewed(stage: Stage, tmp_path: Path) -> None:
    """Between two runs the service stops accepting the token: the run gets a new one and goes on."""
    with api({"OktaSystemLogs": SIX_DAYS}, tmp_path / "api") as there:
        source = workspace(tmp_path / "api")
        export(source, stage.session())
        there.entra.revoke_tokens()
        outcome = export(source, stage.session(), now=NOW + timedelta(days=1))
    assert outcome.succeeded
    assert outcome.counts.skipped == 2


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ((query_fault(403), 9), ConfigurationError, "may not read the workspace.*Log Analytics Reader"),
        ((query_fault(401), 9), ConfigurationError, "may not read the workspace"),
        ((query_fault(400, "SYN0002"), 1), QueryRefused, "was rejected.*SYN0002"),
        ((query_fault(500), 1), IrmError, "did not answer"),
    ],
)
def test_each_error_has_its_kind(
    stage: Stage, tmp_path: Path, fault: tuple[Fault, int], kind: type[IrmError], said: str
) -> None:
    """Each has a next step, and the cursor stays."""
    with api({"OktaSystemLogs": SIX_DAYS}, tmp_path / "api") as there:
        there.faults.next(*fault)
        with pytest.raises(kind, match=said):
            export(workspace(tmp_path / "api"), stage.session())
    assert CursorFile(stage.session().outbox, "okta", WORKSPACE).load() is None


def test_a_wrong_query_is_reported_with_line_and_column(stage: Stage, tmp_path: Path) -> None:
    """The position that the service names is in the query that was sent."""
    with (
        api({"OktaSystemLogs": SIX_DAYS}, tmp_path / "api"),
        pytest.raises(QueryRefused, match=r"at line 2, column \d+ \(HTTP 400"),
    ):
        export(workspace(tmp_path / "api"), stage.session(), query="OktaSystemLogs | nonsense")


def test_other_columns_than_promised_are_refused(stage: Stage) -> None:
    """A query that was changed without its `returns` sends nothing."""
    with engine({"OktaSystemLogs": SIX_DAYS}) as running, pytest.raises(DataError, match="columns Count"):
        export(Here(running), stage.session(), query="OktaSystemLogs | count")


def test_a_dry_run_writes_nothing(stage: Stage) -> None:
    """No outbox and no cursor."""
    with engine({"OktaSystemLogs": SIX_DAYS}) as running:
        one = Export(aggregations.named("okta"), Here(running), stage.session())
        outcome = one.run(NOW, dry=True)
    assert outcome.counts.shaped == 6
    assert not stage.session().outbox.exists()


def test_two_workspaces_have_two_cursors(stage: Stage) -> None:
    """Reading one does not affect the other."""
    with engine({"OktaSystemLogs": SIX_DAYS}) as one, engine({"OktaSystemLogs": []}) as other:
        here, there = Here(one), Here(other)
        there.label = "another"
        assert export(there, stage.session()).counts.read == 0
        assert export(here, stage.session()).counts.shaped == 6
