"""The end of a run, for threads that wait: as an event, and as a descriptor for poll(2)."""

import os
import threading
import time


class StopSignal:
    """Set once, from any thread; ``fileno`` becomes readable with it. ``close`` closes the descriptors."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._readable, self._writable = os.pipe()

    def fileno(self) -> int:
        """The descriptor that is readable from the end on."""
        return self._readable

    @property
    def is_set(self) -> bool:
        """Whether the run is to end."""
        return self.event.is_set()

    def set(self) -> None:
        """End it; may be called again."""
        if not self.event.is_set():
            self.event.set()
            os.write(self._writable, b"\0")

    def wait(self, seconds: float) -> bool:
        """Wait for the end, for so long at most; whether it has come."""
        return self.event.wait(seconds)

    def close(self) -> None:
        """Close the descriptors, when nobody waits any more."""
        os.close(self._readable)
        os.close(self._writable)


def to_wall_ns() -> int:
    """The nanoseconds to add to a time of the monotonic clock for that of the wall clock now."""
    return time.time_ns() - time.monotonic_ns()
