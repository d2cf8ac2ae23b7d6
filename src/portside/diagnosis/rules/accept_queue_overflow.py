"""``accept-queue-overflow``: connections are dropped because the program does not accept fast enough.

The kernel drops a SYN or the ACK that ends a handshake when the accept queue is longer than the limit of listen(2)
(``sk_acceptq_is_full`` in include/net/sock.h), and counts it at the listener itself (``skmem`` drops), which names the
service where ListenOverflows is one count for the whole machine.

Thresholds: 1 drop is a warning and 5 within 10 s are critical in netdata's alarm ``1m_tcp_accept_queue_overflows``
(health.d/tcp_listen.conf).
"""

import numpy as np

from portside.diagnosis import tcp_states
from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import counted

_OVERFLOWS = "TcpExt.ListenOverflows"


def is_full(view: View) -> Mask:
    """Which listeners have a full accept queue: the kernel takes one more than the limit."""
    full: Mask = view.is_in(tcp_states.LISTEN) & (view.numbers("recv_q") > view.numbers("send_q"))
    return full


def select(view: View, limits: Thresholds) -> Mask:
    """Listeners that are full, and those that dropped while accept queues overflowed somewhere."""
    return overflowing(view, limits["drops"])


def found(view: View) -> Mask:
    """Which listeners this rule finds; none where it does not look."""
    limits = view.thresholds.get(RULE.code)
    return np.zeros(len(view), bool) if limits is None else overflowing(view, limits["drops"])


def overflowing(view: View, drops: float) -> Mask:
    """Which listeners are full, or have dropped so many connections within the window for want of room."""
    listening = view.is_in(tcp_states.LISTEN)
    dropped = listening & (view.growth("drops") >= drops)
    # A listener counts what it drops for want of memory or of room in its SYN queue too: without overflows, not ours.
    overflowed = bool(view.counter(_OVERFLOWS) or view.gauge(_OVERFLOWS) is None)
    return is_full(view) | (dropped if overflowed else np.zeros(len(view), bool))


def describe(group: SubjectGroup, limits: Thresholds) -> Verdict:
    """How many connections were dropped at a listener, and how long its queue is."""
    # A listener counts the ACK of a handshake that it drops twice, the machine each overflow once.
    overflows = group.view.counter(_OVERFLOWS)
    drops = int(min(group.total("drops"), np.inf if overflows is None else overflows))
    queued, limit = int(group.largest("recv_q")), int(group.largest("send_q"))
    lost = (
        f"{counted(drops, 'connection attempt')} dropped in {group.view.window_s:.0f}s"
        if drops
        else "the next connection will be dropped"
    )
    return Verdict(
        severity="critical" if drops >= limits["critical"] else "warning",
        summary=f"The accept queue is {'full' if queued > limit else 'overflowing at times'} "
        f"({queued} wait, the limit is {limit}): {lost}.",
        evidence={
            "queued": queued,
            "limit": limit,
            "dropped": drops,
            "window_s": round(group.view.window_s, 1),
            "overflows_on_machine": overflows or 0,
        },
        why="Connections arrive faster than the program calls accept(); clients see time-outs or a slow connect, "
        "because the kernel drops what does not fit and they try again after 1s, 3s, 7s.",
        remedy="accept in a loop of its own, before any work on a connection; for bursts raise the backlog of "
        "listen() and net.core.somaxconn, which limits it.",
        affected=max(drops, 1),
    )


RULE = SocketRule(
    code="accept-queue-overflow",
    sentence="The accept queue of a listener is full, and the kernel drops connections.",
    thresholds=(
        Threshold("drops", 1, "count", "connections dropped at a listener within the window: a warning"),
        Threshold("critical", 5, "count", "as many are critical"),
    ),
    by=By.LISTENER,
    columns=("send_q",),
    select=select,
    describe=describe,
)
