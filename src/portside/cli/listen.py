"""``portside listen``: parse the settings, open the ports, and only then load the rest.

The kernel accepts connections to an open port while the rest is loaded, so a client that is started right after the
server can connect.
"""

import os
import signal
import socket
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from portside.addresses import Address
from portside.cli.effects import check_listen, check_unix_alone
from portside.cli.standard_error import EscapedStandardError
from portside.descriptors import keep_stdout_for_data
from portside.errors import PortsideError, UsageError
from portside.server.admission import admission_of
from portside.server.listener import Listener, PortInUseError, SocketOptions, open_listeners
from portside.server.pre_connect import PreConnect
from portside.settings.listen import DEFAULT_PORT, Listen

if TYPE_CHECKING:
    from portside.control.endpoint import Endpoint
    from portside.tui.console.console_process import ConsoleProcess

PROGRAMS_AT_ONCE = 100  # where --max-conns says nothing: as ncat


def run(settings: Listen) -> int:
    """Serve with these settings until the end; the exit status."""
    if settings.forward is None and any(fault.window.upstream for fault in settings.fault):
        raise UsageError("listen", "a fault upstream goes with --forward")
    if settings.tui:
        from portside.cli.console import check_terminal

        check_terminal("--tui", "without it the output goes anywhere; `portside console` shows a server later on")
    stdout = 1
    if settings.handler is not None:
        stdout = keep_stdout_for_data()
    settings = _checked(settings)
    pre_connect = _pre_connect(settings)
    families: tuple[int, ...] = (socket.AF_INET, socket.AF_INET6)
    if settings.ipv4 or settings.ipv6:
        families = (socket.AF_INET,) if settings.ipv4 else (socket.AF_INET6,)
    passed = _passed_by_systemd(is_used=not settings.addresses) if "LISTEN_FDS" in os.environ else ()
    addresses = settings.addresses or passed or (Address(None, range(DEFAULT_PORT, DEFAULT_PORT + 1)),)
    check_listen(settings, addresses)
    admission = admission_of(settings)
    # Signals stay pending until the loop handles them: a KeyboardInterrupt in the middle of an import may be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    listeners = _open(settings, addresses, families)

    from portside.app import listen

    divert = sys.stderr.divert if isinstance(sys.stderr, EscapedStandardError) else None
    endpoint = _open_endpoint(settings, listeners)
    console = _console(endpoint, stdout) if settings.tui and endpoint is not None else None
    try:
        status = listen.run(
            settings,
            listeners,
            admission,
            pre_connect,
            stdout=stdout,
            extension=console or endpoint,
            divert_stderr=divert,
        )
        return 1 if console is not None and console.failed else status
    finally:
        if endpoint is not None:
            endpoint.close()


def _console(endpoint: "Endpoint", stdout: int) -> "ConsoleProcess":
    """The console of ``--tui`` on the terminal that ``stdout`` is."""
    from portside.tui.console.console_process import ConsoleProcess

    return ConsoleProcess(endpoint, stdout)


def _open_endpoint(settings: Listen, listeners: list[Listener]) -> "Endpoint | None":
    """The sockets of the control API, or None where neither is wanted. Raises PortsideError."""
    if settings.no_control and settings.web is None:
        return None
    from portside.control.endpoint import open_endpoint

    try:
        return open_endpoint(settings)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise


def _passed_by_systemd(*, is_used: bool) -> tuple[Address, ...]:
    """The sockets that systemd passed in; says so where they would be used and are another process's."""
    from portside.server.passed_sockets import are_for_another_process, take_from_systemd

    if is_used and are_for_another_process(os.environ):
        from portside.app.notices import write_notice

        write_notice(
            f"LISTEN_FDS is not for this process, {os.getpid()}, but for LISTEN_PID={os.environ.get('LISTEN_PID', '')}",
            "a shell that starts portside needs `exec`; unset LISTEN_FDS where no socket is meant for it",
        )
    return take_from_systemd(os.environ)


def _open(settings: Listen, addresses: tuple[Address, ...], families: tuple[int, ...]) -> list[Listener]:
    """Open the ports. Raises PortsideError; where another program has a port, the hint names that program.

    Raises UsageError where the sockets that were passed in are of a kind for which an option means nothing.
    """
    options = SocketOptions(
        settings.backlog, settings.keepalive, settings.reuse_port, settings.unix_mode, settings.unix_group
    )
    try:
        listeners = open_listeners(addresses, families=families, options=options)
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


def _pre_connect(settings: Listen) -> PreConnect:
    """Make the pre-connect stage: TLS handshakes and PROXY headers, if any. Raises UsageError and PortsideError."""
    if not settings.tls and not settings.proxy_protocol:
        return PreConnect()
    from portside.app.handshakes import make_handshakes

    return make_handshakes(settings)


def _checked(settings: Listen) -> Listen:
    """Check the program, rules or handler of the behaviour before the port opens, and set the default --max-conns.

    Raises PortsideError.
    """
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
