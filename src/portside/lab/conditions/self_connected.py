"""``self-connected``: a client that got the port it connects to as its own."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import LOOPBACK, port_of, tcp_socket
from portside.lab.table import rows


def _connect_to_itself(role: Role) -> None:
    """The client: its own port is that of the service, which does not run."""
    connection = tcp_socket()
    connection.bind((LOOPBACK, 0))
    port = port_of(connection)
    connection.connect((LOOPBACK, port))
    connection.sendall(b"who is there?\n")
    role.ready(port=port)
    role.hold()


def make(bench: Bench) -> Scene:
    """The client."""
    port = bench.start("client", _connect_to_itself).port

    def proof() -> str | None:
        found = rows(f"state established and sport = :{port} and dport = :{port}")
        return f"{found[0].local} is connected to {found[0].remote}: itself." if found else None

    return Scene(
        port=port,
        proof=proof,
        looks=(
            Look(f"portside watch {port}", "one row, both addresses the same; Recv-Q is what it sent"),
            Look(f"ss -tnp 'sport = :{port}'", "the same"),
            Look(f"netstat -tnp | grep ':{port} '", "the same"),
        ),
    )


CONDITION = Condition(
    code="self-connected",
    what="a socket is connected to itself and reads what it writes; the service of that port does not run.",
    how="a client connects to the very port that the kernel gave it: a simultaneous open.",
    make=make,
)
