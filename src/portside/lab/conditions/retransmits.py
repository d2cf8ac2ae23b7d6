"""``retransmits``: one packet in twelve is lost."""

import contextlib
import select

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.packet_filter import drop, share
from portside.lab.role import Role
from portside.lab.sockets import dial, listening_socket, port_of
from portside.lab.table import rows, total

LOST = 0.08
CONNECTIONS = 4  # one alone may wait for a time-out for seconds
MTU_BYTES = 1500  # of the loopback, which has 65536


def _serve(role: Role) -> None:
    """The server: it reads all that it gets, of all its clients."""
    listener = listening_socket(CONNECTIONS)
    role.ready(port=port_of(listener))
    accepted = [listener.accept()[0] for _ in range(CONNECTIONS)]
    for connection in accepted:
        drop(connection, share(LOST))
    while True:
        for connection in select.select(accepted, [], [])[0]:
            connection.recv(1 << 20)


def _send(role: Role, port: int) -> None:
    """The clients: each sends up to 16 KiB every 10 ms, what the losses let through."""
    connections = [dial(port) for _ in range(CONNECTIONS)]
    for connection in connections:
        connection.setblocking(False)
    role.ready()
    while True:
        for connection in connections:
            with contextlib.suppress(BlockingIOError):
                connection.send(bytes(1 << 14))
        role.pause(0.01)


def make(bench: Bench) -> Scene:
    """The server that loses, and its clients."""
    bench.isolation.up("lo", mtu=MTU_BYTES)
    port = bench.start("server", _serve).port
    bench.start("clients", _send, port)

    def proof() -> str | None:
        found = rows(f"state established and dport = :{port}")
        sent, again, segments = (total(found, name) for name in ("bytes_sent", "bytes_retrans", "retrans_total"))
        if segments < 30 or again < sent / 100:
            return None
        return f"{again / sent:.1%} of what was sent was sent again: {segments} segments."

    return Scene(
        proof=proof,
        looks=(
            Look(f"portside watch --wide 'dport = :{port}'", "retransmits grow"),
            Look(f"ss -tni 'dport = :{port}'", "retrans:…/N; bytes_retrans beside bytes_sent"),
            Look("nstat -az TcpRetransSegs TcpExtTCPFastRetrans TcpExtTCPLostRetransmit", "how they were noticed"),
            Look("netstat -s | grep -i retrans", "the same in words"),
        ),
    )


CONDITION = Condition(
    code="retransmits",
    what="much of what is sent is lost on the way and sent again.",
    how=f"clients send to a server where a packet filter drops {LOST:.0%} of what arrives, at random.",
    make=make,
    isolated=True,
)
