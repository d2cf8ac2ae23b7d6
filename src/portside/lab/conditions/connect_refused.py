"""``connect-refused``: clients of a service that does not run."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import LOOPBACK, dial, port_of, tcp_socket

EACH_SECOND, FIRST = 5, 5


def _keep_port(role: Role) -> None:
    """The service that does not run: a port that is taken, so that nobody else gets it, and not listened on."""
    bound = tcp_socket()
    bound.bind((LOOPBACK, 0))
    role.ready(port=port_of(bound))
    role.hold()


def _call(role: Role, port: int) -> None:
    """The clients: they try again and again."""
    refused = 0
    while True:
        try:
            dial(port).close()
        except ConnectionRefusedError:
            refused += 1
            if refused == FIRST:
                role.ready(refused=refused)
        role.pause(1 / EACH_SECOND)


def make(bench: Bench) -> Scene:
    """A port on which nobody listens, and its clients."""
    port = bench.start("service", _keep_port).port
    refused = bench.start("clients", _call, port).facts["refused"]

    def proof() -> str | None:
        failed = bench.counts.grown("Tcp.AttemptFails")
        return f"{refused} connection attempts to port {port} were refused." if failed >= refused else None

    return Scene(
        proof=proof,
        looks=(
            Look(
                "timeout 2 portside watch --events 'state syn-sent'",
                f"{EACH_SECOND} attempts a second open and close; the kernel has forgotten to which port",
            ),
            Look("nstat -az TcpAttemptFails TcpOutRsts", "both grow"),
            Look("netstat -s | grep -i 'failed connection'", "the first in words"),
        ),
    )


CONDITION = Condition(
    code="connect-refused",
    what="connection attempts are refused with a reset: nobody listens on that port.",
    how=f"clients try to connect to a closed port, {EACH_SECOND} times a second.",
    make=make,
)
