"""``listen-drops``: listeners drop connections for another reason than a full queue.

ListenDrops counts everything that a listener drops, of which ListenOverflows and TCPReqQFullDrop are parts (see
Documentation/networking/snmp_counter.rst); the rest is mostly memory that could not be had.

Threshold: any at all, proposed here.
"""

from collections.abc import Iterator

from portside.diagnosis.rule import MachineRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import counted

_ALL, _OVERFLOWS, _FULL = "TcpExt.ListenDrops", "TcpExt.ListenOverflows", "TcpExt.TCPReqQFullDrop"


def look(view: View, limits: Thresholds) -> Iterator[Verdict]:
    """The connections that listeners dropped beyond the overflows of their queues."""
    dropped = view.grown(_ALL)
    other = dropped - view.grown(_OVERFLOWS, _FULL)
    if other < limits["drops"]:
        return
    yield Verdict(
        severity="warning",
        summary=f"Listeners dropped {counted(other, 'connection attempt')} in {view.window_s:.0f}s for another reason "
        "than a full queue.",
        evidence={"dropped": dropped, "by_other_reasons": other, "window_s": round(view.window_s, 1)},
        why="Neither the accept queue nor the SYN queue was full; what is left is memory that the kernel could not "
        "get for the new connection, a security module, or no route back to the client.",
        remedy="look at `dmesg`, at free memory and net.ipv4.tcp_mem, and at `nstat -az TcpExtListenDrops`.",
        affected=other,
        unseen=("which listener dropped: the kernel counts for the whole machine",),
    )


RULE = MachineRule(
    code="listen-drops",
    sentence="Listeners drop connections although their queues have room.",
    thresholds=(Threshold("drops", 1, "count", "connections dropped within the window"),),
    counters=(_ALL, _OVERFLOWS),
    look=look,
)
