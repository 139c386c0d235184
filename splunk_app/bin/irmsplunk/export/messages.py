"""What the analyst is told in the search's messages, and the summary as one result row."""

from __future__ import annotations

from irmcore.reasons import REASONS

from irmsplunk.export.handover import Handed, Standing

INFO, WARN, ERROR = "INFO", "WARN", "ERROR"
_SHOWN = 5


def counted(handed: Handed, *, dry: bool) -> list[tuple[str, str]]:
    """The counts, then why rows were refused, the most frequent reason first."""
    counts = handed.counts
    would = "would be " if dry else ""
    parts = [f"{counts.shaped:,} {would}queued in {len(handed.sizes):,} batch(es)"]
    parts += [f"{counts.merged:,} identical and merged"] if counts.merged else []
    parts += [f"{counts.skipped:,} accepted before and skipped"] if counts.skipped else []
    parts += [f"{counts.rejected:,} refused"] if counts.rejected else []
    said = [(INFO, f"irmexport: {counts.read:,} rows read: {', '.join(parts)}.")]
    if dry:
        said.append((INFO, "irmexport: dry run: nothing was queued."))
    ranked = sorted(handed.reasons.items(), key=lambda item: -item[1])
    for (column, code), count in ranked[:_SHOWN]:
        place = f" ({column})" if column else ""
        said.append((WARN, f"irmexport: refused {count:,}: {code}{place}. {REASONS[code].advice}"))
    if len(ranked) > _SHOWN:
        said.append((WARN, f"irmexport: {len(ranked) - _SHOWN} more reasons: use output=rejects."))
    if handed.warning:
        said.append((WARN, f"irmexport: {handed.warning}"))
    return said


def cut(refused: int, shown: int) -> str:
    """That not all refused rows are among the results."""
    return (
        f"irmexport: only the first {shown:,} of {refused:,} refused rows are shown. "
        "Correct what these show, then run the search again for the others."
    )


def stood(standing: Standing, *, alive: bool, waited: float) -> tuple[str, str]:
    """How the batches stand, in one sentence with the next step."""
    if standing.state == "sent":
        return INFO, f"irmexport: sent: the connector accepted {standing.sent:,} rows."
    why = f" ({standing.reason})" if standing.reason else ""
    step = f" {standing.next_step}" if standing.next_step else ""
    if standing.state == "held":
        return WARN, f"irmexport: held{why}: {standing.held:,} rows wait for a person.{step}"
    if standing.state == "dead":
        return ERROR, f"irmexport: refused by the service{why}: {standing.dead:,} rows.{step}"
    if standing.state in ("paused", "held back"):
        return WARN, (
            f"irmexport: queued, but the connector is {standing.state}{why}: "
            f"{standing.waiting:,} rows wait and are not lost.{step}"
        )
    if not alive:
        return WARN, (
            f"irmexport: queued, but the sender is not running: {standing.waiting:,} rows wait and are not "
            "lost. An administrator enables the data input `irmexport://main` on this search head."
        )
    return INFO, (
        f"irmexport: queued: {standing.waiting:,} rows are not sent yet after {waited:g} s{why}; "
        f"the sender goes on.{step}"
    )


#: The fields of the summary row.
SUMMARY = (
    *("profile", "state", "run", "read", "shaped", "merged", "skipped", "rejected", "changed"),
    *("sent", "held", "dead", "waiting", "reason", "next_step", "batches"),
)


def summary(profile: str, handed: Handed, standing: Standing) -> dict[str, str]:
    """The run as one result row."""
    row = {
        "profile": profile,
        "state": standing.state,
        "run": handed.run,
        **handed.counts.as_dict(),
        "changed": handed.changed,
        "sent": standing.sent,
        "held": standing.held,
        "dead": standing.dead,
        "waiting": standing.waiting,
        "reason": standing.reason,
        "next_step": standing.next_step,
        "batches": " ".join(name[:12] for name in handed.batches),
    }
    return {field: str(row[field]) for field in SUMMARY}
