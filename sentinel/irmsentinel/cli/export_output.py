"""Print the outcome of an export."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from irmcli.exit_codes import known_error
from irmcli.output import Output
from irmcore.errors import IrmError

from irmsentinel.content.aggregations import iso
from irmsentinel.export.outcome import Outcome


def show_outcome(output: Output, outcome: Outcome, *, dry: bool) -> None:
    """Print what was read and how many rows changed."""
    if outcome.span is None:
        read_to = iso(outcome.read_to) if outcome.read_to else "the beginning"
        output.line(f"{outcome.aggregation}: no window has closed since {read_to}")
        return
    queries = "1 query" if outcome.queries == 1 else f"{outcome.queries} queries"
    output.line(
        f"{outcome.aggregation}: read {iso(outcome.span.start)} to {iso(outcome.span.end)} in {queries}"
    )
    if outcome.no_rows:
        output.warn(f"{outcome.aggregation} of {outcome.workspace}: no rows: {outcome.no_rows.text}")
    if outcome.changed and not dry:
        output.line(
            f"  {outcome.changed:,} rows were sent before with another number: late data (docs/sentinel.md)"
        )


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON values."""
    plain = asdict(outcome)
    plain["counts"] = outcome.counts.as_dict()
    plain["span"] = str(outcome.span) if outcome.span else None
    for key in ("started", "ended", "read_to"):
        at = getattr(outcome, key)
        plain[key] = iso(at) if at else None
    return plain


def failed_outcome(
    aggregation: str, workspace: str, started: datetime, raised: IrmError | OSError
) -> Outcome:
    """The outcome of an export that raised."""
    error = known_error(raised)
    return Outcome(
        aggregation=aggregation,
        workspace=workspace,
        connector="",
        started=started,
        ended=datetime.now(UTC),
        error={
            "kind": type(raised).__name__,
            "what": error.what,
            "where": error.where,
            "next_step": error.next_step,
        },
    )
