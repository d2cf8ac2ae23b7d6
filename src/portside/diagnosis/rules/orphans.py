"""``orphans``: many connections that no program holds any more still have data to send.

With more than tcp_max_orphans the kernel resets them and prints ``too many orphaned sockets`` (``tcp_check_oom``); what
each takes may count up to four times, so that it happens from a quarter of the limit on.

Thresholds: 25 % is a warning, 50 % critical (netdata's ``tcp_orphans``, health.d/tcp_orphans.conf).
"""

from collections.abc import Iterator

from portside.diagnosis.rule import MachineRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import percent

_ORPHANS, _ABORTS = "TCP.orphan", "TcpExt.TCPAbortOnMemory"


def look(view: View, limits: Thresholds) -> Iterator[Verdict]:
    """How many orphans there are, and how many were reset."""
    orphans, aborted, most = view.gauge(_ORPHANS) or 0, view.grown(_ABORTS), view.limits.max_orphans
    taken = orphans / most if most else 0.0
    if taken < limits["share"] and not aborted:
        return
    yield Verdict(
        severity="critical" if taken >= limits["critical"] or aborted else "warning",
        summary=f"{orphans} connections without a program still send ({percent(taken)} of the {most} that may); "
        f"{aborted} were reset for want of memory in {view.window_s:.0f}s.",
        evidence={"orphans": orphans, "most": most or 0, "share": round(taken, 3), "reset_for_memory": aborted},
        why="Programs closed connections whose peers do not take the rest of the data or do not acknowledge the FIN. "
        "Each keeps its send buffer until the kernel gives up.",
        remedy="close with a short SO_LINGER where the rest does not matter; lower net.ipv4.tcp_orphan_retries; raise "
        "net.ipv4.tcp_max_orphans if there is memory.",
        affected=max(orphans, 1),
    )


RULE = MachineRule(
    code="orphans",
    sentence="Many closed connections still have data to send, and no program.",
    thresholds=(
        Threshold("share", 0.25, "share", "of net.ipv4.tcp_max_orphans: a warning"),
        Threshold("critical", 0.5, "share", "of it that is critical"),
    ),
    counters=(_ORPHANS,),
    look=look,
    blind=lambda view: None if view.limits.max_orphans is not None else "net.ipv4.tcp_max_orphans could not be read",
)
