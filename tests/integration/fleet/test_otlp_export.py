"""``portside agent --otlp``: a collector gets what ``--metrics`` serves, and one that is bad holds nothing up."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from api_client import ask
from fleet_stream import make_stream, messages_in_stream
from nats_server import NatsServer
from otlp_collector import Collector, collecting, partial_success, values_of
from prometheus_client.parser import text_string_to_metric_families
from support import Program, free_port, wait_until

Start = Callable[..., Program]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def agent(nats: NatsServer, tmp_path: Path) -> Iterator[Start]:
    """Agents with further options, which end with the test."""
    make_stream(nats.url)
    tmp_path.chmod(0o700)
    agents: list[Program] = []

    def start(*words: str, env: dict[str, str] | None = None) -> Program:
        given = ("--nats", nats.url, "--outbox", str(tmp_path / "outbox"), "--node", "web1", "--site", "paris")
        environment = {"XDG_RUNTIME_DIR": str(tmp_path), "no_proxy": "127.0.0.1", **(env or {})}
        agents.append(Program("agent", *given, "--filter", "dport = :1", *words, env=environment))
        return agents[-1]

    yield start
    for each in agents:
        each.kill()


def wait_exports(collector: Collector, more: int = 1) -> None:
    wanted = len(collector.requests) + more
    wait_until(lambda: len(collector.requests) >= wanted, "an export")


def test_a_collector_gets_what_prometheus_reads(agent: Start, collector: Collector) -> None:
    port = free_port()
    running = agent(
        "--otlp", collector.url, "--otlp-interval", "200ms", "--metrics", str(port),
        env={"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20t0ken"},
    )  # fmt: skip
    wait_until(lambda: collector.requests and "portside_tcp_sockets" in collector.metrics(), "the agent's first look")
    assert collector.paths[0] == "/v1/metrics"
    assert collector.headers[0]["authorization"] == "Bearer t0ken"
    assert collector.headers[0]["content-type"] == "application/x-protobuf"
    assert collector.attributes()["service.instance.id"] == "paris/web1"
    text = ask(f"127.0.0.1:{port}", "/metrics").body.decode()
    scraped = {each.name: each for each in text_string_to_metric_families(text)}
    assert {"portside_agent_records_made", "process_cpu_seconds"} < set(collector.metrics()) <= set(scraped)
    assert values_of(collector.metrics()["portside_agent_outbox_limit_bytes"]) == {(): 256 << 20}
    info = values_of(collector.metrics()["portside_agent_info"])
    assert info == {tuple(sorted(each.labels.items())): each.value for each in scraped["portside_agent_info"].samples}
    before = len(collector.requests)
    running.stop()
    assert len(collector.requests) > before, "the last one"


def test_a_collector_that_is_away_is_said_once(agent: Start, nats: NatsServer) -> None:
    running = agent("--otlp", f"http://127.0.0.1:{free_port()}", "--otlp-interval", "50ms")
    running.wait_for("cannot export metrics to http://127.0.0.1:", err=True)
    published = messages_in_stream(nats.url)
    wait_until(lambda: messages_in_stream(nats.url) > published, "the agent to go on")
    running.stop()
    assert bytes(running.err).count(b"cannot export") == 1
    assert re.search(rb"metrics: Connection refused$", running.err, re.MULTILINE)


@pytest.mark.parametrize("status", [400, 503, 302])
def test_answers_that_say_no(agent: Start, collector: Collector, status: int) -> None:
    collector.status = status
    collector.location = f"{collector.url}/elsewhere" if status == 302 else None
    running = agent("--otlp", collector.url, "--otlp-interval", "100ms")
    running.wait_for(f"HTTP status {status}", err=True)
    assert set(collector.paths) == {"/v1/metrics"}
    collector.status, collector.location = 200, None
    running.wait_for("metrics are exported to", err=True)
    running.stop()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (partial_success(2, "too \x1b[31mold"), "it did not take 2 points: too \\x1b[31mold"),
        (b"<html>" * 100, "its answer is not one of OTLP"),
    ],
    ids=["partial", "html"],
)
def test_answers_that_are_bad(agent: Start, collector: Collector, answer: bytes, said: str) -> None:
    collector.answer = answer
    running = agent("--otlp", collector.url, "--otlp-interval", "100ms")
    running.wait_for(re.escape(said), err=True)
    running.stop()


def test_an_answer_without_an_end(agent: Start, collector: Collector) -> None:
    collector.is_endless = True
    running = agent("--otlp", collector.url, "--otlp-interval", "100ms")
    running.wait_for("its answer is too long", err=True)
    running.stop()


def test_a_collector_that_never_answers_holds_nothing_up(agent: Start, collector: Collector, nats: NatsServer) -> None:
    collector.stalled.set()
    running = agent("--otlp", collector.url, "--otlp-interval", "50ms")
    wait_exports(collector)
    published = messages_in_stream(nats.url)
    wait_until(lambda: messages_in_stream(nats.url) > published, "the agent to go on")
    running.stop()


@pytest.mark.parametrize(
    ("words", "env", "status", "said"),
    [
        (("--otlp", "grpc://a:4317"), {}, 2, "is no URL of a collector"),
        (("--otlp-interval", "5s"), {}, 2, "--otlp"),
        (("--otlp", "http://a"), {"OTEL_EXPORTER_OTLP_HEADERS": "nonsense"}, 1, "OTEL_EXPORTER_OTLP_HEADERS"),
    ],
)
def test_options_that_are_wrong(
    agent: Start, words: tuple[str, ...], env: dict[str, str], status: int, said: str
) -> None:
    running = agent(*words, env=env)
    assert running.wait() == status
    assert said.encode() in running.err
