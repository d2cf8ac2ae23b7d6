"""``portside listen``: read the settings, open the ports, and only then load the rest.

A port that is open takes connections while the rest is loaded, so a client that is started right after the server
finds it there.
"""

import signal
import socket

from portside.addresses import Address
from portside.errors import UsageError
from portside.server.admission import admission_of
from portside.server.listener import open_listeners
from portside.settings import DEFAULT_PORT, Listen


def run(settings: Listen) -> int:
    """Serve with these settings until the end; the exit status."""
    if settings.send_only and settings.recv_only:
        raise UsageError("listen", "--send-only and --recv-only exclude each other")
    if settings.stdin and settings.recv_only:
        raise UsageError("listen", "--stdin and --recv-only exclude each other")
    if settings.stdin is False and settings.send_only:
        raise UsageError("listen", "--send-only and --no-stdin exclude each other")
    if settings.ipv4 and settings.ipv6:
        raise UsageError("listen", "-4 and -6 exclude each other")
    if settings.record is None and (settings.record_max is not None or settings.record_sync):
        raise UsageError("listen", "--record-max and --record-sync go with --record")
    families: tuple[int, ...] = (socket.AF_INET, socket.AF_INET6)
    if settings.ipv4 or settings.ipv6:
        families = (socket.AF_INET,) if settings.ipv4 else (socket.AF_INET6,)
    addresses = settings.addresses or (Address(None, range(DEFAULT_PORT, DEFAULT_PORT + 1)),)
    admission = admission_of(settings)
    # Until the loop handles them they wait: raised in the middle of an import, Ctrl-C may be lost there for good.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    listeners = open_listeners(addresses, families=families, backlog=settings.backlog)

    from portside.app import listen

    return listen.run(settings, listeners, admission)
