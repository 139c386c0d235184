"""Print the result of shaping: the counts, and the refused rows by reason with advice."""

from typing import Any

from irmcore.intake.run_result import RunResult
from irmcore.reasons import REASONS
from irmcore.shaping.readers import Table

from irmcli.output import Output, count


def shaping_document(done: RunResult) -> dict[str, Any]:
    """The result as JSON values."""
    return {
        "run": done.run,
        "counts": done.counts.as_dict(),
        "changed": done.changed,
        "batches": list(done.batches),
        "batch_rows": list(done.sizes),
        "rejects": done.rejects,
        "reasons": [
            {"column": column, "reason": code, "rows": rows}
            for (column, code), rows in sorted(done.reasons.items())
        ],
    }


def show_input(output: Output, table: Table) -> None:
    """Print how the file is written, if that has to be said, and what was noticed while it was read."""
    if table.form:
        output.line(f"Read as: {table.form}")
    for note in table.notes:
        output.warn(note)


def show_shaping(output: Output, done: RunResult, *, dry: bool, connector: str = "") -> None:
    """Print the result as text; ``connector`` is for the log."""
    counts = done.counts
    parts = [f"{counts.shaped:,} shaped"]
    if counts.merged:
        parts.append(f"{counts.merged:,} merged (identical, or the greatest threshold kept)")
    if counts.skipped:
        before = counts.skipped - done.elsewhere
        parts += [f"{before:,} skipped (accepted before)"] if before else []
        parts += [f"{done.elsewhere:,} skipped (sent or accepted elsewhere)"] if done.elsewhere else []
    if counts.rejected:
        parts.append(f"{counts.rejected:,} refused")
    if counts.out_of_scope:
        parts.append(f"{counts.out_of_scope:,} out of scope")
    if counts.excluded:
        parts.append(f"{counts.excluded:,} excluded (by the map of names)")
    fields: dict[str, Any] = {
        "connector": connector,
        "run": done.run,
        "batches": 0 if dry else len(done.sizes),
    }
    text = f"{count(counts.read, 'row')} read: {', '.join(parts)}"
    output.event("checked" if dry else "queued", text, **fields, counts=counts.as_dict())
    if done.sizes:
        output.line(f"{count(len(done.sizes), 'batch')} {'would be sent' if dry else 'in the outbox'}")
    rows = [
        (code, column or "(row)", number, REASONS[code].advice(done.source))
        for (column, code), number in sorted(done.reasons.items(), key=lambda item: -item[1])
    ]
    for code, column, number, _ in rows if output.log else ():
        fields = {"connector": connector, "run": done.run, "column": column, "reason": code, "rows": number}
        output.event("refused", f"{count(number, 'row')} refused", level="WARN", **fields)
    output.table("Refused rows", ("reason", "column", "rows", "what to do"), rows)
    if done.rejects:
        _show_rejects(output, done)
    if done.warning:
        output.warn(done.warning)


def _show_rejects(output: Output, done: RunResult) -> None:
    output.line(f"Every refused row, with its line number: {done.rejects}")
    if done.source == "file":
        output.line(f"To correct them: irmexport export-rejects --run {done.run} --to refused.csv")
