"""Print a delivery: `Upload Successful` as in Microsoft's script, then what is still queued and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from irmcore.advice import advice
from irmcore.clock import iso
from irmcore.delivery import circuit_breaker
from irmcore.delivery.breaker_store import load_breaker
from irmcore.delivery.connection import kind_of
from irmcore.delivery.report import Report, log_fields
from irmcore.delivery.sender import Sender
from irmcore.delivery.service import Service
from irmcore.errors import AnotherSender
from irmcore.operations.reconciliation import Difference
from irmcore.outbox import Batch, Manifest, Outbox, states

from irmcli.exit_codes import DONE, code_of_drain
from irmcli.output import Output, count
from irmcli.session import indicator_delay
from irmcli.session.retention import clean_up_after

#: Seconds to wait for a command such as `resolve`, or for a sender that is about to end.
_LOCK_WAIT = 30.0
_EVENTS = {
    "retry": "will be retried",
    "pause": "was not accepted; the connector is paused",
    "hold": "is HELD: it is unknown whether the service accepted it",
    "dead": "was refused by the service",
    "split": "was too large and is sent as two halves",
}


class DeliveryOutput:
    """Prints each outcome as it happens: a listener of the sender.

    ``total``: how many batches there are to send at the beginning; others may be added meanwhile.
    """

    def __init__(self, output: Output, outbox: Outbox, total: int = 1) -> None:
        self._output = output
        self._outbox = outbox
        self._total = total
        self._done = 0
        #: Code → the beginning of the id of the first batch that had it.
        self.batches: dict[str, str] = {}

    def __call__(self, event: str, batch: Batch, manifest: Manifest, detail: Mapping[str, Any]) -> None:
        name = f"{batch.id[:12]} ({count(manifest.rows, 'row')})"
        fields = log_fields(batch, manifest, detail, self._outbox.clock.now())
        fields["connector"] = self._outbox.name
        if event == "start":
            self._output.detail(
                f"sending {name}, {manifest.payload_bytes:,} bytes, accepted {iso(manifest.accepted)}"
            )
        elif event == "sent":
            self._done += 1
            if self._total > 1:
                name = f"{self._done} of {max(self._total, self._done)}, {name}"
            request = f", request id {detail['request_id']}" if detail["request_id"] else ""
            request += f" ({detail['flagged']})" if detail.get("flagged") else ""
            text = f"Upload Successful: {name}, HTTP {detail['status']}{request}"
            self._output.event(event, text, "green", **fields)
        elif event == "history-lost":
            self._output.warn(f"{name}: its history could not be written; its state was")
        elif event in _EVENTS:
            self.batches.setdefault(detail["code"], batch.id[:12])
            text = f"{name} {_EVENTS[event]}: {detail['code']}"
            self._output.event(event, text, "yellow", level="WARN", **fields)
            if detail.get("reply"):
                self._output.line(f"  reply of the service: {detail['reply'][:300]}")


def drain(
    output: Output, outbox: Outbox, service: Service, *, until: float | None = None
) -> tuple[Report, int]:
    """Send what is queued for one connector and print it. Returns the report and the exit code.

    Afterwards it deletes what is past its retention time, once a day.
    No upload but the first starts after ``until`` (monotonic seconds). Another sender at work is success: it
    sends these batches too.
    """
    total = outbox.count_ready()
    too_early = indicator_delay.warning(outbox) if total else None
    if too_early is not None:
        output.warn(too_early)
    shown = DeliveryOutput(output, outbox, total)
    sender = Sender(outbox, service, listener=shown)
    try:
        report = sender.drain(until=until, wait=_LOCK_WAIT)
    except AnotherSender as busy:
        output.line(f"queued; {busy.what}")
        return Report(another_sender=True), DONE
    clean_up_after(output, outbox)
    breaker, _ = load_breaker(outbox)
    paused = breaker.mode != circuit_breaker.CLOSED
    if report.trouble:
        batch = shown.batches.get(report.trouble, "BATCH")
        counts = {name: value for name, value in report.as_dict().items() if type(value) is int and value}
        step = report.advice or advice(report.trouble, kind_of(outbox), batch)
        fields = {"connector": outbox.name, "code": report.trouble, **counts}
        output.event("waiting", f"  {step}", "yellow", level="WARN", **fields)
    if report.proposed:
        show_proposed(output, outbox, report.proposed)
    if report.queued:
        when = f"; next retry {iso(report.due)}" if report.due else ""
        state = ""
        if paused:
            is_paused = breaker.mode == circuit_breaker.PAUSED
            state = "the connector is paused, " if is_paused else "the circuit breaker is open, "
        output.line(f"{state}{count(report.queued, 'batch')} queued{when}")
    return report, code_of_drain(report, paused=paused)


def next_step_of_proposed(connector: str) -> str:
    """How what is proposed comes to be sent."""
    return f"A second person releases it: irmexport release {connector} --why REASON (first --preview)"


def text_of_differences(found: Sequence[Difference]) -> tuple[str, str]:
    """How some uploads differ from the portal's log, and the next step."""
    rows, saved, first = sum(one.rows for one in found), sum(one.saved or 0 for one in found), found[0]
    what = f"{count(len(found), 'upload')}, {count(rows, 'row')} sent, {saved:,} in the connector's log"
    step = f"Likely cause: irmexport reconcile --batch {first.batch[:12]} --saved {first.saved or 0}"
    more = f". Do the same for {count(len(found) - 1, 'more upload')}." if len(found) > 1 else ""
    return what, f"{step}; once it is explained, add --why REASON{more}"


def show_proposed(output: Output, outbox: Outbox, batches: int) -> None:
    """Say that batches wait for their release, and how they get it."""
    verb = "waits" if batches == 1 else "wait"
    output.line(f"{count(batches, 'batch')} proposed, {verb} for release", "yellow")
    output.line(f"  {next_step_of_proposed(outbox.name)}")


def show_needing_attention(output: Output, outbox: Outbox) -> int:
    """How many batches need attention, printed with the command that lists them."""
    held = [b for b in outbox.ready() if b.state is not None and b.state.name in states.NEEDS_PERSON]
    number = len(held) + len(outbox.quarantined())
    if number:
        verb = "needs" if number == 1 else "need"
        output.line(f"{count(number, 'batch')} {verb} attention: irmexport status")
    return number
