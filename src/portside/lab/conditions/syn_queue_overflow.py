"""``syn-queue-overflow``: more handshakes that nobody finishes than the queue takes, so that SYN cookies are sent."""

from collections import deque
from typing import TYPE_CHECKING

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.conditions.accept_queue_overflow import serve_nobody
from portside.lab.packet_filter import SYN
from portside.lab.role import Role
from portside.lab.sockets import start_dialling
from portside.lab.table import rows

if TYPE_CHECKING:
    import socket

BACKLOG = 8
AT_ONCE = 30


def call_deaf(role: Role, port: int, at_once: int) -> None:
    """The clients: each never gets the SYN-ACK, so that its handshake stays unfinished; four new ones each second."""
    waiting: deque[socket.socket] = deque()
    while True:
        waiting.append(start_dialling(port, losing=SYN))
        if len(waiting) == at_once:
            role.ready()
        if len(waiting) > at_once:
            waiting.popleft().close()
        if len(waiting) >= at_once:
            role.pause(0.25)


def make(bench: Bench) -> Scene:
    """The listener and its clients, in a namespace where SYN cookies are on, as they are by default."""
    bench.isolation.set("ipv4/tcp_syncookies", "1")
    port = bench.start("server", serve_nobody, BACKLOG).port
    bench.start("clients", call_deaf, port, AT_ONCE)

    def proof() -> str | None:
        cookies = bench.counts.grown("TcpExt.TCPReqQFullDoCookies")
        unfinished = len(rows(f"state syn-recv and sport = :{port}"))
        if not cookies or not unfinished:
            return None
        return f"{unfinished} handshakes of port {port} are unfinished; {cookies} SYNs were answered with a cookie."

    return Scene(
        proof=proof,
        looks=(
            Look(
                f"portside watch 'state syn-recv and sport = :{port}'", f"unfinished handshakes, {BACKLOG + 1} at most"
            ),
            Look(f"ss -tno state syn-recv 'sport = :{port}'", "the same, with the timer of the SYN-ACK"),
            Look(f"ss -tno state syn-sent 'dport = :{port}'", "the clients: most were answered with a cookie"),
            Look("nstat -az TcpExtTCPReqQFullDoCookies TcpExtSyncookiesSent", "both grow"),
            Look("netstat -s | grep -i cookie", "the same in words"),
        ),
    )


CONDITION = Condition(
    code="syn-queue-overflow",
    what="handshakes are begun and not finished; the SYN queue is full, SYNs are dropped or answered with cookies.",
    how=f"clients connect to a backlog of {BACKLOG}, and a packet filter keeps the SYN-ACKs from them.",
    make=make,
    isolated=True,
)
