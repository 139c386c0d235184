"""The messages that the analyst reads, each a level and a text; and the summary as one result row."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

from irmcore.errors import IrmError
from irmcore.intake.run_result import RunResult
from irmcore.profile import Column
from irmcore.reasons import REASONS

from irmsplunk.export.run_status import NOT_PROMOTED, RunStatus
from irmsplunk.splunk.app_log import place_of
from irmsplunk.splunk.next_steps import for_analyst, in_splunk

INFO, WARN, ERROR = "INFO", "WARN", "ERROR"
FINALIZED = (
    "irmexport: the search was finalized before it completed, so nothing was queued. "
    "Let it run to completion, or set allowpartial=t."
)
#: Reasons for refused rows that have a message of their own.
_REASONS_SHOWN = 5
_NOT_SENDING = {
    "paused": "the connector is paused",
    "held back": "sending is suspended after uploads without a clear outcome",
}


def choices(connector: str, own_names: Mapping[str, str]) -> list[tuple[str, str]]:
    """What irmexport chose because the search did not: the connector, and columns by Splunk's names."""
    parts = [f"the rows go to the connector {connector}, the only one that you may use"] if connector else []
    parts += [f"column {column} is read from `{field}`" for column, field in own_names.items()]
    example = next((f'fields="{column}=…"' for column in own_names), "profile=…")
    return [(INFO, f"irmexport: {'; '.join(parts)}. To choose yourself, add {example}.")] if parts else []


def count_messages(accepted: RunResult, columns: Sequence[Column], *, dry_run: bool) -> list[tuple[str, str]]:
    """The counts, then the reasons for refused rows, the most frequent first.

    ``columns`` are those of the profile.
    """
    field_of = {column.header: column.field for column in columns}
    counts = accepted.counts
    would = "would be " if dry_run else ""
    batches = len(accepted.sizes)
    parts = [f"{counts.shaped:,} {would}queued in {batches:,} {'batch' if batches == 1 else 'batches'}"]
    parts += [f"{counts.merged:,} merged with an identical row"] if counts.merged else []
    own = counts.skipped - accepted.elsewhere
    parts += [f"{own:,} skipped (already accepted)"] if own else []
    parts += (
        [f"{accepted.elsewhere:,} skipped (sent by this or another member)"] if accepted.elsewhere else []
    )
    parts += [f"{counts.rejected:,} refused"] if counts.rejected else []
    parts += [f"{counts.out_of_scope:,} out of scope"] if counts.out_of_scope else []
    parts += [f"{counts.excluded:,} excluded"] if counts.excluded else []
    messages = [(INFO, f"irmexport: {_rows(counts.read)} read: {', '.join(parts)}.")]
    if dry_run:
        messages.append((INFO, "irmexport: dry run: nothing was queued."))
    ranked = sorted(accepted.reasons.items(), key=lambda item: -item[1])
    for (column, code), count in ranked[:_REASONS_SHOWN]:
        field = field_of.get(column, column)
        read_from = f", field `{field}`" if field != column else ""
        place = f" (column {column}{read_from})" if column else ""
        advice = for_analyst(REASONS[code].advice("search"))
        messages.append((WARN, f"irmexport: {_rows(count)} refused: {code}{place}. {advice}"))
    if len(ranked) > _REASONS_SHOWN:
        more = len(ranked) - _REASONS_SHOWN
        text = f"irmexport: rows were refused for {more} other reason(s): output=rejects shows every row."
        messages.append((WARN, text))
    if accepted.warning:
        messages.append((WARN, f"irmexport: {accepted.warning}"))
    return messages


def truncated_preview(rows: int, shown: int) -> str:
    """Not all rows are among the results."""
    return (
        f"irmexport: only the first {shown:,} of {rows:,} rows are shown. "
        "A run without output=preview queues all of them."
    )


def truncated_rejects(refused: int, shown: int) -> str:
    """Not all refused rows are among the results."""
    return (
        f"irmexport: only the first {shown:,} of {refused:,} refused rows are shown. "
        "Correct what they have in common, then run the search again to see the others."
    )


def status_message(status: RunStatus, *, sender_alive: bool, waited: float) -> tuple[str, str]:
    """What became of the batches, in one sentence, with the next step."""
    fine = {
        "sent": f"irmexport: sent: the connector accepted {_rows(status.sent)}.",
        "proposed": f"irmexport: proposed, waits for release: a second person with the capability "
        f"irmexport_release must agree before {_rows(status.queued)} can be sent.",
    }
    if status.state in fine:
        return INFO, fine[status.state]
    why = f" ({status.reason})" if status.reason else ""
    step = f" {for_analyst(status.next_step)}" if status.next_step else ""
    if status.state == "held":
        return WARN, f"irmexport: held{why}: a person must decide about {_rows(status.held)}.{step}"
    if status.state == "dead":
        return ERROR, f"irmexport: refused by the service{why}: {_rows(status.dead)}.{step}"
    queued = f"irmexport: {_rows(status.queued)} queued"
    if status.state in _NOT_SENDING:
        return WARN, f"{queued}, but {_NOT_SENDING[status.state]}{why}. Queued rows are not lost.{step}"
    if status.in_cluster or sender_alive:
        place, who = (" in the cluster's outbox", "A member") if status.in_cluster else ("", "The sender")
        return INFO, f"{queued}{place}, no receipt after {waited:g} s{why}. {who} continues.{step}"
    return WARN, f"{queued} on {socket.gethostname()}, but {_not_here(status)}"


def _not_here(status: RunStatus) -> str:
    """Why rows stay on this search head."""
    if status.reason == NOT_PROMOTED:
        return (
            "the cluster's outbox cannot be reached from there. Queued rows are not lost: the sender, or the "
            "end of the next search there, moves them. Ask an administrator to look at KV store's status."
        )
    return (
        "the sender is not running there. Queued rows are not lost. Ask an administrator to enable the data "
        "input `irmexport://main` on this search head."
    )


def error_message(error: BaseException) -> str:
    """An error of ours as it is; any other by type and line only, as its text may quote a row."""
    if isinstance(error, IrmError):
        place = f"{error.where}: " if error.where else ""
        return in_splunk(f"irmexport: {place}{error.what}. ") + for_analyst(in_splunk(error.next_step))
    return (
        f"irmexport: {type(error).__name__} at {place_of(error)}: this is a bug in irmexport. "
        "Nothing more was queued; please report this line."
    )


def _rows(count: int) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'}"


#: The fields of the summary row, which searches may use by name.
SUMMARY_FIELDS = (
    *("profile", "state", "run", "read", "shaped", "merged", "skipped", "rejected", "changed"),
    *("sent", "held", "dead", "waiting", "reason", "next_step", "batches"),
)


def summary_row(profile: str, accepted: RunResult, status: RunStatus) -> dict[str, str]:
    """The run as one result row."""
    row = {
        "profile": profile,
        "state": status.state,
        "run": accepted.run,
        **accepted.counts.as_dict(),
        "changed": accepted.changed,
        "sent": status.sent,
        "held": status.held,
        "dead": status.dead,
        "waiting": status.queued,
        "reason": status.reason,
        "next_step": status.next_step,
        "batches": " ".join(name[:12] for name in accepted.batches),
    }
    return {field: str(row[field]) for field in SUMMARY_FIELDS}
