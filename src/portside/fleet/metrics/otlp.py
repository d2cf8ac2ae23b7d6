"""Families of Prometheus as a request of OTLP, by the generated classes of opentelemetry-proto.

Names stay those of Prometheus, a counter's without ``_total``, as OpenTelemetry's rules for both have it, so that rules
and dashboards fit however the metrics came. Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE
from prometheus_client.core import Metric

from portside.version import __version__

_UNITS: Final = {"bytes": "By", "seconds": "s"}


class Exported(NamedTuple):
    """The metrics to export, as they were at ``now_ns``, nanoseconds since 1970; counters count since ``started_ns``.

    ``attributes`` are those of the resource: which process it is whose metrics these are.
    """

    families: Iterable[Metric]
    attributes: Mapping[str, str]
    started_ns: int
    now_ns: int


def request_of(exported: Exported) -> bytes:
    """The body of a request to ``/v1/metrics``: counters as cumulative sums, everything else as gauges."""
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.extend(_attributes(exported.attributes))
    scope = resource.scope_metrics.add()
    scope.scope.name, scope.scope.version = "portside", __version__
    for family in exported.families:
        if not family.samples:
            continue
        metric = scope.metrics.add(
            name=family.name, description=family.documentation, unit=_UNITS.get(family.name.rpartition("_")[2], "")
        )
        if family.type == "counter":
            metric.sum.is_monotonic = True
            metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
            points, start_ns = metric.sum.data_points, exported.started_ns
        else:
            points, start_ns = metric.gauge.data_points, 0
        for sample in family.samples:
            points.add(
                start_time_unix_nano=start_ns,
                time_unix_nano=exported.now_ns,
                as_double=sample.value,
                attributes=_attributes(sample.labels),
            )
    return request.SerializeToString()


def rejection(answer: bytes) -> str | None:
    """The reason why points were not taken, by the answer to a request; None where all were. Raises ValueError."""
    try:
        partial = ExportMetricsServiceResponse.FromString(answer).partial_success
    except Exception as error:  # protobuf has an error of its own in each of its implementations
        raise ValueError("its answer is not one of OTLP") from error
    if not partial.rejected_data_points:
        return None
    return f"it did not take {partial.rejected_data_points} points: {partial.error_message or 'without a reason'}"


def _attributes(values: Mapping[str, str]) -> Iterable[KeyValue]:
    return (KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in values.items())
