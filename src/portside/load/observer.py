"""What is looked at beside a run: the kernel's counters, the processors, and the queue of a server on this machine."""

from portside.errors import PortsideError
from portside.kernel.network_counters import NetworkCounters
from portside.load.report import Observed

_COUNTERS = ("TcpExt.TCPSynRetrans", "TcpExt.ListenOverflows")


class RunObserver:
    """Watches from ``begin`` to ``end``; ``look`` takes a sample of the server's accept queue."""

    def __init__(self, port: int | None) -> None:
        self._port = port  # of a server that may be on this machine
        self._counters = NetworkCounters()
        self._before: dict[str, int] = {}
        self._processors: tuple[int, int] | None = None
        self._queue: tuple[int, int] | None = None

    def begin(self) -> None:
        """Begin to watch."""
        self._before = self._counters.read()
        self._processors = _processor_time()

    def look(self) -> None:
        """Look at the listener."""
        if self._port is None:
            return
        from portside.app.sockets import sockets

        try:
            listeners = sockets(f"sport = :{self._port}", view="listening", owners=False)
        except PortsideError:
            self._port = None  # there is no table to be seen here
            return
        for listener in listeners:
            if listener.recv_q is not None and listener.send_q is not None:
                queue = (listener.recv_q, listener.send_q)
                self._queue = queue if self._queue is None else max(self._queue, queue)

    def end(self) -> Observed:
        """The observations of the whole time."""
        after = self._counters.read()
        grown = {
            name: after[name] - self._before[name]
            for name in _COUNTERS
            if name in after and name in self._before and after[name] > self._before[name]
        }
        return Observed(grown, self._queue, _share(self._processors, _processor_time()))

    def close(self) -> None:
        """Close the counters."""
        self._counters.close()


def _processor_time() -> tuple[int, int] | None:
    """Ticks of all processors: in all, and idle (proc(5), /proc/stat)."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    return sum(ticks), ticks[3] + ticks[4]


def _share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    if before is None or after is None or after[0] <= before[0]:
        return None
    return 1 - (after[1] - before[1]) / (after[0] - before[0])
