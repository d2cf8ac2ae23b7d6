"""``time-wait-overflow``: there are more connections in TIME_WAIT than the kernel keeps.

TCPTimeWaitOverflow counts those that were ended at once because tcp_max_tw_buckets were there (``tcp_time_wait`` in
net/ipv4/tcp_minisocks.c).

Threshold: any, proposed here.
"""

from collections.abc import Iterator

from portside.diagnosis.rule import MachineRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import counted

_OVERFLOW = "TcpExt.TCPTimeWaitOverflow"


def look(view: View, limits: Thresholds) -> Iterator[Verdict]:
    """How many connections lost their TIME_WAIT."""
    lost = view.grown(_OVERFLOW)
    if lost < limits["lost"]:
        return
    kept, most = view.gauge("TCP.tw"), view.limits.max_time_wait
    evidence: dict[str, int | float | str] = {"ended_early": lost, "window_s": round(view.window_s, 1)}
    evidence |= {} if kept is None else {"in_TIME_WAIT": kept}
    evidence |= {} if most is None else {"max": most}
    yield Verdict(
        severity="warning",
        summary=f"{counted(lost, 'connection')} did not get a TIME_WAIT in {view.window_s:.0f}s, because "
        f"{'as many as are allowed' if most is None else most} are there already.",
        evidence=evidence,
        why="TIME_WAIT keeps late segments of an old connection out of a new one with the same ports. Without it a new "
        "connection may be reset, or get bytes that are not its own.",
        remedy="keep connections and use them again; raise net.ipv4.tcp_max_tw_buckets if there is memory (about 0.3 "
        "KiB each). Nothing else shortens TIME_WAIT safely.",
        affected=lost,
    )


RULE = MachineRule(
    code="time-wait-overflow",
    sentence="The kernel ends connections in TIME_WAIT early, because there are too many.",
    thresholds=(Threshold("lost", 1, "count", "connections without TIME_WAIT within the window"),),
    counters=(_OVERFLOW,),
    look=look,
)
