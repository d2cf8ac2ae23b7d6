"""``reordering``: a path on which some segments are overtaken by later ones."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.conditions.send_buffer_limited import read_all
from portside.lab.role import Role
from portside.lab.slow_link import FAR, LISTEN_PORT, Policy, start_link
from portside.lab.sockets import dial, set_congestion_control
from portside.lab.table import rows, total

WAY_S, DETOUR_S, EVERY = 0.002, 0.012, 10


def send_steadily(role: Role) -> None:
    """The client: 64 KiB every 20 ms."""
    connection = dial(LISTEN_PORT, address=FAR)
    set_congestion_control(connection, "reno")
    role.ready()
    while True:
        connection.sendall(bytes(1 << 16))
        role.pause(0.02)


def detours() -> Policy:
    """Two ways, a short one for most segments and a long one for every tenth."""
    return lambda now, number, forward, _size: now + (DETOUR_S if forward and number % EVERY == 0 else WAY_S)


def make(bench: Bench) -> Scene:
    """A client that sends over both ways."""
    start_link(bench, detours())
    bench.start("server", read_all)
    bench.start("client", send_steadily)
    client = f"dst {FAR} and dport = :{LISTEN_PORT}"

    def proof() -> str | None:
        seen = total(rows(f"state established and {client}"), "reord_seen")
        late = total(rows(f"state established and sport = :{LISTEN_PORT}"), "rcv_ooopack")
        return f"the sender noticed {seen} reorderings; {late} segments arrived out of order." if seen >= 5 else None

    return Scene(
        proof=proof,
        looks=(
            Look(f"portside watch --json '{client}'", "reord_seen grows"),
            Look(
                f"ss -tni 'sport = :{LISTEN_PORT} or dport = :{LISTEN_PORT}'", "rcv_ooopack and reord_seen, reordering"
            ),
            Look("nstat -az TcpExtTCPOFOQueue TcpExtTCPSACKReorder TcpExtTCPTSReorder", "segments out of order"),
        ),
    )


CONDITION = Condition(
    code="reordering",
    what="segments of one connection overtake each other on the way and arrive out of order.",
    how="a client sends over a link of 2 ms on which one segment in ten takes 12 ms.",
    make=make,
    isolated=True,
)
