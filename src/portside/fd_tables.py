"""Which threads of a process have descriptor tables of their own: kcmp(2), or else how many descriptors each has.

The kernel's answers order the tables, so that a process with very many is sorted and not compared each with each.
"""

import os
from collections.abc import Callable, Iterable
from functools import cache

# The number of the system call, by what uname(2) calls the processor.
_KCMP = {
    "x86_64": 312, "i386": 349, "i686": 349, "aarch64": 272, "riscv64": 272, "loongarch64": 272,
    "armv6l": 378, "armv7l": 378, "ppc64": 354, "ppc64le": 354, "s390x": 343,
}  # fmt: skip
_KCMP_FILES = 2
_LESS, _GREATER = 1, 2


def other_tables(first: int, others: Iterable[int], count: Callable[[int], int]) -> list[int]:
    """Threads with other tables than ``first`` has, one for each table.

    ``count`` says how many descriptors a thread has. It decides where the kernel does not answer: it is made without
    CONFIG_KCMP, or a container filters system calls.
    """
    if compare_tables(first, first) != 0:
        by_count = {count(other): other for other in others}
        by_count.pop(count(first), None)
        return sorted(by_count.values())
    ordered = [first]
    for other in others:
        at = _place(ordered, other)
        if at is not None:
            ordered.insert(at, other)
    ordered.remove(first)
    return sorted(ordered)


def _place(ordered: list[int], thread: int) -> int | None:
    """Where a thread belongs in the kernel's order; None where its table is there already, or the thread has ended."""
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) // 2
        order = compare_tables(thread, ordered[middle])
        if order == _LESS:
            high = middle
        elif order == _GREATER:
            low = middle + 1
        else:
            return None
    return low


def compare_tables(one: int, other: int) -> int | None:
    """0 where two threads share a table of descriptors, else 1 or 2 for the order of the tables; None: no answer."""
    kcmp = _kcmp()
    if kcmp is None:
        return None
    answer = kcmp(one, other)
    return answer if answer >= 0 else None


@cache
def _kcmp() -> Callable[[int, int], int] | None:
    number = _KCMP.get(os.uname().machine) if hasattr(os, "uname") else None
    if number is None:
        return None
    import ctypes

    try:
        syscall = ctypes.CDLL(None).syscall
    except (OSError, AttributeError):
        return None
    syscall.restype = ctypes.c_long
    syscall.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong]
    return lambda one, other: int(syscall(number, one, other, _KCMP_FILES, 0, 0))
