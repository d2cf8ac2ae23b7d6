"""The facts of an agent as a request of OTLP, and what makes it."""

import contextlib
import socket
import sys
import threading

import pytest
from machine_facts import AGENT, FACTS
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric
from otlp_collector import partial_success, values_of
from support import wait_until

import portside.fleet.metrics as metrics_package
from portside.errors import PortsideError
from portside.fleet.metrics import otlp, otlp_exporter
from portside.fleet.metrics.exposition import families
from portside.fleet.metrics.facts import MachineFacts
from portside.fleet.metrics.otlp import Exported, rejection, request_of
from portside.fleet.metrics.otlp_exporter import HEADERS, OtlpExporter, attributes_of, headers_of
from portside.version import __version__


def metrics(facts: MachineFacts) -> dict[str, Metric]:
    exported = Exported(families(facts), attributes_of(facts.agent), started_ns=5, now_ns=9)
    request = ExportMetricsServiceRequest.FromString(request_of(exported))
    (resource,) = request.resource_metrics
    assert {each.key: each.value.string_value for each in resource.resource.attributes} == {
        "service.name": "portside-agent", "service.version": __version__, "service.instance.id": "paris/web1",
        "host.name": "web1", "portside.site": "paris",
    }  # fmt: skip
    (scope,) = resource.scope_metrics
    return {each.name: each for each in scope.metrics}


def test_counters_are_cumulative_sums_since_the_start() -> None:
    made = metrics(FACTS)["portside_agent_records_made"]
    assert made.WhichOneof("data") == "sum"
    assert made.sum.is_monotonic
    assert made.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    (point,) = made.sum.data_points
    assert (point.as_double, point.start_time_unix_nano, point.time_unix_nano) == (1000, 5, 9)
    assert made.description == "Records that went into the outbox."


def test_all_else_is_a_gauge_with_its_labels() -> None:
    found = metrics(FACTS)
    assert found["portside_tcp_sockets"].WhichOneof("data") == "gauge"
    assert values_of(found["portside_tcp_sockets"])[(("state", "ESTABLISHED"),)] == 5
    assert values_of(found["portside_port_sockets"])[(("port", "5432"), ("state", "LISTEN"))] == 1
    assert values_of(found["portside_finding"]) == {(("code", "close-wait-leak"), ("severity", "warning")): 2}
    assert {each.start_time_unix_nano for each in found["portside_tcp_sockets"].gauge.data_points} == {0}


def test_units() -> None:
    found = metrics(FACTS)
    assert found["portside_agent_outbox_bytes"].unit == "By"
    assert found["process_cpu_seconds"].unit == "s"
    assert not found["portside_tcp_sockets"].unit


def test_what_is_not_known_is_left_out() -> None:
    found = metrics(MachineFacts(None, (), AGENT._replace(look_age_s=None)))
    assert not {"portside_tcp_sockets", "portside_finding", "portside_agent_look_age_seconds"} & set(found)


def test_what_a_collector_did_not_take() -> None:
    assert rejection(b"") is None
    assert rejection(partial_success(3, "too old")) == "it did not take 3 points: too old"
    with pytest.raises(ValueError, match="not one of OTLP"):
        rejection(b"<html>")


def test_headers() -> None:
    assert headers_of({}) == {}
    given = headers_of({HEADERS: "Authorization=Basic%20abc%3D, x-tenant = 7 ,api_key=k"})
    assert given == {"Authorization": "Basic abc=", "x-tenant": "7", "api_key": "k"}


@pytest.mark.parametrize(
    "text", ["s3cret", "a b=s3cret", "=s3cret", "a=s3cret%0d%0aHost: x", "a=s3cret%E2%82%AC", "Content-Length=s3cret"]
)
def test_headers_that_are_none(text: str) -> None:
    with pytest.raises(PortsideError) as caught:
        headers_of({HEADERS: text})
    assert HEADERS in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("piece", [b"HTTP/1.1 100 Continue\r\n\r\n", b"H"], ids=["continues", "drips"])
def test_an_answer_that_never_ends_is_cut(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    """However it is made: the limit is one for the whole of it."""
    monkeypatch.setattr(otlp_exporter, "_ANSWER_S", 0.5)
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with listener.accept()[0] as connection, contextlib.suppress(OSError):
                while True:
                    connection.sendall(piece)
                    ended.wait(0.001)

        ended = threading.Event()
        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/metrics"
        exporter = OtlpExporter(url, 0.01, lambda: FACTS, lambda words, _: said.append(words))
        wait_until(lambda: said, "it to be given up")
        ended.set()
        thread.join()
    exporter.close()
    assert said == [f"cannot export metrics to {url}: no answer within 0.5s"]


def test_an_interval_that_is_very_long() -> None:
    exporter = OtlpExporter("http://127.0.0.1:1/v1/metrics", 1e12, lambda: FACTS, lambda *_: None)
    assert exporter._thread.is_alive()
    exporter.close()
    assert not exporter._thread.is_alive()


def test_without_opentelemetry_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, otlp.__name__)
    monkeypatch.delattr(metrics_package, "otlp")
    monkeypatch.setitem(sys.modules, ExportMetricsServiceRequest.__module__, None)
    with pytest.raises(PortsideError) as caught:
        OtlpExporter("http://127.0.0.1:1/v1/metrics", 1.0, lambda: FACTS, lambda *_: None)
    assert "opentelemetry-proto is not installed" in str(caught.value)
    assert caught.value.hint == "pip install 'portside[otlp]'"
