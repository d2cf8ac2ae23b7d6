"""``close-wait-leak``: a server that never calls close(2), however often its clients do."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import accept_and_keep, close_in_order, dial, listening_socket, port_of
from portside.lab.table import rows

FIRST, MOST = 20, 400


def _serve(role: Role) -> None:
    """The server: it accepts, and forgets what it has accepted."""
    listener = listening_socket(128)
    role.ready(port=port_of(listener))
    accept_and_keep(listener)


def _call(role: Role, port: int) -> None:
    """The clients: they connect and close in order, the first ones at once, then one each second."""
    for number in range(MOST):
        close_in_order(dial(port))
        if number == FIRST:
            role.ready()
        if number >= FIRST:
            role.pause(1.0)


def make(bench: Bench) -> Scene:
    """The server and its clients."""
    port = bench.start("server", _serve).port
    bench.start("clients", _call, port)

    def proof() -> str | None:
        count = len(rows(f"state close-wait and sport = :{port}"))
        return f"{count} connections of port {port} are in CLOSE_WAIT." if count >= FIRST else None

    return Scene(
        port=port,
        proof=proof,
        thresholds=("close-wait-leak.age=2s",),
        looks=(
            Look(f"portside watch 'state close-wait and sport = :{port}'", "one more each second, all of one program"),
            Look(f"ss -tnp state close-wait 'sport = :{port}'", "the same; Recv-Q is 1: the FIN that was not read"),
            Look(f"netstat -tn | grep ':{port} .*CLOSE_WAIT'", "the same; the clients' ends are in FIN_WAIT2 for 60s"),
        ),
    )


CONDITION = Condition(
    code="close-wait-leak",
    what="the peer has closed the connection and the program has not; the sockets pile up in CLOSE_WAIT.",
    how="a server accepts and never closes; 20 clients connect and close, then one more each second.",
    make=make,
)
