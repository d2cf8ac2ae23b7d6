"""``peer-vanished``: the peer answers nothing any more.

Data was sent again and again, or keepalive probes were, and no segment came back. RFC 1122, section 4.2.3.5, has a
host suspect its peer after 3 retransmissions (R1).

Thresholds: 3 retransmissions (R1) or 2 probes, and 5 s of silence, which is proposed here.
"""

import numpy as np

from portside.diagnosis import tcp_states
from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import Numbers, View
from portside.diagnosis.words import amount, counted, duration


def silence_s(sockets: View | SubjectGroup) -> Numbers:
    """For how long nothing has come from each peer, in seconds."""
    return np.fmin(sockets.numbers("last_ack_recv_ms"), sockets.numbers("last_data_recv_ms")) / 1e3


def select(view: View, limits: Thresholds) -> Mask:
    """Connections that try to reach their peer in vain."""
    made = ~view.is_in(tcp_states.LISTEN, tcp_states.SYN_SENT, tcp_states.SYN_RECV, tcp_states.TIME_WAIT)
    timer = view.column("timer")[0]
    resent = (timer == tcp_states.TIMER_RETRANSMIT) & (view.numbers("retransmits") >= limits["retransmits"])
    probed = (timer == tcp_states.TIMER_KEEPALIVE) & (view.numbers("probes") >= limits["probes"])
    tried: Mask = made & (resent | probed)
    if not tried.any():
        return tried
    mask: Mask = tried & (silence_s(view) >= limits["silence"])
    return mask


def describe(group: SubjectGroup, _limits: Thresholds) -> Verdict:
    """How many connections lead to it, and for how long it has been silent."""
    silent = silence_s(group)
    queued = group.sum("send_q")
    return Verdict(
        severity="warning",
        summary=f"{group.subject.remote} does not answer on {counted(len(group), 'connection')}, the longest for "
        f"{duration(float(np.max(silent)))}; {amount(queued)} are not acknowledged.",
        evidence={
            "connections": len(group),
            "silent_s": round(float(np.max(silent)), 1),
            "unacknowledged_bytes": int(queued),
            "most_retransmissions": int(group.largest("retransmits")),
            "most_probes": int(group.largest("probes")),
        },
        why="Segments go out again and again and nothing comes back, not even a reset: the host is down or cut off, "
        "or a firewall or NAT on the way has forgotten the connection.",
        remedy="see whether the host can be reached; set TCP_USER_TIMEOUT or keepalive, so that the program learns "
        "of it sooner than after net.ipv4.tcp_retries2 (about 15 minutes).",
    )


RULE = SocketRule(
    code="peer-vanished",
    sentence="A peer answers nothing any more, and connections to it wait.",
    thresholds=(
        Threshold("retransmits", 3, "count", "retransmissions in a row (R1 of RFC 1122)"),
        Threshold("probes", 2, "count", "keepalive probes without an answer"),
        Threshold("silence", 5, "s", "without a segment from the peer"),
    ),
    by=By.HOST,
    columns=("last_ack_recv_ms",),
    select=select,
    describe=describe,
)
