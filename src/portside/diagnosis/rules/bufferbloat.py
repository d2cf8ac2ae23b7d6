"""``bufferbloat``: while a transfer runs, its round trip takes many times the shortest one: a queue on the way is full.

rtt / min_rtt under load, see Gettys and Nichols, Bufferbloat: Dark Buffers in the Internet (2011). Delayed
acknowledgements make round trips long, too, so that at least 10 segments must be under way.

Thresholds: 5 times and 50 ms more is *info*, 200 ms more a warning (ITU-T G.114: speech bears 150 ms one way); for 2 s.
"""

import numpy as np

from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View, established
from portside.diagnosis.words import counted

_SLOW = "bufferbloat slow"


def select(view: View, limits: Thresholds) -> Mask:
    """Transfers that have been slow for a while."""
    loaded = established(view) & (view.numbers("unacked") >= limits["segments"])
    if not loaded.any():
        return loaded
    now, best = view.numbers("rtt_us"), view.numbers("min_rtt_us")
    slow = loaded & (now >= limits["times"] * best) & (now - best >= limits["more"] * 1e6)
    mask: Mask = slow & (view.held_s(_SLOW, slow) >= limits["lasting"])
    return mask


def describe(group: SubjectGroup, limits: Thresholds) -> Verdict:
    """How much longer a round trip is."""
    now, best = group.numbers("rtt_us"), group.numbers("min_rtt_us")
    worst = int(np.argmax(now - best))
    queue_ms = float(now[worst] - best[worst]) / 1e3
    return Verdict(
        severity="warning" if queue_ms >= limits["warning"] * 1e3 else "info",
        summary=f"A round trip to {group.subject.remote} takes {now[worst] / 1e3:.0f} ms under load and "
        f"{best[worst] / 1e3:.1f} ms at best, on {counted(len(group), 'transfer')}.",
        evidence={"rtt_ms": round(float(now[worst]) / 1e3, 1), "min_rtt_ms": round(float(best[worst]) / 1e3, 3),
                  "queueing_ms": round(queue_ms, 1), "connections": len(group)},
        why="A queue on the way fills up before it drops anything, and all who share it wait in it.",
        remedy="use fq_codel or cake at the narrowest link, BBR at the sender, and TCP_NOTSENT_LOWAT so that the "
        "program does not queue as well.",
    )  # fmt: skip


RULE = SocketRule(
    code="bufferbloat",
    sentence="Round trips take much longer under load than they could: a queue on the way is full.",
    thresholds=(
        Threshold("times", 5, "count", "times the shortest round trip"),
        Threshold("more", 0.05, "s", "more than the shortest round trip: info"),
        Threshold("warning", 0.2, "s", "more than it that is a warning"),
        Threshold("segments", 10, "count", "segments under way, below which nothing is said"),
        Threshold("lasting", 2, "s", "for how long"),
    ),
    by=By.HOST,
    columns=("min_rtt_us",),
    select=select,
    describe=describe,
)
