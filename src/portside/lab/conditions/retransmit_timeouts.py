"""``retransmit-timeouts``: a path that is cut for a second, again and again."""

import time

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.packet_filter import ALL, drop, drop_nothing
from portside.lab.role import Role
from portside.lab.sockets import dial, listening_socket, port_of
from portside.lab.table import rows, total

CUT_S, WHOLE_S = 1.0, 1.5


def _serve(role: Role) -> None:
    """The server: it reads for a while, and then gets nothing for a second."""
    listener = listening_socket(8)
    role.ready(port=port_of(listener))
    connection, _ = listener.accept()
    while True:
        end = time.monotonic() + WHOLE_S
        while time.monotonic() < end and connection.recv(1 << 16):
            pass
        drop(connection, ALL)
        role.pause(CUT_S)
        drop_nothing(connection)


def _send(role: Role, port: int) -> None:
    """The client: a short message every 50 ms."""
    connection = dial(port)
    role.ready()
    while True:
        connection.sendall(b"message\n" * 8)
        role.pause(0.05)


def make(bench: Bench) -> Scene:
    """The server and its client."""
    port = bench.start("server", _serve).port
    bench.start("client", _send, port)

    def proof() -> str | None:
        found = rows(f"state established and dport = :{port}")
        timeouts = total(found, "total_rto") or bench.counts.grown("TcpExt.TCPTimeouts")
        return f"{timeouts} retransmission time-outs so far." if timeouts >= 3 else None

    return Scene(
        proof=proof,
        within_s=15,
        looks=(
            Look(f"portside watch --wide 'dport = :{port}'", "retransmits; the timer is that of the retransmission"),
            Look(f"ss -tnoi 'dport = :{port}'", "timer:(on,…,N), backoff:N and a long rto, while the path is cut"),
            Look("nstat -az TcpExtTCPTimeouts TcpExtTCPLossProbes", "both grow"),
            Look("netstat -s | grep -i timeout", "the same in words"),
        ),
    )


CONDITION = Condition(
    code="retransmit-timeouts",
    what="senders stop and wait for retransmission time-outs: whole flights of segments are lost.",
    how="a client sends short messages to a server that gets nothing for 1s in every 2.5s.",
    make=make,
    isolated=True,
)
