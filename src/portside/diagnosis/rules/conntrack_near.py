"""``conntrack-near``: the table of connections of netfilter is nearly full.

Above nf_conntrack_max the kernel drops packets of new connections and prints ``nf_conntrack: table full, dropping
packet``.

Thresholds: 75 % is *info*, 90 % a warning, 95 % critical (netdata's ``netfilter_conntrack_full``,
health.d/netfilter.conf).
"""

from collections.abc import Iterator

from portside.diagnosis.rule import MachineRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View
from portside.diagnosis.words import percent


def look(view: View, limits: Thresholds) -> Iterator[Verdict]:
    """How much of the table is taken."""
    count, most = view.limits.conntrack or (0, 0)
    taken = count / most if most else 0.0
    if taken < limits["share"]:
        return
    yield Verdict(
        severity="critical" if taken >= limits["critical"] else "warning" if taken >= limits["warning"] else "info",
        summary=f"Netfilter tracks {count} of at most {most} connections ({percent(taken)}).",
        evidence={"tracked": count, "most": most, "share": round(taken, 3)},
        why="When the table is full, packets of new connections are dropped, whatever the service: clients see "
        "time-outs.",
        remedy="raise net.netfilter.nf_conntrack_max and its buckets; lower nf_conntrack_tcp_timeout_established and "
        "_time_wait; or do not track ports that need no NAT (the raw table, NOTRACK).",
        affected=count,
    )


RULE = MachineRule(
    code="conntrack-near",
    sentence="Netfilter's table of connections is nearly full.",
    thresholds=(
        Threshold("share", 0.75, "share", "of net.netfilter.nf_conntrack_max: info"),
        Threshold("warning", 0.9, "share", "of it that is a warning"),
        Threshold("critical", 0.95, "share", "of it that is critical"),
    ),
    look=look,
    blind=lambda view: None if view.limits.conntrack is not None else "connections are not tracked here",
)
