"""The work of a run, the part of it that one worker does, and what the worker says of it."""

import socket
from typing import Any, NamedTuple

import msgspec

from portside.load.messages import MessageSource
from portside.load.replies import Reply


class Target(NamedTuple):
    """One address of the server, and the local addresses to connect from, in turn; none: the kernel's choice."""

    family: int
    sockaddr: Any  # as connect(2) takes it
    sources: tuple[Any, ...] = ()

    @property
    def is_here(self) -> bool:
        """Whether the server's address is one of this machine, so that its listener can be looked at."""
        if self.family == socket.AF_UNIX:
            return False  # it has no accept queue that the kernel tells
        try:
            with socket.socket(self.family, socket.SOCK_STREAM) as sock:
                sock.bind((self.sockaddr[0], 0, *self.sockaddr[2:]))
        except OSError:
            return False
        return True


class Work(NamedTuple):
    """The share of one worker. Counts and rates are this worker's share; times are nanoseconds of CLOCK_MONOTONIC."""

    target: Target
    connections: int
    first_number: int  # of its connections, which go on in steps of ``step``
    step: int
    messages: MessageSource
    reply: Reply
    duration_ns: int | None  # from when all connections are open; None: until all messages are answered
    most_messages: int | None  # in all; None: as many as fit into the duration
    rate: float | None  # messages a second, an open loop; None: each is sent when the one before it is answered
    offset_ns: int  # of the first message of the schedule, so that the workers take turns
    pipeline: int  # messages on their way at a time on a connection
    think_ns: int  # between an answer and the next message
    connect_rate: float | None
    lifetime_ns: int | None
    per_connection: int | None  # messages on a connection, after which the next one is opened
    timeout_ns: int  # for connecting, and for answers after the end
    tls: Any = None  # ssl.SSLContext
    servername: str | None = None
    seed: int = 0


class WorkDone(msgspec.Struct, frozen=True, gc=False):
    """The work that was done since a worker's last word; histograms as slots and how often each occurred.

    ``kernel`` are sums over its connections that have ended; ``cpu_ns`` and ``wall_ns`` are of the measured time.
    """

    stage: str  # opening, measuring, draining, ended
    open: int
    opened: int = 0
    sent: int = 0
    replies: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    errors: dict[str, int] = {}
    latency: tuple[bytes, bytes] | None = None
    connect: tuple[bytes, bytes] | None = None
    lateness: tuple[bytes, bytes] | None = None
    rtt: tuple[bytes, bytes] | None = None
    kernel: dict[str, int] = {}
    cpu_ns: int = 0
    wall_ns: int = 0
    began_ns: int = 0  # when the measured time began; 0: not yet
