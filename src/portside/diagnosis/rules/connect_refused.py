"""``connect-refused``: connection attempts are refused with a reset.

The kernel announces each socket that it destroys with its last tcp_info: one that has an end to connect to, and never
got a window of its peer, was refused (or its attempt ran into a time-out, which takes minutes). Of a connect(2) that
waits the kernel forgets the port at once, so that only the host is known. AttemptFails counts all of them;
an attempt that failed before anything was sent, as for want of a local port (EADDRNOTAVAIL), is not counted there, and
is none.

Thresholds: 10 within the window that go on for 5 s without a break are a warning, else it is *info*: clients of a
server that restarts are refused for a moment. Attempts on more than 20 ports of a host are those of a scan, and *info*.
Proposed here.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from portside.diagnosis.findings import Subject
from portside.diagnosis.grouping import MOST_GROUPS, address_text
from portside.diagnosis.observation import Columns
from portside.diagnosis.rule import MachineRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import counted, rate

_FAILS = "Tcp.AttemptFails"
_NO_OWNER = "the program: the kernel announces a socket without its owner when it is closed"

_End = tuple[bytes, int]
"""An address and a port; 0 where the port is not known, or stands for many."""


class _Refused(NamedTuple):
    """Refused attempts to one end: how many, from when to when, and how many ports of a host there were.

    ``since`` and ``last`` are numbers of observations: in each from the one to the other some were refused.
    """

    attempts: int
    since: int
    last: int
    ports: int = 1


def look(view: View, limits: Thresholds) -> Iterator[Verdict]:
    """The ends that refuse: each is a subject of its own, and a host that refuses on many ports is one."""
    failed = view.counter(_FAILS)
    if failed == 0:  # what did not succeed failed here, as for want of a port: nobody was asked
        return
    looks = view.looks_ns()
    lost = (f"some attempts: {view.lost} announcements of closed sockets were lost",) if view.lost else ()
    ends = _by_host(_refused(view, looks), limits["ports"])
    for (address, port), refused in sorted(ends.items(), key=lambda each: -each[1].attempts)[:MOST_GROUPS]:
        lasting = (looks[refused.last] - looks[refused.since]) / 1e9
        attempts = refused.attempts if failed is None else min(refused.attempts, failed)
        many = attempts >= limits["refused"] and lasting >= limits["lasting"] and refused.ports == 1
        remote = f"{address_text(address)}:{port}" if port else address_text(address)
        on_ports = f" on {refused.ports} ports" if refused.ports > 1 else ""
        yield Verdict(
            severity="warning" if many else "info",
            summary=f"{remote} refused {counted(attempts, 'connection attempt')}{on_ports} in {view.window_s:.0f}s.",
            evidence={
                "refused": attempts,
                "without_a_break_for_s": round(lasting, 1),
                "each_second": rate(attempts, view.window_s),
                "failed_attempts_on_machine": failed or 0,
            }
            | ({"ports": refused.ports} if refused.ports > 1 else {}),
            why="A client tries one port after the other, as a scan does; nothing listens on these."
            if refused.ports > 1
            else "Nobody listens on that port, or a firewall answers with a reset: the service is down or restarting, "
            "or its address is wrong.",
            remedy="see whether the service runs and where it listens (`portside watch -l` over there); let clients "
            "wait longer before each new attempt.",
            affected=attempts,
            subject=Subject("peer", remote=remote),
            unseen=(_NO_OWNER, *lost),
        )


def _refused(view: View, looks: list[int]) -> dict[_End, _Refused]:
    """The refused attempts to each end."""
    found: dict[_End, _Refused] = {}
    for at_ns, columns in view.closed or ():
        now = bisect_left(looks, at_ns)  # a look may be kept no more
        for end, count in _refused_ends(columns).items():
            before = found.get(end, _Refused(0, now, now))
            goes_on = now - before.last <= 1
            found[end] = _Refused(before.attempts + count, before.since if goes_on else now, now)
    return found


def _by_host(found: Mapping[_End, _Refused], most: float) -> dict[_End, _Refused]:
    """The ends, with those of a host of which more than ``most`` ports refused as one, whose port is 0."""
    ports = Counter(address for address, port in found if port)
    ends: dict[_End, _Refused] = {}
    for (address, port), each in found.items():
        if ports[address] <= most:
            ends[address, port] = each
            continue
        before = ends.get((address, 0), each._replace(attempts=0))
        ends[address, 0] = _Refused(
            before.attempts + each.attempts,
            min(before.since, each.since),
            max(before.last, each.last),
            ports[address],
        )
    return ends


def _refused_ends(columns: Columns) -> Counter[_End]:
    """How many attempts each remote end refused."""
    addresses, ports = columns.column("remote")[0], columns.column("remote_port")[0]
    return Counter((address.tobytes(), port) for address, port in zip(addresses, ports.tolist(), strict=True))


RULE = MachineRule(
    code="connect-refused",
    sentence="Connection attempts are refused.",
    thresholds=(
        Threshold("refused", 10, "count", "refusals of one end within the window"),
        Threshold("lasting", 5, "s", "without an observation in which it refused nobody: a warning, else info"),
        Threshold("ports", 20, "count", "of a host that refused: more are a scan, which is one finding and info"),
    ),
    look=look,
    filtered=True,
    blind=lambda view: None if view.closed is not None else "closed sockets are not announced here",
)
