"""``portside listen``: parse the settings, open the ports, and only then load the rest.

The kernel accepts connections to an open port while the rest is loaded, so a client that is started right after the
server can connect.
"""

import os
import signal
import sys
from typing import TYPE_CHECKING

from portside.addresses import Address
from portside.app.opening import DEFAULT_ADDRESSES, check_behaviour, make_pre_connect, open_ports
from portside.cli.standard_error import EscapedStandardError
from portside.descriptors import keep_stdout_for_data
from portside.server.admission import admission_of
from portside.server.listener import Listener
from portside.settings.effects import check_listen
from portside.settings.listen import Listen

if TYPE_CHECKING:
    from portside.control.endpoint import ControlEndpoint
    from portside.tui.console.console_process import ConsoleProcess


def run(settings: Listen) -> int:
    """Serve with these settings until the end; the exit status."""
    if settings.tui:
        from portside.cli.console import check_terminal

        check_terminal("--tui", "without it the output goes anywhere; `portside console` shows a server later on")
    stdout = 1
    if settings.handler is not None:
        stdout = keep_stdout_for_data()
    settings = check_behaviour(settings)
    pre_connect = make_pre_connect(settings)
    if settings.tls:
        from portside.app.tls import silence_wrong_names

        silence_wrong_names()
    passed = _passed_by_systemd(is_used=not settings.addresses) if "LISTEN_FDS" in os.environ else ()
    addresses = settings.addresses or passed or DEFAULT_ADDRESSES
    check_listen(settings, addresses)
    admission = admission_of(settings)
    # Signals stay pending until the loop handles them: a KeyboardInterrupt in the middle of an import may be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    listeners = open_ports(settings, addresses)

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


def _console(endpoint: "ControlEndpoint", stdout: int) -> "ConsoleProcess":
    """The console of ``--tui`` on the terminal that ``stdout`` is."""
    from portside.tui.console.console_process import ConsoleProcess

    return ConsoleProcess(endpoint, stdout)


def _open_endpoint(settings: Listen, listeners: list[Listener]) -> "ControlEndpoint | None":
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
