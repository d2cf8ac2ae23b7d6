"""``connect-blackhole``: connecting gets no answer at all, neither a SYN-ACK nor a reset.

A SYN is sent again after 1 s, then after 3, 7, 15 s (RFC 6298, section 2: the first time-out is 1 s), or at first once
a second (tcp_syn_linear_timeouts). One that has been sent again had no answer, for at least as many seconds as times.

Where the listener is on this machine and its accept queue overflows, that is the finding: ``accept-queue-overflow``.

Threshold: one retransmission.
"""

import numpy as np

from portside.diagnosis import tcp_states
from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.rules import accept_queue_overflow
from portside.diagnosis.view import View
from portside.diagnosis.words import counted, duration

_LOOPBACK = bytes(10) + b"\xff\xff\x7f"  # 127.0.0.0/8, mapped into IPv6


def select(view: View, limits: Thresholds) -> Mask:
    """Sockets in SYN_SENT whose SYN was sent again, but for those to a listener here that is at fault."""
    mask: Mask = view.is_in(tcp_states.SYN_SENT) & (view.numbers("retransmits") >= limits["retransmits"])
    if accept_queue_overflow.RULE.code in view.thresholds and mask.any():
        mask &= ~_to_full_listener(view)
    return mask


def _to_full_listener(view: View) -> Mask:
    """Which sockets are to be connected to a port of this machine whose listener drops connections.

    A socket that is connected to an address of its own machine has that address itself, or one of 127.0.0.0/8.
    """
    # An attempt waits longer each time for its next try: long after the last drop, it is still that listener's.
    dropping = accept_queue_overflow.found(view) | (view.is_in(tcp_states.LISTEN) & (view.numbers("drops") > 0))
    full = np.zeros(1 << 16, bool)
    full[view.column("local_port")[0][dropping]] = True
    local, remote = view.column("local")[0], view.column("remote")[0]
    loopback = (remote[:, :13] == np.frombuffer(_LOOPBACK, "u1")).all(axis=1)
    here: Mask = full[view.column("remote_port")[0]] & (loopback | (local == remote).all(axis=1))
    return here


def describe(group: SubjectGroup, _limits: Thresholds) -> Verdict:
    """How many wait for an answer, and since when."""
    most = int(np.max(group.numbers("retransmits")))
    waited = max(float(np.max(group.view.in_state_s[group.rows])), float(most))
    return Verdict(
        severity="warning",
        summary=f"{group.subject.remote} does not answer: {counted(len(group), 'connection attempt')} waiting, the "
        f"longest for {duration(waited)} at least.",
        evidence={"connecting": len(group), "most_retransmissions": most, "longest_s": round(waited, 1)},
        why="The SYN is lost, or dropped without a word: by a firewall, by a host that is down, or by a listener whose "
        "accept queue is full. A closed port would be refused at once.",
        remedy="see whether the host and the port can be reached from elsewhere (`portside connect -z`), and look at "
        "the accept queue over there (`portside watch -l`); give connect() a time-out.",
    )


RULE = SocketRule(
    code="connect-blackhole",
    sentence="Connection attempts get no answer, neither an acceptance nor a refusal.",
    thresholds=(Threshold("retransmits", 1, "count", "times that the SYN was sent again"),),
    by=By.ROUTE,
    select=select,
    describe=describe,
)
