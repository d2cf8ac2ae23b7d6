"""``nagle-delay``: requests written in two pieces, so that Nagle's algorithm and delayed acknowledgements meet."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import dial, listening_socket, port_of
from portside.lab.table import largest, rows

HEAD, BODY = b"head", b"body and more\n"
LONG_TRIP_MS = 15  # the mean of 40 ms for each head and none for each body


def _serve(role: Role) -> None:
    """The server: it answers when a request has come as a whole."""
    listener = listening_socket(8)
    role.ready(port=port_of(listener))
    connection, _ = listener.accept()
    got = 0
    while piece := connection.recv(1 << 16):
        got += len(piece)
        if got % len(HEAD + BODY) == 0:
            connection.sendall(b"ok\n")


def _ask(role: Role, port: int) -> None:
    """The client: it writes the head, then the body, and waits for the answer; at once the next request."""
    connection = dial(port)
    role.ready()
    while True:
        connection.sendall(HEAD)
        connection.sendall(BODY)
        connection.recv(16)


def make(bench: Bench) -> Scene:
    """The server and its client."""
    port = bench.start("server", _serve).port
    bench.start("client", _ask, port)

    def proof() -> str | None:
        found = rows(f"state established and dport = :{port}")
        held_back, trip_ms = largest(found, "notsent_bytes"), largest(found, "rtt_us") / 1e3
        if not held_back or trip_ms < LONG_TRIP_MS:
            return None
        return (
            f"{held_back} bytes are held back until a segment is acknowledged; the mean round trip is {trip_ms:.0f} ms."
        )

    return Scene(
        port=port,
        proof=proof,
        looks=(
            Look(f"portside watch --wide 'dport = :{port}'", "a round trip of 20 ms and more, on the loopback"),
            Look(
                f"ss -tni 'dport = :{port}'", "notsent:14 and unacked:1, again and again; rtt of 20 to 40 beside minrtt"
            ),
            Look("nstat -az TcpExtDelayedACKs", "grows by 25 a second: each request waits for one"),
        ),
    )


CONDITION = Condition(
    code="nagle-delay",
    what="a program writes in small pieces and each waits 40 ms for the acknowledgement of the one before.",
    how="a client writes each request in two pieces, without TCP_NODELAY, and waits for the answer.",
    make=make,
)
