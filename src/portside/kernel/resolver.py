"""The resolver of names in a filter: services, hosts, interfaces, control groups and users of this machine."""

import os
import pwd
import socket

from portside.errors import InvalidValue

_CGROUP_ROOTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")


class SystemResolver:
    """Services of /etc/services, hosts of the resolver, interfaces, control groups and users of this machine."""

    def port(self, service: str) -> int:
        """The TCP port of a service."""
        try:
            return socket.getservbyname(service, "tcp")
        except (OSError, ValueError):
            raise InvalidValue(f"no service is called {service!r}") from None

    def addresses(self, host: str) -> list[bytes]:
        """Every address of a host."""
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, ValueError):  # ValueError: no name of a host can look like this
            raise InvalidValue(f"no host is called {host!r}") from None
        inet = [(family, str(address[0]).partition("%")[0]) for family, _, _, _, address in found]
        return list(dict.fromkeys(socket.inet_pton(family, text) for family, text in inet))

    def interface(self, name: str) -> int:
        """The number of an interface."""
        try:
            return socket.if_nametoindex(name)
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
