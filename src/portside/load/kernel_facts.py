"""What the kernel knows of the connections of a run: who held them back, round trips, what was sent again."""

import socket

import numpy as np

from portside.kernel.inet_diag_types import INFO
from portside.load.histogram import Histogram

_SUMMED = ("retrans_total", "bytes_retrans", "bytes_sent", "busy_us", "rwnd_limited_us", "sndbuf_limited_us")
_FLUSH_AT = 512


class KernelFacts:
    """Sums of ``tcp_info`` over connections, and a histogram of their smoothed round trips in nanoseconds."""

    def __init__(self) -> None:
        self._infos: list[bytes] = []
        self._sums: dict[str, int] = {}
        self._rtt = Histogram()

    def note(self, sock: socket.socket) -> None:
        """Keep what is known of a socket; one that the kernel has forgotten is left out."""
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO.itemsize)
        except OSError:
            return
        self._infos.append(info)
        if len(self._infos) >= _FLUSH_AT:
            self._decode()

    def take(self) -> tuple[Histogram, dict[str, int]]:
        """The facts that were kept since the last call."""
        self._decode()
        taken = self._rtt, self._sums
        self._rtt, self._sums = Histogram(), {}
        return taken

    def _decode(self) -> None:
        if not self._infos:
            return
        rows = np.frombuffer(b"".join([info.ljust(INFO.itemsize, b"\0") for info in self._infos]), INFO)
        self._infos = []
        for name in _SUMMED:
            self._sums[name] = self._sums.get(name, 0) + int(rows[name].sum(dtype=np.uint64))
        self._sums["connections"] = self._sums.get("connections", 0) + len(rows)
        self._rtt.record((rows["rtt_us"].astype(np.int64) * 1000).tolist())
