"""``fin-wait-pile``: many connections that this side has closed and the peer has not.

FIN_WAIT1: our FIN is not acknowledged. FIN_WAIT2: the peer has acknowledged it and sends none of its own; without a
program the kernel ends it after tcp_fin_timeout, 60 s (ip-sysctl), and with one it stays (a half-closed connection).

Where the program that does not close is on this machine, it is the finding: ``close-wait-leak``.

Thresholds: 60 s (tcp_fin_timeout) with 20 sockets, or 5,000 of any age, are proposed here.
"""

import numpy as np

from portside.diagnosis import tcp_states
from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.rules import close_wait_leak
from portside.diagnosis.view import View
from portside.diagnosis.words import counted, duration


def select(view: View, _limits: Thresholds) -> Mask:
    """Sockets whose FIN has been sent and not been answered by one; not those whose other end is here and at fault."""
    mask = view.is_in(tcp_states.FIN_WAIT1, tcp_states.FIN_WAIT2)
    forgotten = close_wait_leak.found(view) if mask.any() else mask
    if forgotten.any():
        rows = np.flatnonzero(mask)
        others = view.other_ends(rows)
        mask[rows[(others >= 0) & forgotten[others]]] = False
    return mask


def describe(group: SubjectGroup, limits: Thresholds) -> Verdict | None:
    """How many wait, and for how long."""
    ages = group.view.quiet_s[group.rows]
    old = int((ages >= limits["age"]).sum())
    if old < limits["sockets"] and len(group) < limits["any_age"]:
        return None
    states = group.view.column("state")[0][group.rows]
    unacked = int((states == tcp_states.FIN_WAIT1).sum())
    return Verdict(
        severity="warning",
        summary=f"{counted(len(group), 'connection')} closed here wait for the peer's FIN, {old} of them for more than "
        f"{duration(limits['age'])}.",
        evidence={
            "in_FIN_WAIT1": unacked,
            "in_FIN_WAIT2": len(group) - unacked,
            "older_than_age": old,
            "age_s": limits["age"],
            "oldest_s": round(float(np.max(ages)), 1),
        },
        why="FIN_WAIT2 means that the peer has our FIN and does not close: a leak of CLOSE_WAIT over there. "
        "FIN_WAIT1 means that it does not even acknowledge it: it is gone, or does not read what was sent before.",
        remedy="have the peer close its sockets; here, close() instead of shutdown() lets the kernel end them after "
        "net.ipv4.tcp_fin_timeout.",
    )


RULE = SocketRule(
    code="fin-wait-pile",
    sentence="Many connections were closed here, and their peers do not close them.",
    thresholds=(
        Threshold("age", 60, "s", "without anything sent or acknowledged"),
        Threshold("sockets", 20, "count", "sockets of this age"),
        Threshold("any_age", 5000, "count", "sockets of any age"),
    ),
    by=By.PROGRAM,
    select=select,
    describe=describe,
)
