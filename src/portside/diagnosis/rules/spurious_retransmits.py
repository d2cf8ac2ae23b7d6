"""``spurious-retransmits``: the peer got much of what was sent again twice.

A peer reports what it got twice with a DSACK (RFC 2883), counted as dsack_dups.

Thresholds: 30 % of at least 10 retransmissions, proposed here. Always *info*: the data arrives, only twice.
"""

import numpy as np

from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import percent


def select(view: View, _limits: Thresholds) -> Mask:
    """Connections that sent segments again."""
    mask: Mask = view.growth("retrans_total") > 0
    return mask if (view.growth("dsack_dups") > 0).any() else np.zeros(len(view), bool)


def describe(group: SubjectGroup, limits: Thresholds) -> Verdict | None:
    """Which part of the retransmissions was not needed."""
    again, twice = group.total("retrans_total"), group.total("dsack_dups")
    if again < limits["segments"] or twice / again < limits["share"]:
        return None
    return Verdict(
        severity="info",
        summary=f"{percent(min(twice / again, 1.0))} of the {again:.0f} segments sent again to {group.subject.remote} "
        "had arrived before.",
        evidence={"retransmitted_segments": int(again), "arrived_twice": int(twice), "share": round(twice / again, 3),
                  "connections": len(group), "window_s": round(group.view.window_s, 1)},
        why="Acknowledgements came later than expected, or segments out of order: the round-trip time jumps, or the "
        "path reorders. The sender slows down for losses that were none.",
        remedy="look for jumps of the round-trip time (`portside watch --wide`), wireless links, and balancing of "
        "single packets; keep SACK, DSACK and F-RTO on (net.ipv4.tcp_sack, tcp_dsack, tcp_frto).",
    )  # fmt: skip


RULE = SocketRule(
    code="spurious-retransmits",
    sentence="Segments are sent again that had arrived before.",
    thresholds=(
        Threshold("share", 0.3, "share", "of the segments sent again that arrived twice"),
        Threshold("segments", 10, "count", "segments sent again within the window, below which nothing is said"),
    ),
    by=By.HOST,
    columns=("dsack_dups",),
    select=select,
    describe=describe,
)
