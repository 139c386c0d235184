"""An OpenTelemetry collector's receiver of metrics: OTLP over HTTP on loopback, with protobuf bodies.

https://opentelemetry.io/docs/specs/otlp/#otlphttp: POST /v1/metrics, application/x-protobuf, perhaps gzip.
What the specification does not allow gets 400, 404 or 415, and nothing of it is kept.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)


class OtlpReceiver:
    """A context manager. ``status``: what it answers instead of 200, keeping nothing."""

    def __init__(self, status: int = 200) -> None:
        #: The gauges' numbers by name and sorted attributes, and the unit of each name.
        self.numbers: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self.units: dict[str, str] = {}
        self.resource: dict[str, str] = {}
        self.requests = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.requests += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = receiver.answer(self.path, self.headers, body) if status == 200 else status
                self.send_response(answer)
                self.send_header("Content-Type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(ExportMetricsServiceResponse().SerializeToString())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT is to be."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, path: str, headers: Mapping[str, str] | Message, body: bytes) -> int:
        """Keep what a request has; returns its status."""
        if path != "/v1/metrics":
            return 404
        if headers.get("Content-Type") != "application/x-protobuf":
            return 415
        try:
            plain = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
            request = ExportMetricsServiceRequest.FromString(plain)
        except (DecodeError, OSError):
            return 400
        for of_resource in request.resource_metrics:
            pairs = of_resource.resource.attributes
            self.resource.update({pair.key: pair.value.string_value for pair in pairs})
            for metric in (one for scope in of_resource.scope_metrics for one in scope.metrics):
                self.units[metric.name] = metric.unit
                for point in metric.gauge.data_points:
                    labels = sorted((pair.key, pair.value.string_value) for pair in point.attributes)
                    self.numbers[metric.name, tuple(labels)] = point.as_double
        return 200

    def __enter__(self) -> OtlpReceiver:  # noqa: PYI034 - as the other fakes
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)
