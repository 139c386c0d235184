"""How a delivery is shown: `Upload Successful` as Microsoft's script says it, then what waits and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from irmcore.advice import advice
from irmcore.clock import iso
from irmcore.delivery import circuit_breaker
from irmcore.delivery.breaker_store import load_breaker
from irmcore.delivery.connection import kind_of
from irmcore.delivery.report import Report
from irmcore.delivery.sender import Sender
from irmcore.delivery.service import Service
from irmcore.outbox import Batch, Manifest, Outbox, states

from irmcli.exit_codes import code_of_drain
from irmcli.output import Output, count
from irmcli.session import indicator_delay

_SAID = {
    "retry": "will be tried again",
    "pause": "not accepted; the connector is paused",
    "hold": "HELD: nobody knows whether it was accepted",
    "dead": "refused by the service",
    "split": "too large; sent as two halves",
}


class Teller:
    """Tells each outcome as it happens."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def __call__(self, event: str, batch: Batch, manifest: Manifest, detail: Mapping[str, Any]) -> None:
        name = f"{batch.id[:12]} ({count(manifest.rows, 'row')})"
        if event == "sent":
            request = f", request id {detail['request_id']}" if detail["request_id"] else ""
            request += f" ({detail['flagged']})" if detail.get("flagged") else ""
            self._output.line(f"Upload Successful: {name}, HTTP {detail['status']}{request}", "green")
        elif event == "history-lost":
            self._output.warn(f"{name}: its history could not be written; its state was")
        elif event in _SAID:
            self._output.line(f"{name} {_SAID[event]}: {detail['code']}", "yellow")
            if detail.get("reply"):
                self._output.line(f"  the service says: {detail['reply'][:300]}")


def drain(
    output: Output, outbox: Outbox, service: Service, *, until: float | None = None
) -> tuple[Report, int]:
    """Send what may be sent of one connector, tell it, and give the exit code it means."""
    too_early = indicator_delay.warning(outbox) if outbox.ready() else None
    if too_early is not None:
        output.warn(too_early)
    report = Sender(outbox, service, listener=Teller(output)).drain(until=until)
    breaker, _ = load_breaker(outbox)
    paused = breaker.mode != circuit_breaker.CLOSED
    if report.trouble:
        output.line(f"  {report.advice or advice(report.trouble, kind_of(outbox))}", "yellow")
    if report.queued:
        when = f"; next try {iso(report.due)}" if report.due else ""
        state = (
            f"the connector is {'paused' if breaker.mode == circuit_breaker.PAUSED else 'held back'}, "
            if paused
            else ""
        )
        output.line(f"{state}{count(report.queued, 'batch')} waiting{when}")
    return report, code_of_drain(report, paused=paused)


def waiting_for_a_person(output: Output, outbox: Outbox) -> int:
    """How many batches wait for a person, and where to look; told at every drain until it is done."""
    held = [b for b in outbox.ready() if b.state is not None and b.state.name in states.NEEDS_PERSON]
    number = len(held) + len(outbox.quarantined())
    if number:
        output.line(
            f"{count(number, 'batch')} {'waits' if number == 1 else 'wait'} for a person: irmexport status"
        )
    return number


def document(report: Report) -> dict[str, Any]:
    """The report as plain values."""
    return report.as_dict()
