"""An export that read no rows says why: missing tables, rows that stopped, or rows that do not count."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from irmcore.errors import DataError
from irmsentinel.content import aggregations
from irmsentinel.content.aggregations import Span
from irmsentinel.export import source_rows
from irmsentinel.export.cursor import CursorFile
from irmsentinel.export.export import Export
from irmsentinel.export.source_rows import MISSING, SILENT, NoRows
from irmsentinel.kql.result import Result

from tests.sentinel.irmsentinel.export.exports import (
    NOW,
    WORKSPACE,
    Here,
    Rows,
    Stage,
    api,
    engine,
    export,
    okta,
    workspace,
)

OLD, OTHER_EVENT = okta("2026-11-08T08:00:00Z"), okta("2026-11-20T08:00:00Z", event="user.session.start")
ALL_MISSING = "the tables Okta_CL, OktaV2_CL and OktaSystemLogs are not in this workspace"
TWO_MISSING = "the tables Okta_CL and OktaV2_CL are not in this workspace"
CASES: list[tuple[dict[str, Rows], NoRows]] = [
    ({"SigninLogs": []}, NoRows(MISSING, ALL_MISSING)),
    (
        {"OktaSystemLogs": []},
        NoRows(SILENT, f"{TWO_MISSING}; OktaSystemLogs has no rows in the last 30 days"),
    ),
    (
        {"OktaSystemLogs": [OLD]},
        NoRows(
            SILENT, f"{TWO_MISSING}; OktaSystemLogs has had no rows for 13 days (since 2026-11-08 08:00 UTC)"
        ),
    ),
    (
        {"OktaSystemLogs": [OLD, OTHER_EVENT]},
        NoRows("", f"{TWO_MISSING}; OktaSystemLogs has rows, but none in this time that the export counts"),
    ),
    (
        {"OktaSystemLogs": [OLD], "Okta_CL": [], "OktaV2_CL": []},
        NoRows(
            SILENT,
            "Okta_CL has no rows in the last 30 days; OktaV2_CL has no rows in the last 30 days; "
            "OktaSystemLogs has had no rows for 13 days (since 2026-11-08 08:00 UTC)",
        ),
    ),
]
IDS = ["missing", "empty", "stopped", "other events", "one of three stopped"]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A running connector for activities."""
    with Stage(tmp_path).running() as running:
        yield running


@pytest.mark.parametrize(("tables", "expected"), CASES, ids=IDS)
def test_an_export_without_rows_says_why(tables: dict[str, Rows], expected: NoRows, stage: Stage) -> None:
    """Its outcome names each table of the source, and its cursor keeps that for `status` and heartbeats."""
    with engine(tables) as running:
        outcome = export(Here(running), stage.session(), overlap=aggregations.named("okta").window)
    assert outcome.no_rows == expected
    cursor = CursorFile(stage.session().outbox, "okta", "local").load()
    assert cursor is not None
    assert (cursor.read_to, cursor.no_rows) == (datetime(2026, 11, 21, tzinfo=UTC), expected)


def test_over_https(stage: Stage, tmp_path: Path) -> None:
    """Microsoft's client gets the answer too."""
    with api({"OktaSystemLogs": [OLD]}, tmp_path / "api"):
        outcome = export(workspace(tmp_path / "api"), stage.session())
    assert outcome.no_rows == CASES[2][1]
    assert outcome.workspace == WORKSPACE


def test_rows_end_the_silence(stage: Stage) -> None:
    """A run that reads rows asks nothing, and forgets why the last one read none."""
    with engine({"OktaSystemLogs": []}) as running:
        export(Here(running), stage.session())
    with engine({"OktaSystemLogs": [okta("2026-11-21T08:00:00Z")]}) as running:
        outcome = export(Here(running), stage.session(), now=datetime(2026, 11, 22, 12, tzinfo=UTC))
    assert (outcome.counts.shaped, outcome.no_rows) == (1, None)
    cursor = CursorFile(stage.session().outbox, "okta", "local").load()
    assert cursor is not None
    assert cursor.no_rows is None


def test_a_dry_run_says_it_too(stage: Stage) -> None:
    """And stores nothing."""
    with engine({"SigninLogs": []}) as running:
        outcome = Export(aggregations.named("okta"), Here(running), stage.session()).run(NOW, dry=True)
    assert outcome.no_rows == CASES[0][1]
    assert CursorFile(stage.session().outbox, "okta", "local").load() is None


def test_an_export_does_not_fail_because_its_tables_are_unknown(stage: Stage) -> None:
    """The rows are read; that the question about the tables failed is said."""

    class Refusing(Here):
        def query(self, kql: str) -> Result:
            if kql == source_rows.query(aggregations.named("okta").tables):
                raise DataError("the query was refused", next_step="Ask again.")
            return super().query(kql)

    with engine({"OktaSystemLogs": []}) as running:
        outcome = export(Refusing(running), stage.session())
    assert outcome.no_rows == NoRows("", "it is unknown whether its tables have rows (the query was refused)")


@pytest.mark.parametrize("value", ["2026-11-08T08:00:00Z", datetime(2026, 11, 8, 8, tzinfo=UTC)])
def test_a_time_is_text_on_a_workspace_and_a_value_here(value: Any) -> None:
    """Both are the same moment."""
    span = Span(datetime(2026, 11, 14, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
    found = source_rows.explain(["T"], Result((), (("T", value),)), span, NOW)
    assert found == NoRows(SILENT, "T has had no rows for 13 days (since 2026-11-08 08:00 UTC)")
