"""What an agent knows of its machine and of itself, as it is handed to the metrics.

The agent makes ``MachineFacts`` of what it has at hand whenever Prometheus asks: on the loop's thread, so at once.
``socket_counts.count_sockets`` makes ``SocketCounts`` of a table that was read for other reasons anyway.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from portside.diagnosis.findings import Finding
from portside.fleet.schema import OutboxStatus


class PortCount(NamedTuple):
    """The sockets of one local port; ``port`` is None for all ports together that have no place of their own.

    ``states`` counts them by state. ``recv_q`` and ``send_q`` are bytes over those that do not listen: received and
    not read by the program, and not acknowledged by the peer; None where the kernel's table does not tell them.
    """

    port: int | None
    states: Mapping[str, int]
    recv_q: int | None
    send_q: int | None


class SocketCounts(NamedTuple):
    """The sockets of a machine: all of them by state, and by local port."""

    states: Mapping[str, int]
    ports: tuple[PortCount, ...]


class AgentFacts(NamedTuple):
    """An agent's own counts since it began, in records, and its outbox.

    ``made`` are records that went into the outbox, ``published`` those that were sent to the broker (again, where it
    did not acknowledge them), ``acknowledged`` those that it has. ``sampled`` are events that were left out because
    there were too many, ``lost`` announcements of the kernel that did not arrive. ``outbox_limit`` is in bytes.
    ``look_age_s`` is how long ago the table of sockets was last read, None before the first time.
    """

    site: str
    node: str
    made: int
    published: int
    acknowledged: int
    sampled: int
    lost: int
    outbox: OutboxStatus
    outbox_limit: int
    is_connected: bool
    look_age_s: float | None


class MachineFacts(NamedTuple):
    """The present state of a machine. ``sockets`` and ``findings`` are None while they are not known."""

    sockets: SocketCounts | None
    findings: Sequence[Finding] | None
    agent: AgentFacts
