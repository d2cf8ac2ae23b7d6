"""The machine: its cores, its accounting of processes, and its description for the report."""

import os
import platform
import random
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
LOAD_CORE, SERVER_CORE = CORES[0], CORES[-1]
_PORTS = iter(range(random.randrange(10_000, 20_000), 32_000))


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Processes started in the `with` stay on `core`, with all threads and children; None does not pin them."""
    os.sched_setaffinity(0, CORES if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


def free_port() -> int:
    """A free port of 127.0.0.1, below the range from which the kernel chooses those of clients.

    Each server gets a new one, so that no connection in TIME_WAIT of an earlier run is in the way.
    """
    for port in _PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port left below 32000")


def is_listening(port: int) -> bool:
    """Whether a process listens on `port`, without connecting to it (a server would count the connection)."""
    sought = f":{port:04X}"
    for table in (b"/proc/net/tcp", b"/proc/net/tcp6"):
        if not os.path.exists(table):
            continue
        with open(table, encoding="ascii") as rows:
            for row in rows:
                number, local, _, state = row.split(maxsplit=4)[:4]
                if number != "sl" and state != "0A":
                    break  # the listeners come first
                if local.endswith(sought):
                    return True
    return False


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, its ended threads, and its children, living and reaped.

    The process's own clock counts nanoseconds; the children's share is rounded to clock ticks.
    """
    own = time.clock_gettime((~pid << 3) | 2)  # MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    reaped = (int(fields[13]) + int(fields[14])) * TICK_S
    living = 0.0
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split():
        try:
            living += cpu_s(int(child))
        except (OSError, IndexError):
            pass  # it has just ended: the next reading finds it among the reaped
    return own + reaped + living


def others_cpu_s() -> float:
    """CPU seconds since boot of all processes but this one and the children that it has waited for."""
    ticks = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks)
    ours = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    busy = (user + nice + system + irq + softirq + steal) * TICK_S
    return busy - sum(used.ru_utime + used.ru_stime for used in ours)


def memory_bytes(pid: int) -> int:
    """Memory of a process: its own, and its part of what it shares (Pss)."""
    for row in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if row.startswith("Pss:"):
            return int(row.split()[1]) * 1024
    raise RuntimeError("the kernel says nothing of Pss")


def open_files(pid: int) -> int:
    """The number of file descriptors that a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def written_bytes(pid: int) -> int:
    """Bytes that a process has passed to write() and similar calls, to any descriptor; of a zombie too."""
    for row in Path(f"/proc/{pid}/io").read_text("ascii").splitlines():
        if row.startswith("wchar:"):
            return int(row.split()[1])
    raise RuntimeError("the kernel does not count what processes write")


def facts() -> dict[str, str]:
    """Facts about the machine that the numbers depend on."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory_kb = int(next(line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")).split()[1])
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "cpu": cpu,
        "cores": f"{len(CORES)} (server on core {SERVER_CORE}, load on core {LOAD_CORE})",
        "memory": f"{memory_kb / 2**20:.1f} GiB",
        "python": platform.python_version(),
        "gcc": _said("gcc", "--version"),
        "ncat": _said("ncat", "--version"),
        "nc": _said("nc", "-h"),
        "socat": _said("socat", "-V", holding="version"),
        "ss": _said("ss", "-V"),
        "netstat": _said("netstat", "-V"),
        "lsof": _said("lsof", "-v", holding="revision"),
        "nginx": _said("nginx", "-v"),
        "wrk": _said("wrk", "-v"),
        "psutil": version("psutil"),
        "portside": version("portside"),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text("utf-8").splitlines()


def _said(*command: str, holding: str = "") -> str:
    """The first line of a program's version output that contains a word."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return "not installed"
    said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if holding in line]
    return next(filter(None, said), "unknown")
