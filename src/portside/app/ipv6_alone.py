"""A notice where ``[::]:PORT`` may have been meant to take IPv4 clients as well, as it does in many programs."""

import socket
from collections.abc import Sequence

from portside.app.notices import write_notice
from portside.server.listener import Listener
from portside.server.passed_sockets import is_dual_stack


def note_ipv6_alone(listeners: Sequence[Listener]) -> None:
    """Say of each port that is open on every IPv6 address and on no IPv4 address that it takes IPv6 clients alone."""
    ipv4_ports = {_port(listener) for listener in listeners if listener.family == socket.AF_INET}
    for listener in listeners:
        if listener.family != socket.AF_INET6 or not listener.everywhere or is_dual_stack(listener.socket):
            continue
        port = _port(listener)
        if port not in ipv4_ports:
            write_notice(f"{listener.name} takes IPv6 clients alone", f"{port} without a host takes IPv4 clients too")


def _port(listener: Listener) -> int:
    return int(listener.socket.getsockname()[1])
