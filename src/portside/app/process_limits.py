"""Limits and memory settings of the process, for servers with many connections and for much data."""

import os
import resource
from contextlib import suppress

from portside.errors import PortsideError

_START_DESCRIPTORS, _ENOUGH_DESCRIPTORS = 18, 64  # to come as far as the exact check of the acceptor; for some clients
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _KEEP_BYTES = -1, -3, 16 << 20  # mallopt(3)


def raise_descriptor_limit() -> None:
    """Take as many file descriptors as this process may have: each connection needs one.

    Raises PortsideError where they are not even enough for the event loop and a recording.
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < _START_DESCRIPTORS + len(os.listdir("/dev/fd")):
        raise PortsideError(
            "cannot start",
            f"{most} file descriptors are too few; {_ENOUGH_DESCRIPTORS} are enough for some clients",
            f"`ulimit -n {_ENOUGH_DESCRIPTORS}` before it, or more for more clients; each needs one",
        )


def keep_freed_memory() -> None:
    """Have the C library keep what large reads free: giving it back costs a page fault for each 4 kB of the next.

    mallopt(3); a C library without it decides for itself.
    """
    import ctypes  # a millisecond

    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
