"""``reset-burst``: this machine sends many more resets than it did before.

Thresholds: more than 10 times the mean of the minute before, which counts as at least 5 a second (netdata's
``10s_ipv4_tcp_resets_sent``, health.d/tcp_resets.conf), in at least 3 observations. Before a minute has been watched
there is no mean, and it is *info*.
"""

from collections.abc import Iterator

from portside.diagnosis.rule import MachineRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View

_RESETS = "Tcp.OutRsts"


def look(view: View, limits: Thresholds) -> Iterator[Verdict]:
    """How many resets a second are sent, and how many usually."""
    sent, mean = view.grown(_RESETS), view.usual_rate(_RESETS)
    now = sent / view.window_s if view.window_s else 0.0
    usual = max(limits["usual"], mean or 0.0)
    if now <= limits["times"] * usual:
        return
    lasting = view.rounds(_RESETS) >= limits["observations"]
    yield Verdict(
        severity="warning" if mean is not None and lasting else "info",
        summary=f"{now:.0f} resets a second are sent"
        + (f", where {mean:.1f} were usual in the minute before." if mean is not None else "."),
        evidence={"resets_each_second": round(now, 1), "sent": sent, "window_s": round(view.window_s, 1)}
        | ({} if mean is None else {"usual_each_second": round(mean, 1)}),
        why="Segments come for connections or ports that are not there: a service has crashed while its clients go on, "
        "somebody scans ports, or a program resets its connections.",
        remedy="see which ports they are for (`tcpdump 'tcp[tcpflags] & tcp-rst != 0'`), and whether a service has "
        "ended.",
        affected=sent,
        unseen=() if mean is not None else ("how many are usual: watched for less than a minute",),
    )


RULE = MachineRule(
    code="reset-burst",
    sentence="Many more resets are sent than usual.",
    thresholds=(
        Threshold("times", 10, "count", "times as many as usual"),
        Threshold("usual", 5, "count", "resets a second that always count as usual"),
        Threshold("observations", 3, "count", "observations of the window that saw some: a warning"),
    ),
    counters=(_RESETS,),
    look=look,
)
