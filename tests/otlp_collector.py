"""A collector of OTLP over HTTP: it keeps what it is sent, and answers as a test wants."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

Labels = tuple[tuple[str, str], ...]


class Collector:
    """What was sent. ``status`` and ``answer`` are those of the answers; ``stall`` is set to have none end."""

    def __init__(self) -> None:
        self.requests: list[ExportMetricsServiceRequest] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.status, self.answer = 200, b""
        self.location: str | None = None
        self.is_endless = False
        self.stalled = threading.Event()
        self.ended = threading.Event()
        self.url = ""

    def metrics(self) -> dict[str, Metric]:
        """Those of the newest request, by name."""
        (resource,) = self.requests[-1].resource_metrics
        (scope,) = resource.scope_metrics
        return {each.name: each for each in scope.metrics}

    def attributes(self) -> dict[str, str]:
        """Those of the newest request's resource."""
        (resource,) = self.requests[-1].resource_metrics
        return {each.key: each.value.string_value for each in resource.resource.attributes}


def values_of(metric: Metric) -> dict[Labels, float]:
    """The values of a metric by its labels."""
    points = metric.sum.data_points if metric.WhichOneof("data") == "sum" else metric.gauge.data_points
    return {
        tuple(sorted((each.key, each.value.string_value) for each in point.attributes)): point.as_double
        for point in points
    }


def partial_success(rejected: int, why: str) -> bytes:
    """An answer that says that some points were not taken."""
    answer = ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points = rejected
    answer.partial_success.error_message = why
    return answer.SerializeToString()


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a port of 127.0.0.1."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
            collector.paths.append(self.path)
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            collector.requests.append(ExportMetricsServiceRequest.FromString(body))
            if collector.stalled.is_set():
                collector.ended.wait()
                return
            self.send_response(collector.status)
            if collector.location is not None:
                self.send_header("Location", collector.location)
            self.end_headers()
            self.wfile.write(collector.answer)
            while collector.is_endless and not collector.ended.is_set():
                try:
                    self.wfile.write(bytes(65536))
                except OSError:
                    return

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        collector.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield collector
        finally:
            collector.ended.set()
            server.shutdown()
            thread.join()
