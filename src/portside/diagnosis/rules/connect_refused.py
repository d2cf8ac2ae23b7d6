"""``connect-refused``: connection attempts are refused with a reset.

The kernel announces each socket that it destroys with its last tcp_info: one that has an end to connect to, and never
got a window of its peer, was refused (or its attempt ran into a time-out, which takes minutes). Of a connect(2) that
waits the kernel forgets the port at once, so that only the host is known. AttemptFails counts all of them.

Thresholds: 10 within the window that go on for 5 s without a break are a warning, else it is *info*: clients of a
server that restarts are refused for a moment. Proposed here.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from portside.diagnosis.findings import Subject
from portside.diagnosis.grouping import MOST_GROUPS, address_text
from portside.diagnosis.observation import Columns
from portside.diagnosis.rule import MachineRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import counted, rate

_MOST_STEPS = 1.5  # from one observation to the next in which an end refused


class _Refused(NamedTuple):
    """Refused attempts to one end: how many, and since when they come in every observation."""

    attempts: int
    since_ns: int
    last_ns: int


def look(view: View, limits: Thresholds) -> Iterator[Verdict]:
    """The ends that refuse: each is a subject of its own."""
    found: dict[tuple[bytes, int], _Refused] = {}
    for at_ns, columns in view.closed or ():
        for end, count in _refused_ends(columns).items():
            before = found.get(end, _Refused(0, at_ns, at_ns))
            goes_on = at_ns - before.last_ns <= _MOST_STEPS * view.step_s * 1e9
            found[end] = _Refused(before.attempts + count, before.since_ns if goes_on else at_ns, at_ns)
    for (address, port), refused in sorted(found.items(), key=lambda each: -each[1].attempts)[:MOST_GROUPS]:
        lasting = (refused.last_ns - refused.since_ns) / 1e9
        remote = f"{address_text(address)}:{port}" if port else address_text(address)
        yield Verdict(
            severity="warning" if refused.attempts >= limits["refused"] and lasting >= limits["lasting"] else "info",
            summary=f"{remote} refused {counted(refused.attempts, 'connection attempt')} in {view.window_s:.0f}s.",
            evidence={
                "refused": refused.attempts,
                "without_a_break_for_s": round(lasting, 1),
                "each_second": rate(refused.attempts, view.window_s),
                "failed_attempts_of_machine": view.grown("Tcp.AttemptFails"),
            },
            why="Nobody listens on that port, or a firewall answers with a reset: the service is down or restarting, "
            "or its address is wrong.",
            remedy="see whether the service runs and where it listens (`portside watch -l` over there); let clients "
            "wait longer from try to try.",
            affected=refused.attempts,
            subject=Subject("peer", remote=remote),
            unseen=("the program: the kernel announces a socket without its owner when it is closed",),
        )


def _refused_ends(columns: Columns) -> Counter[tuple[bytes, int]]:
    """How many attempts each remote end refused."""
    addresses, ports = columns.column("remote")[0], columns.column("remote_port")[0]
    return Counter((address.tobytes(), port) for address, port in zip(addresses, ports.tolist(), strict=True))


RULE = MachineRule(
    code="connect-refused",
    sentence="Connection attempts are refused.",
    thresholds=(
        Threshold("refused", 10, "count", "refusals of one end within the window"),
        Threshold("lasting", 5, "s", "without an observation in which it refused nobody: a warning, else info"),
    ),
    look=look,
    filtered=True,
    blind=lambda view: None if view.closed is not None else "closed sockets are not announced here",
)
