"""``small-mss``: segments are much smaller than usual paths allow.

The segment size (mss) follows the path MTU (pmtu, RFC 1191, RFC 8899) and what the peer offers. A peer with a tiny
window makes segments small, too: that is not this condition.

Threshold: 1000 bytes, proposed here: IPv6 has at least 1280 (RFC 8200), and IPv4 nearly everywhere 1400. A small path
MTU is a warning, a small offer of the peer *info*.
"""

import numpy as np

from portside.diagnosis.grouping import By, SubjectGroup
from portside.diagnosis.observation import Mask
from portside.diagnosis.rule import SocketRule, Threshold, Thresholds, Verdict
from portside.diagnosis.view import View, established
from portside.diagnosis.words import counted

_HEADERS = 60  # IP and TCP with options
_FAILS = "TcpExt.TCPMTUPFail"


def select(view: View, limits: Thresholds) -> Mask:
    """Connections with small segments that are due to the path, or to the peer's offer."""
    mss = view.numbers("mss")
    small: Mask = established(view) & (mss > 0) & (mss < limits["bytes"])
    if not small.any():
        return small
    pmtu = view.numbers("pmtu")
    path = (pmtu > 0) & (pmtu < limits["bytes"] + _HEADERS)
    offer = view.numbers("snd_wnd") >= 4 * mss
    mask: Mask = small & (path | offer)
    return mask


def describe(group: SubjectGroup, limits: Thresholds) -> Verdict:
    """How small the segments are, and why."""
    mss, pmtu = group.numbers("mss"), group.numbers("pmtu")
    path = (pmtu > 0) & (pmtu < limits["bytes"] + _HEADERS)
    smallest = int(np.argmin(mss))
    return Verdict(
        severity="warning" if path.any() else "info",
        summary=f"Segments to {group.subject.remote} have at most {mss[smallest]:.0f} bytes on "
        f"{counted(len(group), 'connection')}, because "
        + ("the path lets no larger packets through." if path.any() else "the peer offers no more."),
        evidence={"mss_bytes": int(mss[smallest]), "pmtu_bytes": int(np.nan_to_num(pmtu[smallest])),
                  "connections": len(group), "small_path_mtu": int(path.sum()),
                  "mtu_probes_failed": group.view.grown(_FAILS)},
        why="Each segment has 40 bytes of headers and more, and costs both ends the same work however small it is. A "
        "path MTU this small mostly means that messages about it (ICMP) are filtered, and that the kernel guessed.",
        remedy="let ICMP type 3 code 4 and ICMPv6 type 2 through; look at the MTU of tunnels (`tracepath HOST`); "
        "clamp the MSS in the router, or set net.ipv4.tcp_mtu_probing to 1.",
    )  # fmt: skip


RULE = SocketRule(
    code="small-mss",
    sentence="Segments are much smaller than usual.",
    thresholds=(Threshold("bytes", 1000, "bytes", "of a segment, below which it is small"),),
    by=By.HOST,
    columns=("mss",),
    select=select,
    describe=describe,
)
