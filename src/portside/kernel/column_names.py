"""The names of the columns of the socket table, by where their values come from."""

from portside.kernel.inet_diag import INFO_BITS, INFO_FIELDS, SKMEM

BASE_COLUMNS = (
    "state", "recv_q", "send_q", "uid", "inode", "cookie", "interface",
    "timer", "timer_ms", "retransmits", "local_port", "remote_port",
)  # fmt: skip
SHARES = {
    "rwnd_limited_share": ("rwnd_limited_us", "busy_us"),
    "sndbuf_limited_share": ("sndbuf_limited_us", "busy_us"),
}
"""Columns that are a part divided by a whole, from 0 to 1: how much of the time with data to send was waited."""
INFO_COLUMNS = (
    *(name for name, _, _ in INFO_FIELDS if name not in ("window_scales", "flags", "accecn")),
    *INFO_BITS,
    *SHARES,
)
SKMEM_COLUMNS = SKMEM
ATTRIBUTE_COLUMNS = ("congestion", "cgroup", "mark", "shutdown", "v6only")
DETAIL_COLUMNS = (*INFO_COLUMNS, *SKMEM_COLUMNS, *ATTRIBUTE_COLUMNS)
COLUMNS = frozenset((*BASE_COLUMNS, *DETAIL_COLUMNS))
