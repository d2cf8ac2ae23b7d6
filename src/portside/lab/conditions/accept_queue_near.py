"""``accept-queue-near``: an accept queue with room for one more."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.conditions.accept_queue_overflow import serve_nobody
from portside.lab.role import Role
from portside.lab.sockets import dial, port_of
from portside.lab.table import rows

BACKLOG, QUEUED = 10, 9


def _call(role: Role, port: int) -> None:
    """The clients: they connect, and wait to be served."""
    queued = [dial(port) for _ in range(QUEUED)]
    role.ready(port=port_of(queued[0]))
    role.hold()


def make(bench: Bench) -> Scene:
    """The listener and its clients."""
    port = bench.start("server", serve_nobody, BACKLOG).port
    bench.start("clients", _call, port)

    def proof() -> str | None:
        near = any(each.recv_q == QUEUED for each in rows(f"state listening and sport = :{port}"))
        return f"{QUEUED} connections of port {port} wait for accept(), and {BACKLOG} may." if near else None

    return Scene(
        port=port,
        proof=proof,
        looks=(
            Look(f"portside watch -l 'sport = :{port}'", f"Recv-Q is {QUEUED}, the queue; Send-Q {BACKLOG}, its limit"),
            Look(f"ss -tln 'sport = :{port}'", "the same; netstat shows no limit"),
            Look(f"ss -tnp 'sport = :{port}'", "the connections in the queue: ESTAB already, and of no program"),
        ),
    )


CONDITION = Condition(
    code="accept-queue-near",
    what="the accept queue of a listener is nearly full and stays so; a few more clients and it overflows.",
    how=f"a server listens with a backlog of {BACKLOG} and never accepts; {QUEUED} clients have connected.",
    make=make,
)
