"""Which clients may be connected: how many at once, and from where."""

import socket
from collections import Counter
from typing import TYPE_CHECKING

from portside.addresses import ip_of, is_shorthand
from portside.errors import PortsideError, UsageError, reason_of
from portside.hostnames import resolver_host
from portside.settings.listen import Listen

if TYPE_CHECKING:  # the rules are read before the port is open, the events are loaded after
    from portside.events import RefuseReason
    from portside.networks import Network

_MOST_CHARACTERS = 16 << 20  # of a file of networks, which are more than a million of them


def networks_of(text: str, option: str) -> "list[Network]":
    """Read addresses, networks or names, with commas between them; a name is all its addresses, as they are now."""
    return [network for entry in text.split(",") for network in _networks_of_entry(entry, option)]


def _networks_of_entry(text: str, option: str) -> "list[Network]":
    from portside.networks import parse_network  # a millisecond, which a server without lists need not wait

    try:
        return [parse_network(text)]
    except ValueError:
        if "/" in text or not text or " " in text or is_shorthand(text) or (":" in text and "%" in text):
            hint = "write 10.0.0.1 or 10.0.0.0/8, with all four numbers" if is_shorthand(text) else None
            if "%" in text:
                hint = "an interface is named with a link-local address alone: fe80::1%eth0, fe80::%eth0/64"
            raise UsageError(f"{option} {text}", "no address, network or name", hint) from None
    try:
        found = socket.getaddrinfo(resolver_host(text), None, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise PortsideError(f"{option} {text}", reason_of(error)) from None
    return [parse_network(ip_of(sockaddr)) for *_, sockaddr in found]


def read_networks(path: str, option: str) -> "list[Network]":
    """Read a file of networks, with spaces or commas between them; ``#`` begins a comment. Raises PortsideError."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MOST_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise PortsideError(f"{option} {path}", reason_of(error)) from None
    if len(text) > _MOST_CHARACTERS:
        raise PortsideError(f"{option} {path}", f"it has more than {_MOST_CHARACTERS} characters")
    entries = (entry for line in text.split("\n") for entry in line.partition("#")[0].replace(",", " ").split())
    return [network for entry in entries for network in networks_of(entry, f"{option} {path}:")]


class Admission:
    """Decides on each client, and counts those that were admitted. Clients on unix sockets are only counted.

    What is changed while the server runs holds for the clients that come from then on. ``most`` is how many may be
    connected, ``most_per_ip`` how many from one address; None is any number.
    """

    def __init__(
        self,
        *,
        most: int | None = None,
        most_per_ip: int | None = None,
        allowed: "list[Network] | None" = None,
        denied: "list[Network] | None" = None,
    ) -> None:
        self.most = most
        self.most_per_ip = most_per_ip
        self._allowed = allowed
        self._denied = denied or []
        self._admitted = 0
        self._admitted_by_ip: Counter[str] = Counter()

    def admit(self, ip: str | None) -> "RefuseReason | None":
        """Count a client in, or return why it is refused. ``ip`` is None on a unix socket."""
        if ip is not None and (self._allowed is not None or self._denied) and not self._is_allowed(ip):
            return "denied"
        if self.most is not None and self._admitted >= self.most:
            return "max_conns"
        if ip is not None:  # counted without a limit too: there may be one later
            if self.most_per_ip is not None and self._admitted_by_ip[ip] >= self.most_per_ip:
                return "max_conns_per_ip"
            self._admitted_by_ip[ip] += 1
        self._admitted += 1
        return None

    def release(self, ip: str | None) -> None:
        """Count out a client that was admitted."""
        self._admitted -= 1
        if ip is not None:
            self._admitted_by_ip[ip] -= 1
            if not self._admitted_by_ip[ip]:
                del self._admitted_by_ip[ip]

    @property
    def allowed(self) -> "tuple[Network, ...] | None":
        """The networks from which clients may come; None: any that is not denied."""
        return None if self._allowed is None else tuple(self._allowed)

    @property
    def denied(self) -> "tuple[Network, ...]":
        """The networks from which no client may come."""
        return tuple(self._denied)

    def allow(self, network: "Network") -> bool:
        """Let clients come from a network, and from now on only from those that were allowed; whether it is new."""
        if network in (self._allowed or ()):
            return False
        self._allowed = [*(self._allowed or ()), network]
        return True

    def deny(self, network: "Network") -> bool:
        """Let no client come from a network; whether it is new."""
        if network in self._denied:
            return False
        self._denied.append(network)
        return True

    def stop_allowing(self, network: "Network") -> bool:
        """Take a network out of those allowed; after the last, any may come. Whether it was there."""
        if network not in (self._allowed or ()):
            return False
        self._allowed = [each for each in self._allowed or () if each != network] or None
        return True

    def stop_denying(self, network: "Network") -> bool:
        """Take a network out of those denied; whether it was there."""
        if network not in self._denied:
            return False
        self._denied.remove(network)
        return True

    def _is_allowed(self, ip: str) -> bool:
        from portside.networks import contains

        return not contains(ip, self._denied) and (self._allowed is None or contains(ip, self._allowed))


def admission_of(settings: Listen) -> Admission:
    """The rules of some settings. Raises UsageError or PortsideError for what names no network."""
    allowed = [net for text in settings.allow for net in networks_of(text, "--allow")]
    for path in settings.allow_file:
        allowed += read_networks(path, "--allow-file")
    denied = [net for text in settings.deny for net in networks_of(text, "--deny")]
    for path in settings.deny_file:
        denied += read_networks(path, "--deny-file")
    return Admission(
        most=settings.max_conns,
        most_per_ip=settings.max_conns_per_ip,
        allowed=allowed if settings.allow or settings.allow_file else None,
        denied=denied,
    )
