"""Connections that the kernel dropped because an accept queue was full: TcpExt of /proc/net/netstat.

See Documentation/networking/snmp_counter.rst of the kernel.
"""

from portside.kernel.netns import Namespace

# The namespace of the thread that opens it; /proc/net is that of the process's first thread.
_PATH = "/proc/thread-self/net/netstat"


def read_listen_overflows(namespace: Namespace | None = None) -> tuple[int, int] | None:
    """Read ListenOverflows and ListenDrops, counted since the network namespace began; None where there are none."""
    try:
        text = namespace.run(_read) if namespace else _read()
    except OSError:
        return None
    counters = parse(text)
    if "ListenOverflows" not in counters or "ListenDrops" not in counters:
        return None
    return counters["ListenOverflows"], counters["ListenDrops"]


def parse(text: str) -> dict[str, int]:
    """Parse the counters of TcpExt: a line of names, then a line of values."""
    lines = [line.split()[1:] for line in text.splitlines() if line.startswith("TcpExt:")]
    if len(lines) != 2:
        return {}
    return {name: int(value) for name, value in zip(*lines, strict=False) if value.isdigit()}


def _read() -> str:
    with open(_PATH, encoding="ascii", errors="replace") as file:
        return file.read()
