"""Print a round of the collector."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from irmcli.output import Output
from irmcore.operations.status import ConnectorStatus

from irmsentinel.cli.collector_session import utc_text

if TYPE_CHECKING:
    from irmsentinel.collector.result import CollectResult
    from irmsentinel.collector.rounds import Round

#: Source → what is listed; the others are tables of activities.
_LISTED = {"audit": "blobs", "graph": "versions of alerts"}
#: Seconds between lines of progress.
_EVERY = 5.0


def show_progress(output: Output) -> Callable[[CollectResult, int], None]:
    """A listener that prints a line of progress every few seconds."""
    last = time.monotonic()

    def show(done: CollectResult, sent: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            output.line(
                f"  … {done.fetched:,} fetched, {done.new:,} new records, {sent:,} acknowledged", "dim"
            )

    return show


def show_round(output: Output, result: Round, source: str) -> None:
    """Print what a round collected from ``source`` and what the workspace acknowledged."""
    done = result.collected
    listed = _LISTED.get(source, "answers")
    output.line(
        f"{done.listed:,} {listed} listed: {done.known:,} known, {done.fetched:,} fetched, "
        f"{done.gone:,} gone, {done.failed:,} failed; {done.read:,} records read"
    )
    cut = f", {done.cut:,} with a truncated value" if done.cut else ""
    what = "IRM alert records" if source in _LISTED else f"rows of {source}"
    output.line(f"{done.wanted:,} {what}: {done.new:,} new, {done.repeated:,} known{cut}")
    until = f"complete until {utc_text(result.acknowledged)}" if result.acknowledged else "none complete yet"
    output.line(f"{result.acknowledged_rows:,} rows acknowledged by the workspace; {until}")
    for gap in done.gaps:
        blobs = f"{gap.blobs:,} blobs, " if gap.blobs else ""
        span = f"{utc_text(gap.start)} to {utc_text(gap.end)}"
        output.line(f"GAP {span}: {blobs}{gap.why}; it can no longer be fetched", "red")
    if done.warning:
        output.line(done.warning, "yellow")
    show_queue(output, result.overview)


def show_queue(output: Output, status: ConnectorStatus) -> None:
    """Print what is still queued or needs attention; nothing if there is none."""
    if not status.queued and not status.needs_person:
        return
    output.line(
        f"{status.rows_queued:,} rows queued in the outbox: {status.reason or 'irmexport status'}",
        "yellow",
    )
    if status.next_step:
        output.line(f"  {status.next_step}", "yellow")


def round_document(result: Round, source: str) -> dict[str, Any]:
    """A round as JSON values."""
    done = {**vars(result.collected), "gaps": [vars(gap) for gap in result.collected.gaps]}
    acknowledged = {"acknowledged_rows": result.acknowledged_rows, "acknowledged": result.acknowledged}
    return {"source": source, **done, **acknowledged, "waiting": result.overview.queued}
