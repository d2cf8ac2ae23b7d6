"""The interface through which the filter parser, which does no I/O, looks up names."""

from typing import NamedTuple, Protocol

from portside.errors import InvalidValue


class HostAddress(NamedTuple):
    """An address of a host: 4 bytes for IPv4, 16 for IPv6; ``interface`` is the number of its scope, 0 for none."""

    address: bytes
    interface: int = 0


class NameResolver(Protocol):
    """Looks up what a name stands for. Each method raises InvalidValue where there is no such name."""

    def port(self, service: str) -> int:
        """The TCP port of a service, ``https``."""

    def addresses(self, host: str) -> list[HostAddress]:
        """Every address of a host, at least one."""

    def interface(self, name: str) -> int:
        """The number of an interface, ``eth0``, in the network namespace whose sockets are filtered."""

    def cgroup(self, path: str) -> int:
        """The number of a control group, by its path."""

    def user(self, name: str) -> int:
        """The number of a user."""


class NumericResolver:
    """A resolver without names, for filters of numbers only."""

    def port(self, service: str) -> int:
        raise InvalidValue(f"no service is called {service!r}")

    def addresses(self, host: str) -> list[HostAddress]:
        raise InvalidValue(f"no host is called {host!r}")

    def interface(self, name: str) -> int:
        raise InvalidValue(f"no interface is called {name!r}")

    def cgroup(self, path: str) -> int:
        raise InvalidValue(f"there is no control group {path!r}")

    def user(self, name: str) -> int:
        raise InvalidValue(f"no user is called {name!r}")
