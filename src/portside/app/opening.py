"""What ``listen`` checks and opens before it serves: its program, rules or handler, its certificate, and its ports.

Only what this needs is imported here: the kernel accepts connections to an open port while the rest is loaded.
"""

import os
import socket
from dataclasses import replace

from portside.addresses import Address
from portside.app.notices import Notify, write_notice
from portside.errors import PortsideError, UsageError
from portside.server.listener import Listener, PortInUseError, SocketOptions, open_listeners
from portside.server.pre_connect import PreConnect
from portside.settings.effects import check_unix_alone
from portside.settings.listen import DEFAULT_PORT, Listen

PROGRAMS_AT_ONCE = 100  # where --max-conns says nothing: as ncat
DEFAULT_ADDRESSES = (Address(None, range(DEFAULT_PORT, DEFAULT_PORT + 1)),)


def check_behaviour(settings: Listen) -> Listen:
    """Check the program, rules or handler of the behaviour before the port opens, and set the default --max-conns.

    Raises PortsideError, and UsageError for a fault on a connection that there will not be.
    """
    if settings.forward is None and any(fault.window.upstream for fault in settings.fault):
        raise UsageError("listen", "a fault upstream goes with --forward")
    if settings.exec is not None:
        import shutil

        from portside.client.process import split_command

        program = split_command(settings.exec)[0]
        if shutil.which(program) is None:
            why = f"{program} is not executable" if os.path.isfile(program) else f"there is no program {program}"
            raise PortsideError("--exec", why)
    if (settings.exec is not None or settings.sh_exec is not None) and settings.max_conns is None:
        settings = replace(settings, max_conns=PROGRAMS_AT_ONCE)
    if settings.rules is not None or settings.reply:
        from portside.app.rules import load_rules

        load_rules(settings.rules, settings.reply)
    if settings.handler is not None:
        from portside.behaviours.handler import load

        load(settings.handler)
    return settings


def make_pre_connect(settings: Listen, notify: Notify = write_notice) -> PreConnect:
    """Make the pre-connect stage: TLS handshakes and PROXY headers, if any. Raises UsageError and PortsideError."""
    if not settings.tls and not settings.proxy_protocol:
        return PreConnect()
    from portside.app.handshakes import make_handshakes

    return make_handshakes(settings, notify)


def families_of(settings: Listen) -> tuple[int, ...]:
    """The families of IP that -4 and -6 leave."""
    if settings.ipv4 or settings.ipv6:
        return (socket.AF_INET,) if settings.ipv4 else (socket.AF_INET6,)
    return (socket.AF_INET, socket.AF_INET6)


def open_ports(
    settings: Listen, addresses: tuple[Address, ...], socket_class: type[socket.socket] | None = None
) -> list[Listener]:
    """Open the ports. Raises PortsideError; where another program has a port, the hint names that program.

    Raises UsageError where the sockets that were passed in are of a kind for which an option means nothing.
    ``socket_class`` makes the sockets, where it is not to be whatever ``socket.socket`` is.
    """
    options = SocketOptions(
        settings.backlog, settings.keepalive, settings.reuse_port, settings.unix_mode, settings.unix_group,
        socket_class,
    )  # fmt: skip
    try:
        listeners = open_listeners(addresses, families=families_of(settings), options=options)
    except PortInUseError as error:
        from portside.app.port_holder import port_in_use_hint

        shared = "; a port is shared by processes of one user that all have --reuse-port" if settings.reuse_port else ""
        error.hint = port_in_use_hint(error.port) + shared
        raise
    if all(listener.family == socket.AF_UNIX for listener in listeners):
        try:
            check_unix_alone(settings)
        except UsageError:
            for listener in listeners:
                listener.close()
            raise
    return listeners
