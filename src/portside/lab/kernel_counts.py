"""The kernel's counters of TCP since a lab began, and its gauges now."""

from portside.kernel.network_counters import NetworkCounters


class KernelCounts:
    """Counters of this network namespace from the moment on at which this is made: ``TcpExt.ListenDrops``."""

    def __init__(self) -> None:
        self._counters = NetworkCounters()
        self._before = self._counters.read()

    def grown(self, name: str) -> int:
        """How much a counter has grown; 0 where the kernel does not have it."""
        return self._counters.read().get(name, 0) - self._before.get(name, 0)

    def now(self, name: str) -> int:
        """The value of a gauge now; 0 where the kernel does not have it."""
        return self._counters.read().get(name, 0)

    def close(self) -> None:
        """Close the files of the counters."""
        self._counters.close()
