"""``send-buffer-limited``: a send buffer smaller than what a long way takes (rate times round trip)."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.slow_link import FAR, LISTEN_PORT, NEAR, Policy, start_link
from portside.lab.sockets import dial, listening_socket, set_congestion_control
from portside.lab.table import rows, total

WAY_S = 0.02
SEND_BUFFER_BYTES = 32 * 1024


def read_all(role: Role) -> None:
    """The server: it reads whatever comes, of one client."""
    listener = listening_socket(8, address=NEAR, port=LISTEN_PORT)
    role.ready()
    connection, _ = listener.accept()
    while connection.recv(1 << 20):
        pass


def _send(role: Role) -> None:
    """The client: it sends as fast as its buffer lets it."""
    connection = dial(LISTEN_PORT, address=FAR, send_buffer_bytes=SEND_BUFFER_BYTES)
    set_congestion_control(connection, "reno")  # BBR would pace, and not fill the buffer
    role.ready()
    while True:
        connection.sendall(bytes(1 << 20))


def delayed() -> Policy:
    """A long way without any loss."""
    return lambda now, _number, _forward, _size: now + WAY_S


def make(bench: Bench) -> Scene:
    """A client with a small buffer, and a server a long way off."""
    start_link(bench, delayed())
    bench.start("server", read_all)
    bench.start("client", _send)
    client = f"dst {FAR} and dport = :{LISTEN_PORT}"

    def proof() -> str | None:
        found = rows(f"state established and {client}")
        busy, limited = total(found, "busy_us"), total(found, "sndbuf_limited_us")
        if busy < 1e6 or limited < busy / 2:
            return None
        return f"busy for {busy / 1e6:.1f}s, of which {limited / 1e6:.1f}s waiting for room in the send buffer."

    return Scene(
        port=LISTEN_PORT,
        proof=proof,
        looks=(
            Look(f"portside watch --wide '{client}'", "Send-Q is the whole buffer, and the limit is the send buffer"),
            Look(f"ss -tnim 'dst {FAR} and dport = :{LISTEN_PORT}'", "sndbuf_limited near 100 % of busy; tb in skmem"),
        ),
    )


CONDITION = Condition(
    code="send-buffer-limited",
    what="a transfer waits for its own send buffer, which is too small for the distance to the peer.",
    how="a client with a send buffer of 32 KiB sends over a link of 20 ms each way.",
    make=make,
    isolated=True,
)
