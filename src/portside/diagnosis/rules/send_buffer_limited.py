"""``send-buffer-limited``: a transfer waits for its own send buffer, not for the network or the peer.

The kernel measures how long a sender was busy, and how much of that it had no more data than its send buffer holds
(sndbuf_limited, ``tcp_chrono_start`` in net/ipv4/tcp_output.c).

Threshold: 20 % of the busy time is proposed here. It is always *info*: a transfer at full speed may be so.
"""

import numpy as np

from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View, established, share
from portside.diagnosis.words import amount, counted, percent


def select(view: View, limits: Thresholds) -> Mask:
    """Connections that were busy, and limited by their buffer for a good part of it."""
    busy = view.growth("busy_us")
    if not (busy >= limits["busy"] * 1e6).any():
        return np.zeros(len(view), bool)
    limited = share(view.growth("sndbuf_limited_us"), busy) >= limits["share"]
    mask: Mask = established(view) & (busy >= limits["busy"] * 1e6) & limited
    return mask


def describe(group: SubjectGroup, _limits: Thresholds) -> Verdict:
    """For which part of the time the buffer was too small."""
    busy, limited = group.total("busy_us"), group.total("sndbuf_limited_us")
    sndbuf = int(group.largest("sndbuf"))
    return Verdict(
        severity="info",
        summary=f"{counted(len(group), 'transfer')} waited for the send buffer {percent(limited / busy)} of the time.",
        evidence={
            "connections": len(group),
            "busy_s": round(busy / 1e6, 2),
            "sndbuf_limited_s": round(limited / 1e6, 2),
            "share": round(limited / busy, 3),
            "largest_buffer_bytes": sndbuf,
        },
        why="All that the buffer holds is on its way, and the window would let more through: with a larger buffer the "
        f"transfer could be faster. The largest buffer here is {amount(sndbuf)}.",
        remedy="do not set SO_SNDBUF, so that the kernel enlarges it; raise the last number of net.ipv4.tcp_wmem; "
        "write larger blocks.",
    )


RULE = SocketRule(
    code="send-buffer-limited",
    sentence="A transfer waits for its own send buffer.",
    thresholds=(
        Threshold("share", 0.2, "share", "of the busy time for which the buffer was too small"),
        Threshold("busy", 0.5, "s", "for which the connection must have been sending within the window"),
    ),
    by=By.PROGRAM,
    columns=("sndbuf_limited_us",),
    select=select,
    describe=describe,
)
