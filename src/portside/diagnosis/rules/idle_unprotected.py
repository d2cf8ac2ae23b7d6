"""``idle-unprotected``: connections are idle for long, and no keepalive looks whether the peer is still there.

Where SO_KEEPALIVE is set, the keepalive timer runs while a connection is idle; without it no timer does, and a peer
that was switched off is never noticed (RFC 1122, section 4.2.3.6).

Threshold: 5 minutes: NATs and load balancers forget idle connections after 4 to 6 minutes (Azure Load Balancer 4, AWS
Network Load Balancer 350 s), although RFC 5382 asks for 124. Always *info*.
"""

import numpy as np

from portside.diagnosis import tcp_states
from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import Numbers, View, established
from portside.diagnosis.words import counted, duration


def idle_s(sockets: View | SubjectGroup) -> Numbers:
    """For how long no data has moved on each connection, in seconds."""
    return np.fmin(sockets.numbers("last_data_sent_ms"), sockets.numbers("last_data_recv_ms")) / 1e3


def select(view: View, limits: Thresholds) -> Mask:
    """Connections that are idle, and for which no timer runs."""
    inodes, known = view.column("inode")
    unguarded = established(view) & (view.column("timer")[0] == tcp_states.TIMER_OFF) & known & (inodes != 0)
    mask: Mask = unguarded & (idle_s(view) >= limits["idle"])
    return mask


def describe(group: SubjectGroup, limits: Thresholds) -> Verdict:
    """How many there are, and how long the oldest has been idle."""
    oldest = float(np.max(idle_s(group)))
    return Verdict(
        severity="info",
        summary=f"{counted(len(group), 'connection')} idle for more than {duration(limits['idle'])}, the longest for "
        f"{duration(oldest)}, without keepalive.",
        evidence={"connections": len(group), "idle_s": limits["idle"], "longest_idle_s": round(oldest, 1)},
        why="If the peer is switched off, or a NAT or firewall forgets the connection, nobody notices: the socket "
        "stays until something is sent on it.",
        remedy="set SO_KEEPALIVE with TCP_KEEPIDLE below the time-out of what is in between (240s), or send "
        "something in the protocol itself.",
    )


RULE = SocketRule(
    code="idle-unprotected",
    sentence="Connections are idle for long without keepalive.",
    thresholds=(Threshold("idle", 300, "s", "without data in either direction"),),
    by=By.PROGRAM,
    columns=("last_data_recv_ms",),
    select=select,
    describe=describe,
)
