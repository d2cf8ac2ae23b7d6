"""``reuseport-imbalance``: of several listeners on one port, one gets behind.

With SO_REUSEPORT the kernel chooses a listener for each connection by a hash of its ends, whether that listener accepts
or not; the others do not take over what waits there.

Thresholds: the longest queue has at least 8 connections and 3 times the mean of the others, for a second; proposed
here.
"""

import numpy as np

from portside.diagnosis import tcp_states
from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View

_LONG = "reuseport-imbalance long"


def select(view: View, limits: Thresholds) -> Mask:
    """Listeners whose end several have, where one of them has a long queue."""
    listening = view.is_in(tcp_states.LISTEN)
    long = listening & (view.numbers("recv_q") >= limits["queued"])
    held = view.held_s(_LONG, long) >= limits["lasting"]
    mask = np.zeros(len(view), bool)
    if not held.any():
        return mask
    keys = view.end_keys("local")
    queued = np.sort(keys[held])
    places = np.minimum(np.searchsorted(queued, keys), len(queued) - 1)
    rows = np.flatnonzero(listening & (queued[places] == keys))  # np.isin would load numpy.ma, 8 MB
    _, numbers, counts = np.unique(keys[rows], return_inverse=True, return_counts=True)
    mask[rows[counts[numbers] > 1]] = True
    return mask


def describe(group: SubjectGroup, limits: Thresholds) -> Verdict | None:
    """How the queues differ, and who has the longest."""
    queued = np.nan_to_num(group.numbers("recv_q"))
    worst = int(np.argmax(queued))
    others = float(np.mean(np.delete(queued, worst)))
    if queued[worst] <= limits["times"] * others:
        return None
    drops = np.nan_to_num(group.growth("drops"))
    return Verdict(
        severity="warning",
        summary=f"One of {len(group)} listeners has {queued[worst]:.0f} connections waiting, where the mean of "
        f"the others is {others:.1f}.",
        evidence={"listeners": len(group), "longest_queue": int(queued[worst]), "mean_of_others": round(others, 1),
                  "dropped_there": int(drops[worst]), "dropped_in_all": int(drops.sum())},
        why="The kernel shares connections out by a hash and does not look who accepts: the clients of a worker that "
        "is slow or stopped wait, while others are free.",
        remedy="find the worker that does not accept and see what it does; let workers close their listener before "
        "they stop; or share one listener.",
        affected=int(queued[worst]),
    )  # fmt: skip


RULE = SocketRule(
    code="reuseport-imbalance",
    sentence="One of several listeners on a port gets behind.",
    thresholds=(
        Threshold("times", 3, "count", "times the mean queue of the port's other listeners"),
        Threshold("queued", 8, "count", "connections waiting at one listener"),
        Threshold("lasting", 1, "s", "for how long"),
    ),
    by=By.PORT,
    columns=("send_q",),
    select=select,
    describe=describe,
)
