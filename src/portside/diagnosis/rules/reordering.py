"""``reordering``: segments overtake each other on the way.

reord_seen counts what a sender noticed, rcv_ooopack what a receiver got out of order; loss fills the second, too.

Thresholds: 5 events, or 5 % of at least 100 segments, proposed here. Always *info*.
"""

from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import counted


def select(view: View, _limits: Thresholds) -> Mask:
    """Connections with anything out of order."""
    mask: Mask = (view.growth("reord_seen") > 0) | (view.growth("rcv_ooopack") > 0)
    return mask


def describe(group: SubjectGroup, limits: Thresholds) -> Verdict | None:
    """How much was out of order, in either direction."""
    noticed, late, arrived = group.total("reord_seen"), group.total("rcv_ooopack"), group.total("data_segs_in")
    much = arrived >= limits["segments"] and late / arrived >= limits["share"]
    if noticed < limits["events"] and not much:
        return None
    return Verdict(
        severity="info",
        summary=f"Segments to and from {group.subject.remote} overtake each other: {noticed:.0f} times noticed as a "
        f"sender, {late:.0f} of {arrived:.0f} segments received out of order.",
        evidence={"reordering_events": int(noticed), "out_of_order_in": int(late), "segments_in": int(arrived),
                  "connections": len(group), "window_s": round(group.view.window_s, 1)},
        why=f"{counted(len(group), 'connection')} saw it: packets of one connection take different ways (balancing of "
        "single packets, bonding, multipath), or some are lost and come again.",
        remedy="balance by connection, not by packet; if there are retransmissions too, look for loss first.",
    )  # fmt: skip


RULE = SocketRule(
    code="reordering",
    sentence="Segments arrive out of order.",
    thresholds=(
        Threshold("events", 5, "count", "reorderings that senders noticed within the window"),
        Threshold("share", 0.05, "share", "of the segments received that were out of order"),
        Threshold(
            "segments", 100, "count", "segments received within the window, below which their share says nothing"
        ),
    ),
    by=By.HOST,
    columns=("reord_seen",),
    select=select,
    describe=describe,
)
