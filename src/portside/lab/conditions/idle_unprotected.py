"""``idle-unprotected``: connections on which nothing moves, and nobody would notice that the peer has gone."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import accept_and_keep, dial, listening_socket, port_of
from portside.lab.table import rows

CONNECTIONS = 5


def _serve(role: Role) -> None:
    """The server: it accepts, and waits for what its clients say."""
    listener = listening_socket(8)
    role.ready(port=port_of(listener))
    accept_and_keep(listener)


def _say_nothing(role: Role, port: int) -> None:
    """The clients: they connect, and say nothing."""
    silent = [dial(port) for _ in range(CONNECTIONS)]
    role.ready(port=port_of(silent[0]))
    role.hold()


def make(bench: Bench) -> Scene:
    """The server and its clients."""
    port = bench.start("server", _serve).port
    bench.start("clients", _say_nothing, port)

    def proof() -> str | None:
        found = rows(f"state established and sport = :{port}")
        if len(found) < CONNECTIONS:
            return None
        return f"{len(found)} connections of port {port} are idle, and no keepalive timer runs."

    return Scene(
        port=port,
        proof=proof,
        thresholds=("idle-unprotected.idle=2s",),
        looks=(
            Look(f"portside watch --wide 'sport = :{port}'", "no timer runs"),
            Look(f"ss -tnoi 'sport = :{port}'", "no timer:(keepalive,…); lastsnd and lastrcv grow"),
            Look(f"netstat -tno | grep ':{port} .*off'", "off (0.00/0/0): no timer"),
        ),
    )


CONDITION = Condition(
    code="idle-unprotected",
    what="connections are idle for long without keepalive; nobody notices when the peer is gone.",
    how=f"{CONNECTIONS} clients connect and say nothing; neither side has set SO_KEEPALIVE.",
    make=make,
)
