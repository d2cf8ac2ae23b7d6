"""``time-wait-overflow``: more connections in TIME_WAIT than the kernel keeps."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.role import Role
from portside.lab.sockets import close_in_order, dial, listening_socket, port_of
from portside.lab.table import rows

MOST, EACH_SECOND = 10, 10


def _serve(role: Role) -> None:
    """The server: it closes when its client has."""
    listener = listening_socket(64)
    role.ready(port=port_of(listener))
    while True:
        connection, _ = listener.accept()
        connection.recv(1)
        close_in_order(connection)


def _call(role: Role, port: int) -> None:
    """The client: a new connection each time, which it closes first."""
    role.ready()
    while True:
        close_in_order(dial(port))
        role.pause(1 / EACH_SECOND)


def make(bench: Bench) -> Scene:
    """The server and its client, in a namespace that keeps few."""
    bench.isolation.set("ipv4/tcp_max_tw_buckets", str(MOST))
    port = bench.start("server", _serve).port
    bench.start("client", _call, port)

    def proof() -> str | None:
        lost = bench.counts.grown("TcpExt.TCPTimeWaitOverflow")
        kept = len(rows(f"state time-wait and dport = :{port}"))
        return f"{kept} connections are in TIME_WAIT, {MOST} may be; {lost} were ended at once." if lost >= 3 else None

    return Scene(
        proof=proof,
        looks=(
            Look(f"portside watch 'state time-wait and dport = :{port}'", f"about {MOST}, the limit"),
            Look(f"ss -tno state time-wait 'dport = :{port}'", "the same, with what is left of their 60s"),
            Look("nstat -az TcpExtTCPTimeWaitOverflow TcpExtTW", "the first grows"),
            Look("netstat -s | grep TCPTimeWaitOverflow", "the same"),
        ),
    )


CONDITION = Condition(
    code="time-wait-overflow",
    what="there are more connections in TIME_WAIT than the kernel keeps; the others are ended at once.",
    how=f"a client makes {EACH_SECOND} connections a second, where tcp_max_tw_buckets is {MOST}.",
    make=make,
    isolated=True,
)
