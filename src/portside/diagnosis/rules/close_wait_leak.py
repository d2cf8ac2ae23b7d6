"""``close-wait-leak``: the peer has closed, the program has not, and the sockets pile up in CLOSE_WAIT.

A socket stays in CLOSE_WAIT until its program calls close(2) or shutdown(2) (RFC 9293, section 3.3.2); no timer ends
it. Its age is the time since anything was sent or acknowledged on it, so that a program which still sends its answer
after the client's half-close is not taken for one that forgot the socket.

Thresholds: 60 s, and 100 sockets or growth for critical, are proposed here.
"""

import numpy as np

from portside.diagnosis import tcp_states
from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import counted, duration, rate


def found(view: View) -> Mask:
    """Which sockets are forgotten ones to this rule; none where it does not look."""
    limits = view.thresholds.get(RULE.code)
    return np.zeros(len(view), bool) if limits is None else select(view, limits) & (view.quiet_s >= limits["age"])


def select(view: View, _limits: Thresholds) -> Mask:
    """Sockets in CLOSE_WAIT that a program has: those that it has not accepted yet are not its fault."""
    inodes, known = view.column("inode")
    mask: Mask = view.is_in(tcp_states.CLOSE_WAIT) & (inodes != 0) & known
    return mask


def describe(group: SubjectGroup, limits: Thresholds) -> Verdict | None:
    """How many there are, how old, and how fast they become more."""
    ages = group.view.quiet_s[group.rows]
    old = int((ages >= limits["age"]).sum())
    if old < limits["sockets"]:
        return None
    growth = rate(int(np.sum(group.view.in_state_s[group.rows] < group.view.window_s)), group.view.window_s)
    whose = f"pid = {group.subject.pid}" if group.processes < 2 else f"sport = :{group.end.rpartition(':')[2]}"
    kill = f"`portside watch --kill 'state close-wait {whose}'` frees them" if group.subject.pid else ""
    many, more = len(group), f", {growth} more each second" if growth else ""
    aged = duration(limits["age"])
    return Verdict(
        severity="critical" if old >= limits["critical"] or (growth and old >= limits["critical"] / 10) else "warning",
        summary=f"{counted(many, 'connection')} wait{'s' if many == 1 else ''} for close(): the peer has sent FIN, the "
        f"program has not closed its end; the oldest for {duration(float(ages.max()))}.",
        evidence={
            "in_CLOSE_WAIT": many,
            "older_than_age": old,
            "age_s": limits["age"],
            "oldest_s": round(float(ages.max()), 1),
            "more_each_second": growth,
            "unread_bytes": int(np.nansum(np.maximum(group.numbers("recv_q") - 1, 0))),  # Recv-Q counts the FIN, too
        },
        why=f"{old} of them {'is' if old == 1 else 'are'} older than {aged}{more}. Each keeps a descriptor and memory "
        "until the program closes it; no timer of TCP ever does.",
        remedy=f"close the socket when recv() returns 0{'; until then ' + kill if kill else ''}.",
    )


RULE = SocketRule(
    code="close-wait-leak",
    sentence="A program does not close connections that its peers have closed.",
    thresholds=(
        Threshold("age", 60, "s", "without anything sent or acknowledged, from which on a socket counts as forgotten"),
        Threshold("sockets", 1, "count", "forgotten ones of a program: a warning"),
        Threshold("critical", 100, "count", "as many are critical, or a tenth of them while they become more"),
    ),
    by=By.PROGRAM,
    select=select,
    describe=describe,
)
