"""Simulated agents: what they publish is put into a broker, each message acknowledged. What they say is of now."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from fleet_records import closed, iso, message, opened, socket, status
from fleet_stream import on_broker

from portside.diagnosis.findings import Finding
from portside.fleet.broker import BrokerConnection
from portside.fleet.schema import CurrentFindings, Envelope, Kind, Record, encode
from portside.fleet.subjects import subject
from portside.kernel.models import Socket


def apart(work: Callable[[], object]) -> None:
    """Do something on a thread of its own: a browser that is driven has a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


class Agents:
    """Nodes that publish to the broker at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers: Counter[tuple[str, str]] = Counter()

    def message(self, kind: Kind, *records: Record, node: str, site: str = "paris") -> Envelope:
        """The next message of a node."""
        first = self._numbers[site, node] + 1
        self._numbers[site, node] += max(1, len(records))
        return message(kind, *records, node=node, site=site, seq=first, at=time.time())

    def publish(self, kind: Kind, *records: Record, node: str, site: str = "paris") -> None:
        """Publish a message of a node; it is in the stream when this returns."""
        self.publish_all([self.message(kind, *records, node=node, site=site)])

    def alive(self, *nodes: str, site: str = "paris", every_s: float = 600.0) -> None:
        """Have nodes give a sign of life, which is good for as long as a test may take."""
        now = time.time()
        sign = status(now, started=iso(now - 60), every_s=every_s)
        self.publish_all([self.message("node", sign, node=each, site=site) for each in nodes])

    def open(self, node: str, *sockets: Socket, site: str = "paris") -> None:
        """Tell the open connections of a node."""
        self.publish("open", opened(*sockets, at=time.time()), node=node, site=site)

    def found(self, node: str, *findings: Finding, site: str = "paris") -> None:
        """Tell what is wrong with a node."""
        told = CurrentFindings(at=iso(time.time()), findings=findings)
        self.publish("findings", told, node=node, site=site)

    def closed(self, node: str, local: str, remote: str, program: str = "nginx", site: str = "paris") -> None:
        """Tell that a connection of a node has closed."""
        of = socket(local, remote, program=program, state="CLOSED")
        self.publish("closed", closed(of, time.time()), node=node, site=site)

    def publish_all(self, messages: Sequence[Envelope]) -> None:
        """Publish messages."""

        async def publish(broker: BrokerConnection) -> None:
            for each in messages:
                kind: Kind = each.kind  # type: ignore[assignment]
                where = subject(each.site, each.node, kind)
                await broker.jetstream.publish(where, encode(each), headers={"Nats-Msg-Id": each.id})

        apart(lambda: on_broker(self.url, publish))


def three_machines(url: str) -> Agents:
    """Three nodes that have told what they have, one of them on another site."""
    agents = Agents(url)
    agents.alive("web1", "web2")
    agents.alive("db1", site="oslo")
    agents.open(
        "web1",
        socket("10.0.0.1:80", "10.9.0.1:4000", program="nginx", pid=812, send_q=70_000),
        socket("10.0.0.1:443", "10.9.0.2:4001", program="nginx", pid=812),
    )
    agents.open("web2", socket("10.0.0.2:80", "10.9.0.1:4002", program="nginx", pid=333, recv_q=5))
    agents.open("db1", socket("10.0.0.3:5432", "10.0.0.1:5000", state="CLOSE_WAIT", pid=99), site="oslo")
    return agents
