"""The limits that ``diagnose`` compares with: kernel settings, and the descriptors of processes."""

import os

import numpy as np

from portside.diagnosis.observation import DescriptorUse, Limits, Values
from portside.kernel.membership import are_in
from portside.kernel.netns import Namespace
from portside.kernel.network_counters import read_settings
from portside.procfs import PROC, count_fds, fd_count_is_exact, full_name, process_identity, socket_fds

_PORTS, _MEMORY = "net.ipv4.ip_local_port_range", "net.ipv4.tcp_mem"
_ORPHANS, _TIME_WAIT = "net.ipv4.tcp_max_orphans", "net.ipv4.tcp_max_tw_buckets"
_TRACKED, _MOST_TRACKED = "net.netfilter.nf_conntrack_count", "net.netfilter.nf_conntrack_max"
_NEAR = 0.5  # of its limit: of processes that have fewer open nothing more is read
_FEW = 8  # descriptors, with which no process is looked at


def read_limits(inodes: Values | None, namespace: Namespace | None = None) -> Limits:
    """The limits of a network namespace, and the processes near theirs that hold one of the sockets.

    Without inodes no process is looked at.
    """
    found = read_settings((_PORTS, _MEMORY, _ORPHANS, _TIME_WAIT, _TRACKED, _MOST_TRACKED), namespace)
    ports, memory = found.get(_PORTS, ()), found.get(_MEMORY, ())
    return Limits(
        port_range=(ports[0], ports[1]) if len(ports) == 2 else None,
        memory_pages=(memory[0], memory[1], memory[2]) if len(memory) == 3 else None,
        page_bytes=os.sysconf("SC_PAGE_SIZE"),
        max_orphans=_single(found, _ORPHANS),
        max_time_wait=_single(found, _TIME_WAIT),
        descriptors=read_descriptors(inodes) if inodes is not None else None,
        conntrack=_tracked(_single(found, _TRACKED), _single(found, _MOST_TRACKED)),
    )


def read_descriptors(inodes: Values, proc: str = PROC) -> tuple[DescriptorUse, ...] | None:
    """The processes that have at least half of the descriptors open that they may, and hold one of the sockets."""
    exact = fd_count_is_exact(proc)
    near = []
    try:
        pids = [name for name in os.listdir(proc) if name.isdigit()]
    except OSError:
        return None
    for pid in pids:
        folder = f"{proc}/{pid}"
        used = count_fds(folder, exact=exact)
        if used < _FEW or (limit := _soft_limit(folder)) is None or used < _NEAR * limit:
            continue
        process = process_identity(folder)
        held = socket_fds(process, used) if process is not None else None
        if process is not None and held and are_in(inodes, np.array([inode for inode, _ in held])).any():
            near.append(DescriptorUse(int(pid), full_name(folder, process.program), used, limit))
    return tuple(near)


def _soft_limit(folder: str) -> int | None:
    """RLIMIT_NOFILE of a process; None where it may not be read, or there is none."""
    try:
        with open(f"{folder}/limits", encoding="ascii", errors="replace") as file:
            line = next((line for line in file if line.startswith("Max open files")), "")
        return int(line.split()[3])
    except (OSError, ValueError, IndexError):  # the process has ended, is hidden, or has no limit
        return None


def _single(found: dict[str, tuple[int, ...]], name: str) -> int | None:
    values = found.get(name, ())
    return values[0] if len(values) == 1 else None


def _tracked(count: int | None, most: int | None) -> tuple[int, int] | None:
    return (count, most) if count is not None and most is not None else None
