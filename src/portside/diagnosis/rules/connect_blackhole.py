"""``connect-blackhole``: connecting gets no answer at all, neither a SYN-ACK nor a reset.

A SYN is sent again after 1 s, then after 3, 7, 15 s (RFC 6298, section 2: the first time-out is 1 s), or at first once
a second (tcp_syn_linear_timeouts). One that has been sent again had no answer, for at least as many seconds as times.

Threshold: one retransmission.
"""

import numpy as np

from portside.diagnosis import tcp_states
from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import counted, duration


def select(view: View, limits: Thresholds) -> Mask:
    """Sockets in SYN_SENT whose SYN was sent again."""
    mask: Mask = view.is_in(tcp_states.SYN_SENT) & (view.numbers("retransmits") >= limits["retransmits"])
    return mask


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
