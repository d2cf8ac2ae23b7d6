"""Limits and memory settings of the process, for servers with many connections and for much data."""

import resource
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _KEEP_BYTES = -1, -3, 16 << 20  # mallopt(3)


def raise_descriptor_limit() -> None:
    """Take as many file descriptors as this process may have: each connection needs one."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def keep_freed_memory() -> None:
    """Have the C library keep what large reads free: giving it back costs a page fault for each 4 kB of the next.

    mallopt(3); a C library without it decides for itself.
    """
    import ctypes  # a millisecond

    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
