"""What the kernel dropped because listeners had no room: TcpExt of /proc/net/netstat (see snmp_counter.rst)."""

from portside.kernel.netns import Namespace

# The namespace of the thread that opens it; /proc/net is that of the process's first thread.
_PATH = "/proc/thread-self/net/netstat"


def read_listen_overflows(namespace: Namespace | None = None) -> tuple[int, int] | None:
    """ListenOverflows and ListenDrops of a network namespace since it began; None where the kernel does not tell."""
    try:
        text = namespace.run(_read) if namespace else _read()
    except OSError:
        return None
    counters = parse(text)
    if "ListenOverflows" not in counters or "ListenDrops" not in counters:
        return None
    return counters["ListenOverflows"], counters["ListenDrops"]


def parse(text: str) -> dict[str, int]:
    """The counters of TcpExt: one line has their names, and the next one their values."""
    lines = [line.split()[1:] for line in text.splitlines() if line.startswith("TcpExt:")]
    if len(lines) != 2:
        return {}
    return {name: int(value) for name, value in zip(*lines, strict=False) if value.isdigit()}


def _read() -> str:
    with open(_PATH, encoding="ascii", errors="replace") as file:
        return file.read()
