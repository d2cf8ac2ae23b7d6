"""``retransmits``: a good part of what is sent to a host is sent again.

bytes_retrans / bytes_sent is the retransmit ratio; it is no measure of loss, because some of it was not needed.

Thresholds: 1 % is *info*, 3 % a warning (products alarm at 3 to 5 %), with at least 20 segments sent again. Segments
that had arrived before (DSACK) do not count for the warning, nor do those to a peer whose window is closed half of the
time: probes of a window, and what does not fit into its buffer, are sent again on a perfect path.
"""

import numpy as np

from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import amount, counted, percent


def select(view: View, _limits: Thresholds) -> Mask:
    """Connections that sent anything within the window."""
    mask: Mask = view.growth("bytes_sent") > 0
    return mask if (view.growth("bytes_retrans") > 0).any() else np.zeros(len(view), bool)


def describe(group: SubjectGroup, limits: Thresholds) -> Verdict | None:
    """Which part was sent again, over all connections to the host."""
    sent, again, segments = group.total("bytes_sent"), group.total("bytes_retrans"), group.total("retrans_total")
    ratio = again / sent
    if ratio < limits["share"] or segments < limits["segments"]:
        return None
    needless = min(group.total("dsack_dups") / segments, 1.0)
    limited = group.total("rwnd_limited_us") >= group.total("busy_us") / 2 > 0
    sent_again = group.growth("bytes_retrans") > 0
    affected = int(sent_again.sum())
    lost = ratio * (1 - needless) >= limits["warning"] and not limited
    return Verdict(
        severity="warning" if lost else "info",
        summary=f"{percent(ratio)} of what was sent to {group.subject.remote} was sent again, on "
        f"{counted(affected, 'connection')} ({amount(again)} of {amount(sent)}).",
        evidence={
            "share": round(ratio, 4),
            "retransmitted_bytes": int(again),
            "sent_bytes": int(sent),
            "retransmitted_segments": int(segments),
            "arrived_twice": int(group.total("dsack_dups")),
            "connections": affected,
            "window_s": round(group.view.window_s, 1),
        },
        why="Segments are lost or late on the way to this host: congestion, a bad link or wireless, a queue that is "
        "too short, a policer. Each loss makes the sender slower.",
        remedy="compare with other hosts to see whether it is the path or this end; look at the drops of the "
        "interfaces (`ip -s link`, `ethtool -S`) and of the queue (`tc -s qdisc`).",
        affected=affected,
        rows=group.rows[sent_again],
    )


RULE = SocketRule(
    code="retransmits",
    sentence="Much of what is sent to a host is sent again.",
    thresholds=(
        Threshold("share", 0.01, "share", "of the bytes that is sent again: info"),
        Threshold("warning", 0.03, "share", "of them, without those that had arrived before: a warning"),
        Threshold("segments", 20, "count", "segments sent again within the window, below which nothing is said"),
    ),
    by=By.HOST,
    columns=("bytes_retrans",),
    select=select,
    describe=describe,
)
