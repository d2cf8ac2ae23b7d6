"""The names of the columns of the socket table, by where their values come from."""

from portside.kernel.inet_diag import INFO_BITS, INFO_FIELDS, SKMEM

BASE_COLUMNS = (
    "state", "recv_q", "send_q", "uid", "inode", "cookie", "interface",
    "timer", "timer_ms", "retransmits", "local_port", "remote_port",
)  # fmt: skip
INFO_COLUMNS = (
    *(name for name, _, _ in INFO_FIELDS if name not in ("window_scales", "flags")),
    *INFO_BITS,
)
SKMEM_COLUMNS = SKMEM
ATTRIBUTE_COLUMNS = ("congestion", "cgroup", "mark", "shutdown", "v6only")
DETAIL_COLUMNS = (*INFO_COLUMNS, *SKMEM_COLUMNS, *ATTRIBUTE_COLUMNS)
COLUMNS = frozenset((*BASE_COLUMNS, *DETAIL_COLUMNS))
