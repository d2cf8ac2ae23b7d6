"""A socket table as the columns that a diagnosis takes, each decoded once.

A diagnosis asks for some thirty fields of tcp_info. Taken one by one each passes over all messages; here they are taken
together, some thousand sockets at a time, so that a message is read into the processor's cache once.
"""

import numpy as np

from portside.diagnosis.observation import Mask, Values
from portside.kernel import states
from portside.kernel.host_text import MAPPED_PREFIX
from portside.kernel.inet_diag import IPV4, Attribute
from portside.kernel.inet_diag_types import INFO
from portside.kernel.table import SocketTable

TOGETHER = (
    "bytes_sent", "bytes_received", "bytes_acked", "bytes_retrans", "data_segs_out", "data_segs_in", "retrans_total",
    "busy_us", "rwnd_limited_us", "sndbuf_limited_us", "dsack_dups", "reord_seen", "rcv_ooopack", "total_rto",
    "mss", "pmtu", "snd_wnd", "cwnd", "unacked", "notsent_bytes", "backoff", "probes", "rto_us",
    "last_data_sent_ms", "last_data_recv_ms", "last_ack_recv_ms", "segs_in",
)  # fmt: skip
"""The fields of tcp_info that are decoded together: all that are known wherever the kernel sent them."""
_BATCH = 4096


class KernelColumns:
    """A socket table as a diagnosis takes it (``portside.diagnosis.observation.Columns``)."""

    def __init__(self, table: SocketTable) -> None:
        self.table = table
        self._columns: dict[str, tuple[Values, Mask]] = {}
        self._together = not any(name in gap.columns for gap in table.unavailable for name in TOGETHER)

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> tuple[Values, Mask]:
        """A column of the table, or the addresses of one side. Raises KeyError."""
        if name not in self._columns:
            if name in TOGETHER and self._together:
                self._columns |= _info_columns(self.table)
            elif name in ("local", "remote"):
                self._columns[name] = (_addresses(self.table, name), np.ones(len(self), bool))
            else:
                self._columns[name] = self.table.column(name)
        return self._columns[name]

    def missing(self, name: str) -> str | None:
        """Why a column is known for no socket."""
        for gap in self.table.unavailable:
            if gap.where is None and name in gap.columns:
                return gap.reason
        return None

    def select(self, which: Mask) -> "KernelColumns":
        """The sockets of a mask."""
        return KernelColumns(self.table.select(which))


def _info_columns(table: SocketTable) -> dict[str, tuple[Values, Mask]]:
    """The fields of ``TOGETHER`` for every socket, and where they are known."""
    fields = {name: INFO.fields[name][:2] for name in TOGETHER} if INFO.fields else {}
    values = {name: np.zeros(len(table), dtype) for name, (dtype, _) in fields.items()}
    sizes = table.messages.sizes(Attribute.INFO)[table.layout]
    for number, layout in enumerate(table.messages.layouts):
        start, size = layout.get(Attribute.INFO, (0, 0))
        rows = np.flatnonzero(table.layout == number)
        if not size or not len(rows):
            continue
        length = min(size, INFO.itemsize)
        for first in range(0, len(rows), _BATCH):
            here = rows[first : first + _BATCH]
            block = table.messages.gather(table.message[here] + start, np.dtype((np.void, length)))
            octets = block.view("u1").reshape(len(here), length)
            for name, (dtype, offset) in fields.items():
                if offset + dtype.itemsize <= length:
                    taken = np.ascontiguousarray(octets[:, offset : offset + dtype.itemsize])
                    values[name][here] = taken.view(dtype)[:, 0]
    carried = table.base["state"] != states.LISTEN  # a listener carries no data
    known: dict[int, Mask] = {}
    for dtype, offset in fields.values():
        end = offset + dtype.itemsize
        if end not in known:
            known[end] = carried & (sizes >= end)
    return {name: (values[name], known[offset + dtype.itemsize]) for name, (dtype, offset) in fields.items()}


def _addresses(table: SocketTable, side: str) -> Values:
    """The addresses of one side, those of IPv4 mapped into IPv6."""
    addresses = np.array(table.base[side])
    short = table.base["family"] == IPV4
    rows = slice(None) if short.all() else np.flatnonzero(short)
    addresses[rows, 12:] = addresses[rows, :4]
    addresses[rows, :12] = np.frombuffer(MAPPED_PREFIX, "u1")
    return addresses
