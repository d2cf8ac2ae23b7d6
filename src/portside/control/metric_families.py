"""Metrics for Prometheus with one label, and the one of findings: for a server and for an agent."""

from collections import Counter
from collections.abc import Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from portside.diagnosis.findings import Finding


def findings_family(findings: Sequence[Finding]) -> Metric:
    """How many findings there are, by code and severity."""
    family = GaugeMetricFamily(
        "portside_finding", "Findings about the TCP of this machine, as diagnose has them.", labels=["code", "severity"]
    )
    for (code, severity), count in sorted(Counter((each.code, each.severity) for each in findings).items()):
        family.add_metric([code, severity], count)
    return family


def gauge(name: str, words: str, label: str, values: Mapping[str, int | None]) -> Metric:
    """A gauge with a value for each label; one that is unknown is left out."""
    return _with_values(GaugeMetricFamily(name, words, labels=[label]), values)


def counter(name: str, words: str, label: str, values: Mapping[str, int | None]) -> Metric:
    """A counter with a value for each label; one that is unknown is left out."""
    return _with_values(CounterMetricFamily(name, words, labels=[label]), values)


def _with_values(
    family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, int | None]
) -> GaugeMetricFamily | CounterMetricFamily:
    for text, value in values.items():
        if value is not None:
            family.add_metric([text], value)
    return family
