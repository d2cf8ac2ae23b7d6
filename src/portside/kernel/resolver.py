"""The resolver of names in a filter, and whose names they are.

Interfaces are those of the network namespace whose sockets are filtered. All other names are this process's own,
whichever namespace it looks into:

services          /etc/services, as this process sees it
hosts             the resolver of this process: its /etc/hosts, and the name servers that its own network reaches
users             the users of this machine, as this process sees them and their numbers
control groups    folders where this process sees the hierarchy; their numbers are those of the whole machine
"""

import os
import pwd
import socket

from portside.addresses import is_shorthand
from portside.errors import InvalidValue
from portside.hostnames import resolver_host
from portside.kernel.filter.resolver import HostAddress
from portside.kernel.interfaces import interface_number
from portside.kernel.netns import Namespace

_CGROUP_ROOTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")


class SystemResolver:
    """Names of this machine, and interfaces of a network namespace: this process's own, or another."""

    def __init__(self, namespace: Namespace | None = None) -> None:
        self._namespace = namespace

    def port(self, service: str) -> int:
        """The TCP port of a service."""
        try:
            return socket.getservbyname(service, "tcp")
        except (OSError, ValueError):
            raise InvalidValue(f"no service is called {service!r}") from None

    def addresses(self, host: str) -> list[HostAddress]:
        """Every address of a host, each with its scope where it has one."""
        if is_shorthand(host):
            raise InvalidValue(
                f"{host!r} is no host: write an address with all four numbers, or a network, as in 10.1/16"
            )
        try:
            found = socket.getaddrinfo(resolver_host(host), None, type=socket.SOCK_STREAM)
        except (OSError, ValueError):  # ValueError: no name of a host can look like this
            raise InvalidValue(f"no host is called {host!r}") from None
        return list(dict.fromkeys(self._address(family, sockaddr) for family, _, _, _, sockaddr in found))

    def _address(self, family: int, sockaddr: tuple[object, ...]) -> HostAddress:
        """An address as the resolver returns it; a scope there is a number of this process's own namespace."""
        address = socket.inet_pton(family, str(sockaddr[0]).partition("%")[0])
        scope = sockaddr[3] if len(sockaddr) > 3 else 0
        if not isinstance(scope, int) or not scope or self._namespace is None:
            return HostAddress(address, scope if isinstance(scope, int) else 0)
        try:
            return HostAddress(address, self.interface(socket.if_indextoname(scope)))
        except OSError:
            raise InvalidValue(f"no interface has the number {scope}") from None

    def interface(self, name: str) -> int:
        """The number of an interface. Raises NamespaceError where the namespace may not be entered."""
        try:
            return interface_number(name, self._namespace)
        except (OSError, ValueError):
            raise InvalidValue(f"no interface is called {name!r}") from None

    def cgroup(self, path: str) -> int:
        """The number of a control group: the inode of its folder, given from the root of the hierarchy or whole."""
        for root in ("", *_CGROUP_ROOTS):
            folder = f"{root}/{path.lstrip('/')}"
            if os.path.exists(f"{folder}/cgroup.controllers"):
                return os.stat(folder).st_ino
        raise InvalidValue(f"there is no control group {path!r}")

    def user(self, name: str) -> int:
        """The number of a user."""
        try:
            return pwd.getpwnam(name).pw_uid
        except (KeyError, ValueError):
            raise InvalidValue(f"no user is called {name!r}") from None
