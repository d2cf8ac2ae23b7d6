"""``peer-slow``: the peer's window is closed: it does not read what we send.

With a closed window (snd_wnd) and data to send, the kernel runs the persist timer (RFC 9293, section 3.8.6.1), whose
backoff doubles with each probe that is answered with a closed window. So the first look tells for how long it has been
closed: rto * (2^backoff - 1).

Where the program that does not read is on this machine, it is the finding: ``receiver-slow``.

Thresholds: closed for 2 s is *info*, for 10 s with nothing acknowledged a warning; proposed here. A window that opens
again and again (a slow reader that moves on) stays *info*: Linux opens it when half of the buffer or a segment is free.
"""

import numpy as np

from portside.diagnosis import tcp_states
from portside.diagnosis.grouping import By, SubjectGroup, end_text
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.rules import receiver_slow
from portside.diagnosis.view import Numbers, View
from portside.diagnosis.words import amount, counted, duration

_CLOSED, _CLOSED_FOR = "peer-slow closed", "peer-slow closed for"
_MOST_BACKOFF = 10.0


def closed_s(view: View) -> Numbers:
    """For how long each window has been closed, in seconds; negative where it is open."""
    open_ = view.is_in(
        tcp_states.ESTABLISHED, tcp_states.CLOSE_WAIT, tcp_states.FIN_WAIT1, tcp_states.LAST_ACK, tcp_states.CLOSING
    )
    waits = open_ & (view.column("timer")[0] == tcp_states.TIMER_PERSIST) & (view.numbers("send_q") > 0)
    closed = waits & ~(view.numbers("snd_wnd") >= view.numbers("mss")) & ~(view.step("bytes_acked") > 0)
    backoff = np.minimum(np.nan_to_num(view.numbers("backoff")), _MOST_BACKOFF)
    told = np.where(closed, np.nan_to_num(view.numbers("rto_us")) / 1e6 * (2.0**backoff - 1), -1)
    return np.fmax(view.held_s(_CLOSED, closed), told)


def select(view: View, limits: Thresholds) -> Mask:
    """Connections with a window that has been closed for a while; not those whose other end is here and at fault."""
    probing: Mask = view.column("timer")[0] == tcp_states.TIMER_PERSIST
    if not probing.any():
        return probing
    closed = closed_s(view)
    view.keep(_CLOSED_FOR, closed)
    mask: Mask = closed >= limits["closed"]
    if mask.any():
        rows = np.flatnonzero(mask)
        others = view.other_ends(rows)
        excused = view.read_bytes() > 0
        if receiver_slow.RULE.code in view.thresholds:
            excused |= receiver_slow.unread(view)
        mask[rows[(others >= 0) & excused[others]]] = False
    return mask


def describe(group: SubjectGroup, limits: Thresholds) -> Verdict:
    """How much cannot be sent, and to whom."""
    closed = group.held(_CLOSED_FOR)
    longest, row = float(np.max(closed)), int(group.rows[int(np.argmax(closed))])
    waiting = group.sum("send_q")
    peer = end_text(group.view, row, "remote")
    return Verdict(
        severity="warning" if longest >= limits["still"] else "info",
        summary=f"The window of the peer is closed on {counted(len(group), 'connection')}, the longest for "
        f"{duration(longest)} (to {peer}); {amount(waiting)} cannot be sent.",
        evidence={
            "connections": len(group),
            "closed_for_s": round(longest, 1),
            "send_q_bytes": int(waiting),
            "snd_wnd_bytes": int(np.nan_to_num(group.view.numbers("snd_wnd")[row])),
            "peer": peer,
        },
        why="The peer acknowledges what it gets and lets no more come: its program does not read. The network works, "
        "or the probes of its window would not be answered.",
        remedy="look at the program at the other end; here, bound what is buffered for one peer, and close it after a "
        "time-out of writing (TCP_USER_TIMEOUT counts this, too).",
    )


RULE = SocketRule(
    code="peer-slow",
    sentence="A peer does not read: its window is closed, and what is to be sent waits.",
    thresholds=(
        Threshold("closed", 2, "s", "for which a window has been closed: info"),
        Threshold("still", 10, "s", "for which it has been closed with nothing acknowledged: a warning"),
    ),
    by=By.PROGRAM,
    columns=("snd_wnd",),
    select=select,
    describe=describe,
)
