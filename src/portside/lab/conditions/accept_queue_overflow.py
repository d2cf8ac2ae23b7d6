"""``accept-queue-overflow``: a listener whose program does not accept, and more clients than its queue takes."""

from collections import deque

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import dial, listening_socket, port_of, start_dialling
from portside.lab.table import rows

BACKLOG = 4
AT_ONCE = 20  # clients that wait for an answer


def serve_nobody(role: Role, backlog: int) -> None:
    """The server: it listens, and never accepts."""
    listener = listening_socket(backlog)
    role.ready(port=port_of(listener))
    role.hold()


def _call(role: Role, port: int) -> None:
    """The clients: as many as the queue takes, and then four each second that wait for five seconds and give up."""
    queued = [dial(port) for _ in range(BACKLOG + 1)]  # the kernel takes one more than the backlog
    waiting = deque(start_dialling(port) for _ in range(AT_ONCE - 5))
    role.ready(queued=len(queued))
    while True:
        role.pause(0.25)
        waiting.append(start_dialling(port))
        if len(waiting) > AT_ONCE:
            waiting.popleft().close()


def make(bench: Bench) -> Scene:
    """The listener and its clients."""
    port = bench.start("server", serve_nobody, BACKLOG).port
    bench.start("clients", _call, port)

    def proof() -> str | None:
        full = [each for each in rows(f"state listening and sport = :{port}") if each.recv_q == BACKLOG + 1]
        dropped = bench.counts.grown("TcpExt.ListenOverflows")
        if not full or not dropped:
            return None
        return (
            f"the accept queue of port {port} holds {BACKLOG + 1}, its limit is {BACKLOG}; {dropped} SYNs were dropped."
        )

    return Scene(
        port=port,
        proof=proof,
        looks=(
            Look(f"portside watch -l 'sport = :{port}'", "Recv-Q, the queue, is above Send-Q, its limit"),
            Look(f"ss -tlnm 'sport = :{port}'", "the same; d in skmem counts what this listener has dropped"),
            Look(f"ss -tno state syn-sent 'dport = :{port}'", "clients whose SYN is sent again after 1s, then 3s"),
            Look("nstat -az TcpExtListenOverflows TcpExtListenDrops", "both grow, for the whole machine"),
            Look("netstat -s | grep -i listen", "the same two counts in words"),
        ),
    )


CONDITION = Condition(
    code="accept-queue-overflow",
    what="the program does not accept fast enough; its accept queue is full, and the kernel drops connections.",
    how=f"a server listens with a backlog of {BACKLOG} and never accepts; four clients a second try to connect.",
    make=make,
)
