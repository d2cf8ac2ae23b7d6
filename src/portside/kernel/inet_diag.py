"""The kernel's structures for a socket: include/uapi/linux/inet_diag.h, tcp.h, sock_diag.h (Linux 6.18 and 7.0).

Numbers are in the machine's own byte order but for ports and addresses, which are in the network's. Kernels only
ever append to ``tcp_info`` and to the memory counters, so a shorter structure is an older kernel's, and a field is
there when its last byte is. One place was reused all the same: see ``accecn_bits``.
"""

import os
import sys

# struct nlmsghdr, include/uapi/linux/netlink.h: types of messages, and a flag.
NLMSG_ERROR = 2
NLMSG_DONE = 3
SOCK_DIAG_BY_FAMILY = 20
NLM_F_DUMP_INTR = 0x10

IPV4, IPV6 = 2, 10
"""Families as the table has them: Linux's numbers, on other systems too."""

# struct inet_diag_msg, 72 bytes. An IPv4 address is in the first 4 of its 16 bytes.
BASE_FIELDS = (
    "family", "state", "timer", "retransmits", "local_port", "remote_port", "local", "remote",
    "interface", "cookie_low", "cookie_high", "timer_ms", "recv_q", "send_q", "uid", "inode",
)  # fmt: skip
BASE_BYTES = 72

# struct tcp_info: name here, type, offset. Rates are bytes a second. `total_rto` and what follows came with Linux 6.7,
# `received_ce` and what follows with 6.18: counts of Accurate ECN (RFC 9768), whose bytes are those marked ECT(1),
# ECT(0) and CE, `delivered` by the peer's acknowledgements and `received` here.
INFO_FIELDS = (
    ("ca_state", "u1", 1),
    ("probes", "u1", 3),
    ("backoff", "u1", 4),
    ("options", "u1", 5),
    ("window_scales", "u1", 6),
    ("flags", "u1", 7),
    ("rto_us", "u4", 8),
    ("ato_us", "u4", 12),
    ("mss", "u4", 16),
    ("rcv_mss", "u4", 20),
    ("unacked", "u4", 24),
    ("sacked", "u4", 28),
    ("lost", "u4", 32),
    ("retrans", "u4", 36),
    ("last_data_sent_ms", "u4", 44),
    ("last_data_recv_ms", "u4", 52),
    ("last_ack_recv_ms", "u4", 56),
    ("pmtu", "u4", 60),
    ("rcv_ssthresh", "u4", 64),
    ("rtt_us", "u4", 68),
    ("rttvar_us", "u4", 72),
    ("ssthresh", "u4", 76),
    ("cwnd", "u4", 80),
    ("advmss", "u4", 84),
    ("reordering", "u4", 88),
    ("rcv_rtt_us", "u4", 92),
    ("rcv_space", "u4", 96),
    ("retrans_total", "u4", 100),
    ("pacing_rate", "u8", 104),
    ("max_pacing_rate", "u8", 112),
    ("bytes_acked", "u8", 120),
    ("bytes_received", "u8", 128),
    ("segs_out", "u4", 136),
    ("segs_in", "u4", 140),
    ("notsent_bytes", "u4", 144),
    ("min_rtt_us", "u4", 148),
    ("data_segs_in", "u4", 152),
    ("data_segs_out", "u4", 156),
    ("delivery_rate", "u8", 160),
    ("busy_us", "u8", 168),
    ("rwnd_limited_us", "u8", 176),
    ("sndbuf_limited_us", "u8", 184),
    ("delivered", "u4", 192),
    ("delivered_ce", "u4", 196),
    ("bytes_sent", "u8", 200),
    ("bytes_retrans", "u8", 208),
    ("dsack_dups", "u4", 216),
    ("reord_seen", "u4", 220),
    ("rcv_ooopack", "u4", 224),
    ("snd_wnd", "u4", 228),
    ("rcv_wnd", "u4", 232),
    ("rehash", "u4", 236),
    ("total_rto", "u2", 240),
    ("total_rto_recoveries", "u2", 242),
    ("total_rto_time_ms", "u4", 244),
    ("received_ce", "u4", 248),
    ("delivered_e1_bytes", "u4", 252),
    ("delivered_e0_bytes", "u4", 256),
    ("delivered_ce_bytes", "u4", 260),
    ("received_e1_bytes", "u4", 264),
    ("received_e0_bytes", "u4", 268),
    ("received_ce_bytes", "u4", 272),
    ("accecn", "u4", 276),
)
INFO_BYTES = 280
# Bit fields of tcp_info, as columns of their own: which field, how far to shift, what mask. C puts the first bit
# field of a byte at its low end where numbers are little-endian, else at its high end.
_LITTLE = sys.byteorder == "little"


def accecn_bits(release: str, *, little: bool) -> dict[str, tuple[str, int, int]]:
    """The modes of Accurate ECN in the last 4 bytes of ``tcp_info``, as ``INFO_BITS`` has them.

    Linux 6.18 has two numbers of 16 bits there, and Linux 7.0 bit fields; ``release`` says which kernel it is (uname).
    A mask of 0 is what the kernel does not report.
    """
    major = release.partition(".")[0]
    if major.isdecimal() and int(major) < 7:
        return {
            "ecn_mode": ("accecn", 0, 0),
            "accecn_opt_seen": ("accecn", 16 if little else 0, 0xFFFF),
            "accecn_fail_mode": ("accecn", 0 if little else 16, 0xFFFF),
        }
    return {
        "ecn_mode": ("accecn", 0 if little else 30, 3),
        "accecn_opt_seen": ("accecn", 2 if little else 28, 3),
        "accecn_fail_mode": ("accecn", 4 if little else 24, 15),
    }


INFO_BITS = {
    "snd_wscale": ("window_scales", 0 if _LITTLE else 4, 15),
    "rcv_wscale": ("window_scales", 4 if _LITTLE else 0, 15),
    "app_limited": ("flags", 0 if _LITTLE else 7, 1),
    **accecn_bits(os.uname().release if hasattr(os, "uname") else "", little=_LITTLE),
}
ACCECN_OPTIONS = ("no-option", "empty-option", "counters", "bad-option")
"""What ``accecn_opt_seen`` says of the AccECN options that the peer sent."""
ACCECN_FAILURES = {1: "ace-sent-failed", 2: "ace-received-failed", 4: "option-sent-failed", 8: "option-received-failed"}
"""The bits of ``accecn_fail_mode``."""
ECN_MODES = ("off", "classic", "accurate", "pending")
"""What ``ecn_mode`` says was agreed on."""
OPTION_WINDOW_SCALE = 4
OPTIONS = {1: "timestamps", 2: "sack", 4: "wscale", 8: "ecn", 16: "ecn_seen", 32: "syn_data"}

# SK_MEMINFO_*: integers of 4 bytes one after the other, in bytes; `drops` counts what a listener had no room for.
SKMEM = (
    "rmem_alloc", "rcvbuf", "wmem_alloc", "sndbuf", "fwd_alloc", "wmem_queued", "optmem", "backlog", "drops",
)  # fmt: skip

TIMERS = ("off", "retransmit", "keepalive", "timewait", "persist")
"""What ``timer`` counts down to."""


class Attribute:
    """Numbers of the attributes after the message (INET_DIAG_*)."""

    INFO = 2
    CONGESTION = 4
    TOS = 5
    SKMEM = 7
    SHUTDOWN = 8
    V6ONLY = 11
    MARK = 15
    CGROUP = 21


class Extension:
    """Bits of ``idiag_ext``: the attributes that a dump request asks for beyond the message itself."""

    INFO = 1 << (Attribute.INFO - 1)
    CONGESTION = 1 << (Attribute.CONGESTION - 1)
    SKMEM = 1 << (Attribute.SKMEM - 1)
    ALL = INFO | CONGESTION | SKMEM
