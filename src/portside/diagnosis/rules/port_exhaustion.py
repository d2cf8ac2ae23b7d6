"""``port-exhaustion``: nearly every local port towards one destination is taken.

A connection needs a local port of ip_local_port_range that no other connection from the same address to the same
address and port has, those in TIME_WAIT included; without one, connect(2) fails with EADDRNOTAVAIL.

Thresholds: 80 and 95 % of the range are proposed here.
"""

import numpy as np

from portside.diagnosis import tcp_states
from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View, mix, mix_address
from portside.diagnosis.words import percent


def select(view: View, limits: Thresholds) -> Mask:
    """Sockets with a port of the range, of those routes that have many of them."""
    nothing = np.zeros(len(view), bool)
    if view.limits.port_range is None:
        return nothing
    first, last = view.limits.port_range
    ports = view.column("local_port")[0]
    taken = ~view.is_in(tcp_states.LISTEN) & (ports >= first) & (ports <= last)
    needed = max(1, limits["share"] * (last - first + 1))
    if taken.sum() < needed:
        return nothing
    keys = mix_address(np.zeros(len(view), "u8"), view.column("local")[0])
    keys = mix(mix_address(keys, view.column("remote")[0]), view.column("remote_port")[0].astype("u8"))
    _, numbers, counts = np.unique(keys[taken], return_inverse=True, return_counts=True)
    nothing[np.flatnonzero(taken)[counts[numbers] >= needed]] = True
    return nothing


def describe(group: SubjectGroup, limits: Thresholds) -> Verdict | None:
    """How much of the range is taken, and by what."""
    first, last = group.view.limits.port_range or (0, 0)
    size = last - first + 1
    taken = len(group) / size
    waiting = int((group.view.column("state")[0][group.rows] == tcp_states.TIME_WAIT).sum())
    return Verdict(
        severity="critical" if taken >= limits["critical"] else "warning",
        summary=f"{len(group)} of the {size} local ports towards {group.subject.remote} are taken ({percent(taken)}), "
        f"{waiting} of them by connections in TIME_WAIT.",
        evidence={"ports_taken": len(group), "ports": size, "share": round(taken, 3), "in_TIME_WAIT": waiting,
                  "first_port": first, "last_port": last},
        why="Each connection to one destination needs a port of its own here, and the last ones are hard to find: "
        "connect() gets slow, and then fails with EADDRNOTAVAIL (cannot assign requested address).",
        remedy="keep connections and use them again (a pool, HTTP keep-alive); widen net.ipv4.ip_local_port_range, "
        "or add addresses at either end; programs that bind() a source address should set IP_BIND_ADDRESS_NO_PORT.",
    )  # fmt: skip


RULE = SocketRule(
    code="port-exhaustion",
    sentence="Nearly all local ports towards one destination are taken.",
    thresholds=(
        Threshold("share", 0.8, "share", "of the ports of net.ipv4.ip_local_port_range that are taken: a warning"),
        Threshold("critical", 0.95, "share", "of them that is critical"),
    ),
    by=By.ROUTE,
    select=select,
    describe=describe,
)
