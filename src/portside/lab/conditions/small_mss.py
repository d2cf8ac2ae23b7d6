"""``small-mss``: segments of 500 bytes, because the peer takes no larger ones."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import dial, listening_socket, port_of
from portside.lab.table import largest, rows

SEGMENT_BYTES = 500


def _serve(role: Role) -> None:
    """The server: it sends 10 kB each second."""
    listener = listening_socket(8)
    role.ready(port=port_of(listener))
    connection, _ = listener.accept()
    while True:
        connection.sendall(bytes(10_000))
        role.pause(1.0)


def _read(role: Role, port: int) -> None:
    """The client: it has set TCP_MAXSEG, and so offers small segments only."""
    connection = dial(port, segment_bytes=SEGMENT_BYTES)
    role.ready()
    while connection.recv(1 << 16):
        pass


def make(bench: Bench) -> Scene:
    """The server and its client."""
    port = bench.start("server", _serve).port
    bench.start("client", _read, port)

    def proof() -> str | None:
        segment = largest(rows(f"state established and sport = :{port}"), "mss")
        return f"segments of port {port} have at most {segment} bytes." if 0 < segment <= SEGMENT_BYTES else None

    return Scene(
        proof=proof,
        looks=(
            Look(f"portside watch --json 'sport = :{port}'", "mss beside pmtu, which would allow more"),
            Look(f"ss -tni 'sport = :{port}'", "mss, pmtu and advmss; data_segs_out beside bytes_sent"),
        ),
    )


CONDITION = Condition(
    code="small-mss",
    what="segments are much smaller than the path would allow: headers and work for each, whatever its size.",
    how=f"a server sends to a client that has set TCP_MAXSEG to {SEGMENT_BYTES}.",
    make=make,
)
