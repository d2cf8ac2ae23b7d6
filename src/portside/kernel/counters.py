"""The kernel's own counts of connections: the line ``Tcp`` of /proc/net/snmp (RFC 4022).

The counts belong to a network namespace, and hold IPv4 and IPv6 together.
"""

import os
from typing import NamedTuple, Self

from portside.kernel.backend import BackendError
from portside.kernel.netns import Namespace

_PATH = "/proc/thread-self/net/snmp"
_NAMES = ("ActiveOpens", "PassiveOpens", "AttemptFails", "EstabResets")
_READ_BYTES = 1 << 16


class TcpMib(NamedTuple):
    """Counts of ends of connections since the namespace began: ActiveOpens, PassiveOpens, AttemptFails, EstabResets.

    ``active`` ends called ``connect``, ``passive`` ends were made by a listener; a connection within this machine has
    one of each.
    """

    active: int
    passive: int
    failed: int
    resets: int

    @property
    def opened(self) -> int:
        """The number of ends that were opened, failed attempts included."""
        return self.active + self.passive

    def since(self, before: "TcpMib") -> "TcpMib":
        """The counts since an earlier reading."""
        return TcpMib(*(now - then for now, then in zip(self, before, strict=True)))


def parse_tcp_mib(text: bytes) -> TcpMib:
    """Read /proc/net/snmp: a line of names, then a line of numbers. Raises BackendError where they are not there."""
    lines = [line.split() for line in text.splitlines() if line.startswith(b"Tcp:")]
    try:
        names, numbers = lines
        found = dict(zip(names[1:], map(int, numbers[1:]), strict=True))
        return TcpMib(*(found[name.encode()] for name in _NAMES))
    except (ValueError, KeyError) as error:
        raise BackendError("reading the kernel's counts", "the line Tcp is not as expected") from error


class TcpCounters:
    """/proc/net/snmp of a network namespace, kept open. Raises BackendError where there is no such file."""

    def __init__(self, namespace: Namespace | None = None) -> None:
        try:
            self._fd = namespace.run(_opened) if namespace else _opened()
        except OSError as error:
            raise BackendError("reading the kernel's counts", error) from error

    def read(self) -> TcpMib:
        """Read the counts. Raises BackendError."""
        try:
            return parse_tcp_mib(os.pread(self._fd, _READ_BYTES, 0))
        except OSError as error:
            raise BackendError("reading the kernel's counts", error) from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened() -> int:
    return os.open(_PATH, os.O_RDONLY | os.O_CLOEXEC)
