"""``retransmit-timeouts``: a sender waits for time-outs, because acknowledgements do not even come for later data.

The kernel counts them for each connection from Linux 6.7 on (total_rto); before, the backoff of the retransmit timer
shows that one followed another (RFC 6298, section 5.5). A peer that answers nothing within the window is none
of these: it is ``peer-vanished``.

Thresholds: 2 within the window, or a backoff of 2; proposed here.
"""

from portside.diagnosis import tcp_states
from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import counted


def select(view: View, limits: Thresholds) -> Mask:
    """Connections with time-outs whose peer is still heard of."""
    made = ~view.is_in(tcp_states.LISTEN, tcp_states.SYN_SENT, tcp_states.SYN_RECV, tcp_states.TIME_WAIT)
    backing_off = (view.column("timer")[0] == tcp_states.TIMER_RETRANSMIT) & (
        view.numbers("backoff") >= limits["backoff"]
    )
    timed_out = view.growth("total_rto") >= limits["timeouts"]
    mask: Mask = made & (backing_off | timed_out) & (view.growth("bytes_acked") > 0)
    return mask


def describe(group: SubjectGroup, _limits: Thresholds) -> Verdict:
    """How many time-outs there were."""
    timeouts = int(group.total("total_rto"))
    backoff = int(group.largest("backoff"))
    return Verdict(
        severity="warning",
        summary=f"{counted(len(group), 'connection')} to {group.subject.remote} waited for retransmission time-outs: "
        f"{timeouts} in {group.view.window_s:.0f}s, the largest backoff is {backoff}.",
        evidence={
            "connections": len(group),
            "timeouts": timeouts,
            "largest_backoff": backoff,
            "longest_rto_ms": round(group.largest("rto_us") / 1e3),
            "window_s": round(group.view.window_s, 1),
        },
        why="Whole flights of segments were lost, or the last one of a message was: nothing came back that would "
        "have started a fast retransmission. Each time-out stops the connection for 200 ms and more, twice as long "
        "each time.",
        remedy="look for outages and bursts of loss on the path; TCP_USER_TIMEOUT bounds how long a program waits.",
    )


RULE = SocketRule(
    code="retransmit-timeouts",
    sentence="Senders stop and wait for retransmission time-outs.",
    thresholds=(
        Threshold("timeouts", 2, "count", "time-outs of a connection within the window"),
        Threshold("backoff", 2, "count", "time-outs in a row that are going on"),
    ),
    by=By.HOST,
    columns=("backoff",),
    select=select,
    describe=describe,
)
