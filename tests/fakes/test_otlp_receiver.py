"""The receiver keeps what the specification allows, and refuses the rest."""

from __future__ import annotations

import gzip

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.fakes.otlp_receiver import OtlpReceiver

FORM = {"Content-Type": "application/x-protobuf"}


def request() -> bytes:
    """A request with one number."""
    made = ExportMetricsServiceRequest()
    metric = made.resource_metrics.add().scope_metrics.add().metrics.add(name="n", unit="s")
    point = metric.gauge.data_points.add(as_double=2.5)
    point.attributes.add(key="k").value.string_value = "v"
    return made.SerializeToString()


def test_a_number_is_kept_plain_or_compressed() -> None:
    """With its name, unit and attributes."""
    for body, more in ((request(), {}), (gzip.compress(request()), {"Content-Encoding": "gzip"})):
        receiver = OtlpReceiver()
        assert receiver.answer("/v1/metrics", {**FORM, **more}, body) == 200
        assert receiver.numbers == {("n", (("k", "v"),)): 2.5}
        assert receiver.units == {"n": "s"}


def test_what_the_specification_does_not_allow_is_refused() -> None:
    """Another path, another form, or bytes that are no request."""
    receiver = OtlpReceiver()
    assert receiver.answer("/", FORM, request()) == 404
    assert receiver.answer("/v1/metrics", {"Content-Type": "application/json"}, b"{}") == 415
    assert receiver.answer("/v1/metrics", FORM, b"\xff\xff") == 400
    assert receiver.answer("/v1/metrics", {**FORM, "Content-Encoding": "gzip"}, request()) == 400
    assert receiver.numbers == {}
