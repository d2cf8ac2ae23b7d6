"""The facts of an agent as metrics of Prometheus. No label is a peer, and the number of ports is bounded."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from portside.control.metric_families import findings_family, gauge
from portside.fleet.metrics.facts import AgentFacts, MachineFacts, SocketCounts
from portside.kernel import states
from portside.version import __version__

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
OTHER_PORTS = "other"
_ALWAYS = ("ESTABLISHED",)  # of each port, 0 too: a series that is not there for lack of clients makes a gap in a graph


def metrics_text(facts: MachineFacts) -> bytes:
    """The metrics as Prometheus reads them."""
    return generate_latest(_registry(facts))


def families(facts: MachineFacts) -> Iterator[Metric]:
    """The same metrics, as values."""
    yield from _registry(facts).collect()


def _registry(facts: MachineFacts) -> CollectorRegistry:
    """The metrics of a machine and its agent, and those of its process that all programs have by the same names."""
    registry = CollectorRegistry()
    registry.register(_MachineMetrics(facts))
    ProcessCollector(registry=registry)
    return registry


class _MachineMetrics(Collector):
    """The metrics of some facts."""

    def __init__(self, facts: MachineFacts) -> None:
        self._facts = facts

    def describe(self) -> list[Metric]:
        """Nothing: the registry would collect everything once to learn the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        if self._facts.sockets is not None:
            yield from _sockets(self._facts.sockets)
        if self._facts.findings is not None:
            yield findings_family(self._facts.findings)
        yield from _agent(self._facts.agent)


def _sockets(counts: SocketCounts) -> Iterator[Metric]:
    every = dict.fromkeys([*states.NAMES.values(), *counts.states], 0)
    yield gauge("portside_tcp_sockets", "TCP sockets of this machine.", "state", {**every, **counts.states})
    received, sent = {}, {}
    sockets = GaugeMetricFamily("portside_port_sockets", "TCP sockets of a local port.", labels=["port", "state"])
    for each in counts.ports:
        port = OTHER_PORTS if each.port is None else str(each.port)
        received[port], sent[port] = each.recv_q, each.send_q
        for state, count in {**dict.fromkeys(_ALWAYS, 0), **each.states}.items():
            sockets.add_metric([port, state], count)
    yield gauge("portside_port_recv_queue_bytes", "Bytes that the kernel has received and the program has not read.",
                "port", received)  # fmt: skip
    yield gauge("portside_port_send_queue_bytes", "Bytes that the kernel has and no peer has acknowledged.",
                "port", sent)  # fmt: skip
    yield sockets


def _agent(agent: AgentFacts) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        "portside_agent_info", "The agent: its version, and its name in the fleet.", labels=["version", "site", "node"]
    )
    info.add_metric([__version__, agent.site, agent.node], 1)
    yield info
    for name, words, count in (
        ("records_made", "Records that went into the outbox.", agent.made),
        ("records_published", "Records that were sent to the broker, each time that they were.", agent.published),
        ("records_acknowledged", "Records that the broker has.", agent.acknowledged),
        ("records_dropped", "Records that the outbox gave up, since it was full or they were too old.",
         agent.outbox.dropped),
        ("events_sampled_out", "Events of connections that were left out because there were too many.", agent.sampled),
        ("announcements_lost", "Announcements of the kernel that did not arrive.", agent.lost),
    ):  # fmt: skip
        total = CounterMetricFamily(f"portside_agent_{name}", words)
        total.add_metric([], count)
        yield total
    for name, words, value in (
        ("outbox_records", "Records that the broker has not acknowledged.", agent.outbox.records),
        ("outbox_bytes", "Bytes of the outbox.", agent.outbox.bytes),
        ("outbox_limit_bytes", "Bytes that the outbox may have.", agent.outbox_limit),
        ("outbox_oldest_seconds", "The age of the oldest record in the outbox.", agent.outbox.oldest_s or 0),
        ("broker_connected", "Whether the agent is connected to NATS.", int(agent.is_connected)),
        ("look_age_seconds", "How long ago the table of sockets was last read.", agent.look_age_s),
    ):  # fmt: skip
        if value is not None:
            family = GaugeMetricFamily(f"portside_agent_{name}", words)
            family.add_metric([], value)
            yield family
