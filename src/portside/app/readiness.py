"""Tells the service manager that the server is ready, where it waits for that (sd_notify(3))."""

import socket

from portside.addresses import Address
from portside.app.notices import write_notice

_PATIENCE_S = 1.0  # for a manager whose queue is full


def notify_ready(path: str) -> None:
    """Send ``READY=1`` to the socket that NOTIFY_SOCKET names."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_PATIENCE_S)
            sock.sendto(b"READY=1", Address(None, range(0), path).unix_name)
    except OSError as error:
        write_notice(f"cannot tell {path} (NOTIFY_SOCKET) that the server is ready: {error.strerror or error}")
