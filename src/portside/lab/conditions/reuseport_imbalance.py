"""``reuseport-imbalance``: four workers on one port, one of which has stopped accepting."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import accept_and_keep, dial, listening_socket, port_of
from portside.lab.table import rows

WORKERS, CLIENTS, LEAST_QUEUED = 4, 80, 8


def _work(role: Role, port: int, accepts: bool) -> None:  # noqa: FBT001 - one of the workers is told not to
    """A worker: it has a listener of its own on the port of all."""
    listener = listening_socket(CLIENTS, port=port, reuse_port=True)
    role.ready(port=port_of(listener))
    if accepts:
        accept_and_keep(listener)
    role.hold()


def _call(role: Role, port: int) -> None:
    """The clients: the kernel shares them out among the listeners."""
    connected = [dial(port) for _ in range(CLIENTS)]
    role.ready(connected=len(connected))
    role.hold()


def make(bench: Bench) -> Scene:
    """The workers and their clients."""
    port = bench.start("stopped", _work, 0, False).port
    for number in range(1, WORKERS):
        bench.start(f"worker{number}", _work, port, True)
    bench.start("clients", _call, port)

    def proof() -> str | None:
        queues = sorted(int(each.recv_q or 0) for each in rows(f"state listening and sport = :{port}"))
        if len(queues) < WORKERS or queues[-1] < LEAST_QUEUED or any(queues[:-1]):
            return None
        return f"of {len(queues)} listeners on port {port} one has {queues[-1]} connections waiting, the others none."

    return Scene(
        port=port,
        proof=proof,
        looks=(
            Look(f"portside watch -l 'sport = :{port}'", "four listeners, and Recv-Q of one of them"),
            Look(f"ss -tlnp 'sport = :{port}'", "the same, with their programs: lab-stopped is the one"),
            Look(f"netstat -tlnp | grep ':{port} '", "the listeners"),
        ),
    )


CONDITION = Condition(
    code="reuseport-imbalance",
    what="one of several listeners on a port gets behind; the kernel distributes clients by a hash, busy or not.",
    how=f"{WORKERS} workers share a port with SO_REUSEPORT, one has stopped; {CLIENTS} clients connect.",
    make=make,
)
