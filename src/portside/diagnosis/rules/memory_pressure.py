"""``memory-pressure``: TCP uses nearly all the memory that it may.

The three numbers of tcp_mem (ip-sysctl) are in pages: above the second, the kernel is under pressure and keeps buffers
small; above the third it gives no memory any more. The use is ``mem`` in /proc/net/sockstat.

Thresholds: pressure is a warning, 90 % of the third number critical (netdata's ``tcp_memory``, health.d/tcp_mem.conf).
"""

from collections.abc import Iterator

from portside.diagnosis.rule import MachineRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import amount, percent

_USED, _PRESSURES = "TCP.mem", "TcpExt.TCPMemoryPressures"


def look(view: View, limits: Thresholds) -> Iterator[Verdict]:
    """How much of the memory is used."""
    _, pressure, most = view.limits.memory_pages or (0, 0, 0)  # without them nobody looks
    used, times = view.gauge(_USED) or 0, view.grown(_PRESSURES)
    if used < pressure and not times:
        return
    page = view.limits.page_bytes
    yield Verdict(
        severity="critical" if used >= limits["critical"] * most else "warning",
        summary=f"TCP uses {amount(used * page)} of {amount(most * page)} ({percent(used / max(most, 1))}); from "
        f"{amount(pressure * page)} on the kernel is under pressure.",
        evidence={"used_bytes": used * page, "pressure_bytes": pressure * page, "most_bytes": most * page,
                  "share": round(used / max(most, 1), 3), "times_under_pressure": times},
        why="Buffers of all connections together have grown to the limit: many slow readers or much unread data. The "
        "kernel makes windows smaller, and in the end drops data and closes connections.",
        remedy="find who holds it: `portside watch --all --sort -recv-q` and `--sort -send-q`; raise "
        "net.ipv4.tcp_mem if there is memory; bound what programs buffer for each connection.",
    )  # fmt: skip


RULE = MachineRule(
    code="memory-pressure",
    sentence="The buffers of TCP take nearly all the memory that they may.",
    thresholds=(Threshold("critical", 0.9, "share", "of the most that net.ipv4.tcp_mem allows: critical"),),
    counters=(_USED,),
    look=look,
    blind=lambda view: None if view.limits.memory_pages is not None else "net.ipv4.tcp_mem could not be read",
)
