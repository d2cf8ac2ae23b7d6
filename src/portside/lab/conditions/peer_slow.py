"""``peer-slow``: a program that sends to a peer which does not read."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import dial, fill, listening_socket, port_of
from portside.lab.table import rows, total
from portside.units import counted

MOST_BYTES = 32 << 20


def _serve(role: Role) -> None:
    """The server: it sends its answer, for as long as somebody takes it."""
    listener = listening_socket(8)
    role.ready(port=port_of(listener))
    connection, _ = listener.accept()
    fill(connection, MOST_BYTES)
    role.hold()


def _stop_reading(role: Role, port: int) -> None:
    """The peer: it connects with a small receive buffer, and does not read."""
    connection = dial(port, recv_buffer_bytes=4096)
    role.ready(port=port_of(connection))
    role.hold()


def make(bench: Bench) -> Scene:
    """The server and the peer that does not read."""
    port = bench.start("server", _serve).port
    bench.start("peer", _stop_reading, port)

    def proof() -> str | None:
        found = rows(f"state established and sport = :{port}")
        waiting, closed = sum(each.send_q or 0 for each in found), total(found, "probes")
        if not waiting or not closed:
            return None
        probes = counted(closed, "probe")
        return f"{waiting} bytes of port {port} wait for a window of the peer, which has answered {probes}: closed."

    return Scene(
        port=port,
        proof=proof,
        looks=(
            Look(f"portside watch --wide 'sport = :{port}'", "Send-Q does not move; the timer is persist"),
            Look(f"ss -tnpio 'sport = :{port}'", "timer:(persist,…), rwnd_limited near 100 %, and no snd_wnd: it is 0"),
            Look(
                "nstat -az TcpExtTCPWinProbe TcpExtTCPToZeroWindowAdv", "probes of the window, and windows that closed"
            ),
            Look(f"netstat -tnop | grep ':{port} '", "probe: the timer"),
        ),
    )


CONDITION = Condition(
    code="peer-slow",
    what="the peer does not read: its window is closed, and what the program sends waits in its send buffer.",
    how="a server sends to a client that has a receive buffer of 4 KiB and never reads.",
    make=make,
)
