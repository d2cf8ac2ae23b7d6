"""``receive-pruned``: the kernel has no room in receive buffers and throws away what has arrived.

PruneCalled and TCPRcvCollapsed count attempts to make room, which cost time and nothing else; RcvPruned, OfoPruned and
TCPRcvQDrop what was thrown away (``tcp_prune_queue`` in net/ipv4/tcp_input.c).

Thresholds: 10 thrown away within the window in at least 3 observations are a warning, all else *info*; proposed here.
"""

from collections.abc import Iterator

from portside.diagnosis.rule import MachineRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import counted

_ROOM = ("TcpExt.PruneCalled", "TcpExt.TCPRcvCollapsed")
_THROWN = ("TcpExt.RcvPruned", "TcpExt.OfoPruned", "TcpExt.TCPRcvQDrop")


def look(view: View, limits: Thresholds) -> Iterator[Verdict]:
    """The segments that were thrown away, and how often room had to be made."""
    made, thrown = view.grown(*_ROOM), view.grown(*_THROWN)
    if made + thrown < 1:
        return
    lasting = view.rounds(*_THROWN) >= limits["observations"]
    yield Verdict(
        severity="warning" if thrown >= limits["thrown"] and lasting else "info",
        summary=f"Receive buffers ran out of memory: {counted(thrown, 'segment')} thrown away, room made {made} times "
        f"in {view.window_s:.0f}s.",
        evidence={name.removeprefix("TcpExt."): view.grown(name) for name in (*_ROOM, *_THROWN)}
        | {"window_s": round(view.window_s, 1)},
        why="Small segments take much more memory than their bytes, so that a buffer can be full although the window "
        "is open. What is thrown away must be sent again.",
        remedy="read faster; raise the last number of net.ipv4.tcp_rmem, or do not set SO_RCVBUF; have the sender "
        "write larger pieces.",
        affected=made + thrown,
        unseen=("which connection: the kernel counts for the whole machine",),
    )


RULE = MachineRule(
    code="receive-pruned",
    sentence="The kernel throws away received data for want of room in receive buffers.",
    thresholds=(
        Threshold("thrown", 10, "count", "segments thrown away within the window: a warning, if"),
        Threshold("observations", 3, "count", "observations of the window saw some thrown away"),
    ),
    counters=("TcpExt.PruneCalled",),
    look=look,
)
