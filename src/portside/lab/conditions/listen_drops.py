"""``listen-drops``: SYNs that a listener drops although its queues have room.

Without SYN cookies the kernel keeps the last quarter of tcp_max_syn_backlog for peers that have connected before
(``tcp_conn_request`` in net/ipv4/tcp_input.c): SYNs of others are dropped, counted in ListenDrops and nowhere else.
"""

from portside.lab.bench import Bench
from portside.lab.condition import Condition, Look, Scene
from portside.lab.conditions.accept_queue_overflow import serve_nobody
from portside.lab.conditions.syn_queue_overflow import call_deaf
from portside.lab.table import rows

BACKLOG, MOST_SYN = 100, 16
AT_ONCE = 30


def make(bench: Bench) -> Scene:
    """The listener and its clients, in a namespace without SYN cookies."""
    bench.isolation.set("ipv4/tcp_syncookies", "0")
    bench.isolation.set("ipv4/tcp_max_syn_backlog", str(MOST_SYN))
    port = bench.start("server", serve_nobody, BACKLOG).port
    bench.start("clients", call_deaf, port, AT_ONCE)

    def proof() -> str | None:
        names = ("TcpExt.ListenDrops", "TcpExt.ListenOverflows", "TcpExt.TCPReqQFullDrop")
        drops, overflows, full = (bench.counts.grown(name) for name in names)
        if drops - overflows - full < 1:
            return None
        unfinished = len(rows(f"state syn-recv and sport = :{port}"))
        return f"{drops} SYNs dropped, none for a full queue: {unfinished} handshakes are unfinished, {BACKLOG} may be."

    return Scene(
        proof=proof,
        looks=(
            Look("nstat -az TcpExtListenDrops TcpExtListenOverflows TcpExtTCPReqQFullDrop", "the first alone grows"),
            Look(f"portside watch -l 'sport = :{port}'", "Recv-Q is 0: the accept queue is empty"),
            Look(f"ss -tlnm 'sport = :{port}'", "d in skmem: this listener drops"),
            Look("netstat -s | grep -i 'SYNs to LISTEN'", "the same count in words"),
        ),
    )


CONDITION = Condition(
    code="listen-drops",
    what="a listener drops connections although its queues have room: no memory, no route, or places kept for others.",
    how=f"SYN cookies are off and tcp_max_syn_backlog is {MOST_SYN}; its last quarter is kept for known peers.",
    make=make,
    isolated=True,
)
