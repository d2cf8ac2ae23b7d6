"""``accept-queue-near``: an accept queue is nearly full and stays so.

Thresholds: 80 % of the limit, for at least a second, are proposed here; a queue that is full for a moment and empty
again is what it is for. One that overflows now and then is ``accept-queue-overflow`` alone.
"""

from portside.diagnosis import tcp_states
from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.rules import accept_queue_overflow
from portside.diagnosis.view import View
from portside.diagnosis.words import duration, percent


def select(view: View, limits: Thresholds) -> Mask:
    """Listeners whose queue is near its limit, and has been for a while."""
    queued, limit = view.numbers("recv_q"), view.numbers("send_q")
    near = view.is_in(tcp_states.LISTEN) & (queued >= 1) & (queued >= limits["share"] * limit) & (queued <= limit)
    mask: Mask = near & (view.held_s("accept-queue-near", near) >= limits["lasting"])
    return mask & ~accept_queue_overflow.found(view) if mask.any() else mask


def describe(group: SubjectGroup, _limits: Thresholds) -> Verdict:
    """How full the queue is."""
    queued, limit = int(group.largest("recv_q")), int(group.largest("send_q"))
    held_s = float(group.held("accept-queue-near")[0])
    return Verdict(
        severity="warning",
        summary=f"{queued} of {limit} places in the accept queue are taken ({percent(queued / max(limit, 1))}), "
        f"for {duration(held_s)} now.",
        evidence={
            "queued": queued,
            "limit": limit,
            "share": round(queued / max(limit, 1), 3),
            "for_s": round(held_s, 1),
        },
        why="Finished handshakes wait for accept(): the program accepts more slowly than clients come, or not at all. "
        "One more burst, and connections are dropped.",
        remedy="look at what the program does between two calls of accept(); if it only has bursts to bear, raise the "
        "backlog of listen() and net.core.somaxconn.",
        affected=queued,
    )


RULE = SocketRule(
    code="accept-queue-near",
    sentence="The accept queue of a listener is nearly full.",
    thresholds=(
        Threshold("share", 0.8, "share", "of the limit that is taken"),
        Threshold("lasting", 1, "s", "for how long"),
    ),
    by=By.LISTENER,
    columns=("send_q",),
    select=select,
    describe=describe,
)
