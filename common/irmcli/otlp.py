"""Metrics to an OpenTelemetry collector, by OTLP over HTTP.

The address and its headers are OpenTelemetry's own variables: OTEL_EXPORTER_OTLP_ENDPOINT and others. The
proxy and the private CA are those of all commands, unless OTEL_EXPORTER_OTLP_CERTIFICATE names the CA.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from irmcore import __version__
from irmcore.errors import IrmError

from irmcli.extras import otel_extra
from irmcli.metrics import Metric, Sample
from irmcli.network import exchange

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation

#: Seconds for the export, retries included.
_DEADLINE = 10.0


def export(found: Iterable[Sample], environment: Mapping[str, str]) -> None:
    """Send the numbers.

    Raises ConfigurationError if `irmexport[otel]` is not installed, IrmError if the numbers were not taken.
    """
    with otel_extra():
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.metrics import Observation
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
        from opentelemetry.sdk.resources import Resource
    # A reader that exports by itself would only log that it failed.
    reader = InMemoryMetricReader()
    resource = Resource.create({"service.name": "irmexport", "service.version": __version__})
    provider = MeterProvider([reader], resource, shutdown_on_exit=False)
    observed: dict[Metric, list[Observation]] = {}
    for sample in found:
        observed.setdefault(sample.metric, []).append(Observation(sample.value, sample.labels))
    for metric, values in observed.items():
        callbacks = [partial(_given, values)]
        provider.get_meter("irmexport", __version__).create_observable_gauge(
            metric.name, callbacks, metric.unit, metric.text
        )
    data = reader.get_metrics_data()
    own = any(environment.get(f"OTEL_EXPORTER_OTLP_{name}CERTIFICATE") for name in ("METRICS_", ""))
    ca_file = None if own else environment.get("IRMEXPORT_CA_FILE") or None
    with exchange(environment, _DEADLINE) as one:
        exporter = OTLPMetricExporter(timeout=_DEADLINE, certificate_file=ca_file, session=one.session)
        taken = data is None or exporter.export(data) is MetricExportResult.SUCCESS
    provider.shutdown()
    if not taken:
        raise IrmError(
            "the OpenTelemetry collector did not take the metrics",
            next_step="Check OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, and its own log.",
        )


def _given(values: list[Observation], _: CallbackOptions) -> list[Observation]:
    return values
