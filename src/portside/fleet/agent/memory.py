"""How an agent keeps its memory small: it runs for months beside others, and takes no more than it uses."""

import ctypes
from typing import Final

from portside.kernel.backend import BackendError
from portside.kernel.dump_reader import DumpReader

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # mallopt(3)
_OPTIONS: Final = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, 64 << 10), (_M_TRIM_THRESHOLD, 1 << 20))


def limit_memory() -> None:
    """One arena for all threads, and large blocks given back once they are free; only glibc can be told so."""
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        for option, value in _OPTIONS:
            mallopt(option, value)


def trim_memory() -> None:
    """Give back what is free, where the C library can."""
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def small_reader() -> DumpReader | None:
    """A reader of the table that takes no huge pages; None where there is no netlink, and so another source."""
    try:
        return DumpReader(small_pages=True)
    except BackendError:
        return None
