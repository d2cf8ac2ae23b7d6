"""The server's metrics in Prometheus text: counts since the start, and what is so now. No label is a peer."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from portside.app.running_server import RunningServer
from portside.control.listener_queue import read_queue
from portside.control.metric_families import counter, findings_family, gauge
from portside.control.queue_totals import QueueTotals
from portside.diagnosis.findings import Finding
from portside.events import CloseReason, RefuseReason

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def metrics_text(run: RunningServer, queues: Mapping[str, QueueTotals], findings: Sequence[Finding] | None) -> bytes:
    """The metrics of a run as they are now; ``queues`` are those of its connections, by listener, where known.

    ``findings`` are those of the machine; None where it has not been watched for long enough yet.
    """
    registry = CollectorRegistry()
    registry.register(_ServerMetrics(run, queues, findings))
    return generate_latest(registry)


class _ServerMetrics(Collector):
    """The metrics of one run."""

    def __init__(
        self, run: RunningServer, queues: Mapping[str, QueueTotals], findings: Sequence[Finding] | None
    ) -> None:
        self._run = run
        self._totals = queues
        self._findings = findings

    def describe(self) -> list[Metric]:
        """Nothing: the registry would collect everything once to learn the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        run = self._run
        server, acceptor = run.server, run.server.acceptor
        open_at = Counter(each.info.listener for each in server.connections.values())
        names = dict.fromkeys([*(each.name for each in run.listeners), *open_at])
        yield gauge("portside_connections", "Clients that are connected.", "listener", {n: open_at[n] for n in names})
        opened = CounterMetricFamily("portside_connections_opened", "Clients that were connected.")
        opened.add_metric([], acceptor.connected)
        yield opened
        closed, refused = server.totals.by_reason, acceptor.refused
        yield counter("portside_connections_closed", "Connections that have ended, and why.", "reason",
                       {reason: closed[reason] for reason in get_args(CloseReason)})  # fmt: skip
        yield counter("portside_refused", "Clients that were closed at once, and why.", "reason",
                       {reason: refused[reason] for reason in get_args(RefuseReason)})  # fmt: skip
        for name, words, value in (
            ("portside_received_bytes", "Bytes that clients have sent.", server.received_bytes),
            ("portside_sent_bytes", "Bytes that were sent to clients.", server.sent_bytes),
        ):
            total = CounterMetricFamily(name, words)
            total.add_metric([], value)
            yield total
        yield from self._queues()
        if self._findings is not None:
            yield findings_family(self._findings)

    def _queues(self) -> Iterator[Metric]:
        queues = {listener.name: read_queue(listener) for listener in self._run.listeners}
        yield gauge("portside_listener_accept_queue", "Clients that wait to be accepted.", "listener",
                    {name: each.waiting for name, each in queues.items()})  # fmt: skip
        yield gauge("portside_listener_accept_queue_limit", "How many may wait.", "listener",
                     {name: each.limit for name, each in queues.items()})  # fmt: skip
        yield counter("portside_listener_drops", "Clients for whom there was no room to wait.", "listener",
                       {name: each.drops for name, each in queues.items()})  # fmt: skip
        totals = self._totals
        yield gauge("portside_recv_queue_bytes", "Bytes that the kernel has received and the server has not read.",
                     "listener", {name: each.received for name, each in totals.items()})  # fmt: skip
        yield gauge("portside_send_queue_bytes", "Bytes that the kernel has and no client has acknowledged.",
                     "listener", {name: each.sent for name, each in totals.items()})  # fmt: skip
