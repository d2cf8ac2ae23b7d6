"""``bufferbloat``: a slow link whose queue is long: it is full before anything is lost."""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.conditions.send_buffer_limited import read_all
from portside.lab.role import Role
from portside.lab.slow_link import FAR, LISTEN_PORT, Policy, start_link
from portside.lab.sockets import dial, set_congestion_control
from portside.lab.table import largest, rows

RATE_BYTES_S = 250_000
WAY_S, MOST_QUEUE_S = 0.002, 1.0


def _send(role: Role) -> None:
    """The client: it sends as fast as it may, with a congestion control that reacts to nothing but loss."""
    connection = dial(LISTEN_PORT, address=FAR)
    set_congestion_control(connection, "reno")
    role.ready()
    while True:
        connection.sendall(bytes(1 << 16))


def queueing() -> Policy:
    """A link with a rate, and a queue that holds what takes a second to send."""
    free_at = 0.0

    def policy(now: float, _number: int, forward: bool, size: int) -> float | None:  # noqa: FBT001 - as Policy has it
        nonlocal free_at
        if not forward:
            return now + WAY_S
        if free_at - now > MOST_QUEUE_S:
            return None
        free_at = max(free_at, now) + size / RATE_BYTES_S
        return free_at + WAY_S

    return policy


def make(bench: Bench) -> Scene:
    """A client that sends over the link."""
    start_link(bench, queueing())
    bench.start("server", read_all)
    bench.start("client", _send)
    client = f"dst {FAR} and dport = :{LISTEN_PORT}"

    def proof() -> str | None:
        found = rows(f"state established and {client}")
        now, best = largest(found, "rtt_us") / 1e3, largest(found, "min_rtt_us") / 1e3
        return f"the round trip takes {now:.0f} ms, and {best:.0f} ms at best." if now > best + 300 else None

    return Scene(
        proof=proof,
        looks=(
            Look(f"portside watch --wide '{client}'", "the round-trip time grows to a second"),
            Look(f"ss -tni 'dst {FAR} and dport = :{LISTEN_PORT}'", "rtt beside minrtt; cwnd is what fills the queue"),
        ),
    )


CONDITION = Condition(
    code="bufferbloat",
    what="round trips take many times longer under load than they could: a queue on the way is full.",
    how=f"a client sends over a link of {RATE_BYTES_S // 1000} kB/s whose queue holds a second of it.",
    make=make,
    isolated=True,
)
