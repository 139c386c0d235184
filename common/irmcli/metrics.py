"""What monitoring may ask of each connector: gauges, read from its status. Pure functions.

Labels are the connector's name, its profile and a state; no user, row value, file or address.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from irmcore.delivery import circuit_breaker
from irmcore.operations.status import ConnectorStatus


@dataclass(frozen=True)
class Metric:
    """A gauge. ``values`` has a number for each state, or one without a state; None is left out."""

    name: str
    text: str
    unit: str
    values: Callable[[ConnectorStatus], Mapping[str, float | None]]


@dataclass(frozen=True)
class Sample:
    """One number of a metric."""

    metric: Metric
    labels: Mapping[str, str]
    value: float


def _ready(status: ConnectorStatus) -> bool:
    return status.mode == circuit_breaker.CLOSED and not status.trouble


METRICS = (
    Metric(
        "irmexport_batches",
        "Batches that have no receipt.",
        "{batch}",
        lambda status: {
            "queued": status.queued,
            "proposed": status.proposed,
            "needs_attention": len(status.items),
        },
    ),
    Metric(
        "irmexport_rows",
        "Rows of these batches.",
        "{row}",
        lambda status: {
            "queued": status.rows_queued,
            "proposed": status.rows_proposed,
            "needs_attention": sum(item.rows for item in status.items),
        },
    ),
    Metric(
        "irmexport_ready_to_send",
        "1 if the circuit breaker is closed and the outbox can be used.",
        "1",
        lambda status: {"": _ready(status)},
    ),
    Metric(
        "irmexport_needs_person",
        "1 if a batch, a pause, a difference or damage needs a person.",
        "1",
        lambda status: {"": status.needs_person},
    ),
    Metric(
        "irmexport_difference_rows",
        "Rows by which uploads differ from the connector's log, as far as nobody has explained it.",
        "{row}",
        lambda status: {"": sum(abs(one.rows - (one.saved or 0)) for one in status.differences)},
    ),
    Metric(
        "irmexport_oldest_queued_timestamp_seconds",
        "When the oldest queued batch was accepted.",
        "s",
        lambda status: {"": status.oldest or None},
    ),
    Metric(
        "irmexport_last_run_timestamp_seconds",
        "When rows were last read.",
        "s",
        lambda status: {"": status.last_run or None},
    ),
    Metric(
        "irmexport_last_receipt_timestamp_seconds",
        "When the service last confirmed an upload.",
        "s",
        lambda status: {"": status.last_receipt or None},
    ),
)


def samples(statuses: Iterable[ConnectorStatus]) -> Iterator[Sample]:
    """All numbers, metric by metric."""
    known = list(statuses)
    for metric in METRICS:
        for status in known:
            labels = {"connector": status.name, "profile": status.title.removesuffix(f" ({status.name})")}
            for state, value in metric.values(status).items():
                if value is not None:
                    yield Sample(metric, {**labels, **({"state": state} if state else {})}, float(value))


def exposition(found: Iterable[Sample]) -> str:
    """The numbers in Prometheus' text format 0.0.4, as node_exporter reads it."""
    lines: dict[str, list[str]] = {}
    for sample in found:
        name = sample.metric.name
        head = [f"# HELP {name} {sample.metric.text}", f"# TYPE {name} gauge"]
        labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in sample.labels.items())
        lines.setdefault(name, head).append(f"{name}{{{labels}}} {sample.value!r}")
    return "".join(f"{line}\n" for group in lines.values() for line in group)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
