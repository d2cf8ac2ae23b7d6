"""The counters and gauges of a network namespace that /proc/net tells: snmp, netstat and sockstat.

See proc_net(5) and Documentation/networking/snmp_counter.rst of the kernel. The files are opened once, in the
namespace, and read again and again.
"""

import os
from collections.abc import Iterable
from typing import Self

from portside.kernel.netns import Namespace

_FOLDER = "/proc/thread-self/net"
_FILES = ("snmp", "netstat", "sockstat")
_READ_BYTES = 1 << 16


def parse_counters(text: str) -> dict[str, int]:
    """Parse lines of names and values in pairs (snmp, netstat): ``Tcp.OutRsts``, ``TcpExt.ListenDrops``.

    What is malformed is left out.
    """
    found: dict[str, int] = {}
    lines = [line.split() for line in text.splitlines()]
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        if not names or not values or names[0] != values[0]:
            continue
        group = names[0].removesuffix(":")
        for name, value in zip(names[1:], values[1:], strict=False):
            if _is_number(value):
                found[f"{group}.{name}"] = int(value)
    return found


def parse_gauges(text: str) -> dict[str, int]:
    """Parse lines of names and values in turn (sockstat): ``TCP.orphan``, ``TCP.mem``."""
    found: dict[str, int] = {}
    for line in filter(str.strip, text.splitlines()):
        group, *words = line.split()
        for name, value in zip(words[::2], words[1::2], strict=False):
            if _is_number(value):
                found[f"{group.removesuffix(':')}.{name}"] = int(value)
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


class NetworkCounters:
    """The counters of a network namespace; ``missing`` has the files that are not there, and why."""

    def __init__(self, namespace: Namespace | None = None) -> None:
        self.missing: dict[str, str] = {}
        self._fds: dict[str, int] = {}
        if namespace is not None:
            namespace.run(self._open)
        else:
            self._open()

    def read(self) -> dict[str, int]:
        """Read all of them."""
        found: dict[str, int] = {}
        for name, fd in self._fds.items():
            try:
                text = os.pread(fd, _READ_BYTES, 0).decode("ascii", "replace")
            except OSError as error:
                self.missing[name] = str(error.strerror)
                continue
            found |= parse_gauges(text) if name == "sockstat" else parse_counters(text)
        return found

    def close(self) -> None:
        """Close the files."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        for name in _FILES:
            try:
                self._fds[name] = os.open(f"{_FOLDER}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                self.missing[name] = str(error.strerror)


def read_settings(names: Iterable[str], namespace: Namespace | None = None) -> dict[str, tuple[int, ...]]:
    """The numbers of kernel settings such as ``net.ipv4.tcp_mem``, in a namespace.

    Those that cannot be read are left out.
    """
    wanted = tuple(names)

    def read() -> dict[str, tuple[int, ...]]:
        found = {}
        for name in wanted:
            try:
                with open(f"/proc/sys/{name.replace('.', '/')}", encoding="ascii") as file:
                    found[name] = tuple(map(int, file.read(256).split()))
            except (OSError, ValueError):  # another kernel, a module that is not loaded, or hidden in a container
                continue
        return found

    return namespace.run(read) if namespace is not None else read()
