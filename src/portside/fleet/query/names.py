"""Names in a filter of a fleet, where those that every machine has for itself are no names of ours.

Services and hosts are looked up here, as everywhere. An interface is compared by its name, whichever number it has on
its machine; a user is the number that this machine has for the name.
"""

from portside.errors import InvalidValue
from portside.kernel.filter.resolver import HostAddress
from portside.kernel.resolver import SystemResolver

_FIRST_NAME = 1 << 40  # above every number that an interface can have


class FleetNames:
    """The resolver of a filter over many machines, and the numbers by which it compares interfaces."""

    def __init__(self) -> None:
        self._system = SystemResolver()
        self._interfaces: dict[str, int] = {}

    def port(self, service: str) -> int:
        """The TCP port of a service."""
        return self._system.port(service)

    def addresses(self, host: str) -> list[HostAddress]:
        """Every address of a host, without the number that a scope has on this machine."""
        return [HostAddress(address) for address, _ in self._system.addresses(host)]

    def interface(self, name: str) -> int:
        """A number that stands for interfaces of this name. Raises InvalidValue for a number, which stands for itself.

        It is a number above all that an interface can have.
        """
        if name.isascii() and name.isdigit():
            raise InvalidValue(f"{name} is a number")
        return self._interfaces.setdefault(name, _FIRST_NAME + len(self._interfaces))

    def interface_of(self, name: str, asked: float) -> float | None:
        """The number of an interface that a machine calls so, None where it cannot be compared with what is asked."""
        if name.isascii() and name.isdigit():
            return float(name[:12])
        return float(self._interfaces.get(name, _FIRST_NAME - 1)) if asked >= _FIRST_NAME else None

    def cgroup(self, path: str) -> int:
        """Raises InvalidValue: each machine has its own numbers for its control groups."""
        raise InvalidValue(f"{path!r} is a path, and on each machine it has another number: write the number")

    def user(self, name: str) -> int:
        """The number of a user on this machine."""
        return self._system.user(name)
