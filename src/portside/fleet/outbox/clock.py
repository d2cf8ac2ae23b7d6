"""The clock by which an outbox knows how old a message is: no step of the wall clock changes it.

It is the kernel's time since it began (sleep included) plus a base, which is saved. After the machine has begun anew
it goes on where it stood with the last message, so that time while the machine was off makes nothing older: a node
that comes back after a week still sends what it had.
"""

import time
from typing import Final

from portside.fleet.outbox.database import Database

_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"


def uptime_s() -> float:
    """The time since the kernel began, in seconds; it goes on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


def kernel_run() -> str:
    """The identity of this run of the kernel; empty where it does not say."""
    try:
        with open(_BOOT_ID) as file:
            return file.read().strip()
    except OSError:
        return ""


class OutboxClock:
    """The clock of one database. Raises sqlite3.Error."""

    def __init__(self, database: Database) -> None:
        kernel, saved = kernel_run(), database.clock_base()
        if saved is not None and kernel and saved[0] == kernel:
            self._base = saved[1]
        else:
            self._base = database.latest_clock() - uptime_s()
            database.save_clock_base(kernel, self._base)

    def now_s(self) -> float:
        """The time now, in seconds."""
        return self._base + uptime_s()
