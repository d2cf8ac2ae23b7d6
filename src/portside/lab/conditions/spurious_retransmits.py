"""``spurious-retransmits``: acknowledgements that come too late, so that segments are sent again which have arrived."""

import contextlib
import socket
from collections import deque
from itertools import count

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.slow_link import FAR, LISTEN_PORT, NEAR, Policy, start_link
from portside.lab.sockets import dial, listening_socket
from portside.lab.table import rows, total

CONNECTIONS = 16
WAY_S, STOP_S, EVERY_S = 0.005, 0.5, 1.1


def _read(role: Role) -> None:
    """The server: it reads what comes from all its clients, by turns."""
    listener = listening_socket(CONNECTIONS, address=NEAR, port=LISTEN_PORT)
    listener.setblocking(False)
    role.ready()
    accepted: list[socket.socket] = []
    while True:
        role.pause(0.01)
        with contextlib.suppress(BlockingIOError):
            accepted.append(listener.accept()[0])
            accepted[-1].setblocking(False)
        accepted = [connection for connection in accepted if _is_open(connection)]


def _is_open(connection: socket.socket) -> bool:
    """Read what has come; whether the client is still there."""
    try:
        return bool(connection.recv(1 << 20))
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def _send(role: Role) -> None:
    """The clients: each sends a little every 25 ms, for 4 s, and another takes its place.

    A connection that has been through it once waits longer for acknowledgements, and so sends less again.
    """
    connections = deque(dial(LISTEN_PORT, address=FAR) for _ in range(CONNECTIONS))
    role.ready()
    for number in count():
        if number % 10 == 0:
            connections.popleft().close()
            connections.append(dial(LISTEN_PORT, address=FAR))
        for connection in connections:
            connection.sendall(bytes(1000))
        role.pause(0.025)


def stopping() -> Policy:
    """A way back on which nothing moves for 0.5 s in every 1.1 s, and then everything arrives."""

    def policy(now: float, _number: int, forward: bool, _size: int) -> float | None:  # noqa: FBT001 - as Policy has it
        phase = now % EVERY_S
        return now + WAY_S + (STOP_S - phase if not forward and phase < STOP_S else 0.0)

    return policy


def make(bench: Bench) -> Scene:
    """Clients that send over the link."""
    start_link(bench, stopping())
    bench.start("server", _read)
    bench.start("clients", _send)
    client = f"dst {FAR} and dport = :{LISTEN_PORT}"

    def proof() -> str | None:
        found = rows(f"state established and {client}")
        again, twice = total(found, "retrans_total"), total(found, "dsack_dups")
        if again < 10 or twice < again / 3:
            return None
        return f"{again} segments were sent again, and for {twice} of them the peer said that it had them already."

    return Scene(
        proof=proof,
        within_s=20,
        looks=(
            Look(f"portside watch --wide '{client}'", "retransmits, although nothing is lost"),
            Look(f"ss -tni 'dst {FAR} and dport = :{LISTEN_PORT}'", "retrans and dsack_dups grow together"),
            Look(
                "nstat -az TcpExtTCPTimeouts TcpExtTCPDSACKRecv",
                "time-outs, and answers that the segment was there already",
            ),
        ),
    )


CONDITION = Condition(
    code="spurious-retransmits",
    what="segments are sent again that had arrived: their acknowledgements came too late.",
    how=f"clients send over a link that holds all acknowledgements for {STOP_S:.1f}s, every {EVERY_S:.1f}s.",
    make=make,
    isolated=True,
)
