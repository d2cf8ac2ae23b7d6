"""``nagle-delay``: a program writes in small pieces, and they wait for the acknowledgement of the one before.

Nagle's algorithm (RFC 9293, section 3.7.4) holds a small segment back while another is not acknowledged, and the peer
delays its acknowledgement (RFC 1122, section 4.2.3.2; 40 ms in Linux). It shows as less than a segment that is not
sent though the window would let it through, small segments, and a round trip that is as long as the delay.

Thresholds: for a second; a round trip of 15 ms that is 5 times the shortest (every other segment waits for 40 ms, so
that 20 is the mean); at least 5 segments sent in the window. Proposed here.
"""

import numpy as np

from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View, established, share
from portside.diagnosis.words import amount, counted

_HELD = "nagle-delay held back"


def select(view: View, limits: Thresholds) -> Mask:
    """Connections that have held back a piece in each observation for a while, while acknowledgements are slow."""
    waiting, mss = view.numbers("notsent_bytes"), view.numbers("mss")
    held_back: Mask = established(view) & (waiting > 0) & (waiting < mss)
    if not held_back.any():
        return held_back
    unacked = view.numbers("unacked")
    held_back &= (unacked > 0) & (unacked < view.numbers("cwnd")) & (view.numbers("snd_wnd") >= 2 * mss)
    held_back &= view.numbers("retransmits") == 0
    sent = view.growth("data_segs_out")
    small = share(view.growth("bytes_sent"), sent) < mss / 2
    delayed = (view.numbers("rtt_us") >= limits["rtt"] * 1e6) & (
        view.numbers("rtt_us") >= 5 * view.numbers("min_rtt_us")
    )
    mask: Mask = held_back & small & delayed & (sent >= limits["segments"])
    return mask & (view.held_s(_HELD, held_back) >= limits["lasting"])


def describe(group: SubjectGroup, _limits: Thresholds) -> Verdict:
    """How small the pieces are, and how long each waits."""
    size = group.total("bytes_sent") / max(group.total("data_segs_out"), 1)
    waits = group.largest("rtt_us") / 1e3
    return Verdict(
        severity="warning",
        summary=f"{group.program} writes in pieces of {amount(size)} on {counted(len(group), 'connection')}, and each "
        f"waits {waits:.0f} ms on average for the acknowledgement of the one before.",
        evidence={"connections": len(group), "bytes_a_segment": round(size), "rtt_ms": round(waits, 1),
                  "min_rtt_ms": round(float(np.nanmin(group.numbers("min_rtt_us"))) / 1e3, 3),
                  "not_sent_bytes": int(group.sum("notsent_bytes"))},
        why="A small write is held back while the one before is not acknowledged (Nagle), and the peer delays its "
        "acknowledgement in the hope of an answer to carry it.",
        remedy="write a whole message with one call (writev, a buffer, TCP_CORK), or set TCP_NODELAY.",
    )  # fmt: skip


RULE = SocketRule(
    code="nagle-delay",
    sentence="Small writes wait for delayed acknowledgements.",
    thresholds=(
        Threshold("lasting", 1, "s", "for which a piece has been held back in each observation"),
        Threshold("rtt", 0.015, "s", "of a round trip, which must be 5 times the shortest, too"),
        Threshold("segments", 5, "count", "sent within the window"),
    ),
    by=By.PROGRAM,
    columns=("notsent_bytes",),
    select=select,
    describe=describe,
)
